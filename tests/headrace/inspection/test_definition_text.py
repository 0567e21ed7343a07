import pytest

from headrace.example_repositories import TRANSACTIONS
from headrace.inspection.definition_text import Definition, definition_of

TWO = """\
import headrace
from headrace import StreamSource as Source, stream_feature_view as view

a = Source(name="a", schema="a.avsc", timestamp_field="at")\x0c
b = headrace.StreamSource(
    name="b",
)

@view(source=a,
      version="V2")
@other
def totals(record):
    return record

if True:
    @headrace.stream_feature_view(source=a, name="totals")
    def made(record):
        return None

plain = view(source=b, name="plain")(lambda record: record)

def several(number):
    return view(source=a, name=f"x{number}")
"""
FILES = {"folder/two.py": TWO, "broken.py": "def (", "null.py": "\0", "a.avsc": '{"name": "totals"}'}


def test_a_view_is_its_function_with_decorators() -> None:
    found = definition_of({"features.py": TRANSACTIONS.definitions}, "stream_feature_view", "user_activity", "V1")
    assert found is not None
    assert found.text.startswith("@stream_feature_view(\n    source=transactions,")
    assert found.text.endswith('return record if record["amount"] > 0 else None')
    assert TRANSACTIONS.definitions.split("\n")[found.line - 1] == "@stream_feature_view("


def test_versions_of_a_view_are_told_apart_and_the_default_is_known() -> None:
    second = definition_of(FILES, "stream_feature_view", "totals", "V2")
    assert second is not None
    assert (second.path, second.line) == ("folder/two.py", 9)
    assert second.text.endswith("@other\ndef totals(record):\n    return record")
    first = definition_of(FILES, "stream_feature_view", "totals", "V1")
    assert first is not None
    assert first.text.startswith("    @headrace.stream_feature_view(")
    assert definition_of(FILES, "stream_feature_view", "totals", "V3") is None


def test_a_source_is_its_statement_whatever_it_is_called_in_the_module() -> None:
    assert definition_of(FILES, "StreamSource", "b") == Definition(
        "folder/two.py", 5, 'b = headrace.StreamSource(\n    name="b",\n)'
    )
    found = definition_of(FILES, "StreamSource", "a")
    assert found is not None
    assert found.line == 4


def test_a_view_that_is_made_by_a_call_is_found_too() -> None:
    found = definition_of(FILES, "stream_feature_view", "plain", "V1")
    assert found is not None
    assert found.text == 'plain = view(source=b, name="plain")(lambda record: record)'


def test_a_service_is_found() -> None:
    found = definition_of({"features.py": TRANSACTIONS.definitions}, "FeatureService", "fraud_detection")
    assert found is not None
    assert found.text.startswith("fraud = FeatureService(")


@pytest.mark.parametrize("name", ["x1", "made", "other", ""])
def test_what_no_text_names_is_not_guessed(name: str) -> None:
    assert definition_of(FILES, "stream_feature_view", name, "V1") is None
