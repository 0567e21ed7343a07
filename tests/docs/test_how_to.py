"""What the how-tos show of the repositories that `headrace init` writes is what it writes, and what they say holds."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.example_repositories import EXAMPLE_REPOSITORIES, TRANSACTIONS, ExampleRepository
from schemas.definitions.changes import carry_ids, changes
from schemas.definitions.compile import compile_views
from schemas.definitions.plan import Plan
from schemas.definitions.repository import load_repository
from tests.docs.test_docs import blocks
from tests.support.in_process import InProcess
from tests.support.plans import plan_of

FOLDER = Path(__file__).parents[2] / "docs/how-to"
PAGES = sorted(FOLDER.glob("*.md"))
NOW = datetime(2026, 5, 1, 12, 25, tzinfo=UTC)

HERE_DOCUMENT = re.compile(r"<<'EOF'\n(.*?)^EOF$", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"--example (\w+)")


def example_of(page: Path) -> ExampleRepository:
    """Returns the example that a page is about: the tour's if it names none."""
    named = EXAMPLE.search(page.read_text("utf-8"))
    return TRANSACTIONS if named is None else EXAMPLE_REPOSITORIES[named[1]]


def shown(page: Path, kind: str) -> list[str]:
    return [text for each, text in blocks(page) if each == kind]


def here_document(page: str) -> str:
    """Returns the first Python file that a page writes."""
    found = HERE_DOCUMENT.search((FOLDER / page).read_text("utf-8"))
    assert found is not None
    return found[1]


def planned(text: str) -> Plan:
    return plan_of({"features.py": text}, partitions=1, source_partitions=1, schema_id=1)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if EXAMPLE.search(page.read_text("utf-8"))], ids=lambda page: page.stem
)
def test_a_page_shows_what_its_example_has(page: Path) -> None:
    excerpts = shown(page, "py")
    assert excerpts
    assert [excerpt for excerpt in excerpts if excerpt not in example_of(page).definitions] == []


@pytest.mark.parametrize("name", [name for name in EXAMPLE_REPOSITORIES if name != TRANSACTIONS.name])
def test_each_example_has_a_page_that_shows_all_that_it_serves(name: str) -> None:
    [page] = [page for page in PAGES if EXAMPLE_REPOSITORIES[name] is example_of(page)]
    example = example_of(page)
    system = InProcess(planned(example.definitions), NOW)
    assert system.ingest(example.source, example.records(NOW)) == []
    served = system.read(example.service, example.join_keys, NOW)
    [table] = [text for text in shown(page, "output") if "effective time" in text]
    rows = [line.split() for line in table.partition("effective time")[2].splitlines() if line.startswith(" ")]
    assert [row[0] for row in rows] == list(served)
    assert [row[-2] for row in rows] == [status for _, status in served.values()]
    keys = " ".join(f"{key}={value}" for key, value in example.join_keys.items())
    assert f"headrace get {example.service} {keys}\n" in page.read_text("utf-8")


def test_a_field_that_a_source_gets_changes_no_view() -> None:
    [field] = shown(FOLDER / "change-a-view.md", "py")
    last = '        Field("timestamp", Timestamp),\n'
    attribute = TRANSACTIONS.definitions + (
        '\n\n@stream_feature_view(source=transactions, entities=[user], timestamp_field="timestamp")\n'
        "def newest(record):\n    return record\n"
    )
    before, grown = planned(attribute), planned(attribute.replace(last, field + last))
    repository = load_repository(grown.files, "repository")
    views = carry_ids(before, compile_views(repository, grown.sources, applied=before.views))
    [change] = changes(before, Plan("prod", 1, grown.sources, views, grown.services, grown.files, grown.digest))
    assert (change.object, change.detail, change.problem) == ("stream source transactions", "channel", None)


def test_two_versions_of_a_view_are_served_side_by_side() -> None:
    system = InProcess(planned(TRANSACTIONS.definitions + here_document("change-a-view.md")), NOW)
    assert system.ingest(TRANSACTIONS.source, TRANSACTIONS.records(NOW)) == []
    first = system.read("fraud_detection", {"user_id": "u1"}, NOW)
    second = system.read("fraud_detection_v2", {"user_id": "u1"}, NOW)
    assert (first["user_activity.payments"], second["user_activity.payments"]) == (("2", "PRESENT"), ("1", "PRESENT"))
    assert second["user_activity.largest"] == (42.5, "PRESENT")


def test_a_function_that_fails_fails_for_its_view_alone() -> None:
    system = InProcess(planned(here_document("errors-and-dead-letters.md")), NOW)
    record = {"pump_id": "p2", "litres": 0.0, "price": 10.0, "timestamp": NOW}
    [problem] = system.ingest("fills", [record])
    assert problem.endswith("in prices: ZeroDivisionError: float division by zero")
    served = system.read("pumps", {"pump_id": "p2"}, NOW)
    assert served["last_fill.price"] == (10.0, "PRESENT")
    assert served["prices.per_litre"] == (None, "MISSING_DATA")


def test_the_tests_that_a_page_shows_pass() -> None:
    plan = planned(TRANSACTIONS.definitions)
    views = load_repository(plan.files, "repository").views
    names: dict[str, object] = {"user_activity": views["user_activity", "V1"]}
    text = here_document("test-a-view.md").replace("from features import user_activity\n", "")
    exec(text, names)  # noqa: S102 - it is ours
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        assert callable(test)
        test()


def test_a_profile_that_comes_late_does_not_replace_a_newer_one() -> None:
    example = EXAMPLE_REPOSITORIES["profiles"]
    system = InProcess(planned(example.definitions), NOW)
    system.ingest(example.source, example.records(NOW))
    late = {"member_id": "m1", "plan": "trial", "timestamp": NOW - timedelta(days=2)}
    assert system.ingest(example.source, [late]) == []
    assert system.read(example.service, example.join_keys, NOW)["profile.plan"] == ("pro", "PRESENT")


def test_a_login_of_the_future_counts_once_its_time_has_come() -> None:
    example = EXAMPLE_REPOSITORIES["logins"]
    system = InProcess(planned(example.definitions), NOW)
    soon = NOW + timedelta(minutes=5)
    failed = {"account_id": "a9", "address": "192.0.2.5", "succeeded": False, "timestamp": soon}
    assert system.ingest(example.source, [failed]) == []
    keys = {"account_id": "a9"}
    assert system.read(example.service, keys, NOW)["failed_logins.failures"] == (None, "MISSING_DATA")
    assert system.read(example.service, keys, soon)["failed_logins.failures"] == ("1", "PRESENT")
