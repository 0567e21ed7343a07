import pytest

from schemas.errors import DefinitionError
from tests.support.repositories import HEAD, SUM, plan_of, view, view_plan


def code(text: str, *, before: str = "", **modules: str) -> str:
    """Returns the digest of the view ``totals`` among a module's other text and other modules."""
    files = {"views.py": before + HEAD + text, **{f"{name}.py": module for name, module in modules.items()}}
    return plan_of(files).views["totals@V1"].code


PLAIN = view(body="return {**record, 'x': record['x'] * 2}")


@pytest.mark.parametrize(
    "text",
    [
        view(body="return {**record, 'x': record['x'] * 2}  # twice"),
        view(body="# twice\n    return {**record,\n            'x': record['x'] * 2}"),
        view(body="'''Doubles x.'''\n    return {**record, 'x': (record['x']) * 2}"),
        "RATE = 5\n\n" + PLAIN + view("others", body="return None") + "def helper():\n    return RATE\n",
        view(options=SUM + ", grace=timedelta(days=1)", body="return {**record, 'x': record['x'] * 2}"),
    ],
    ids=["comment", "layout", "docstring", "what it does not mention", "options"],
)
def test_what_cannot_change_the_function_does_not_count(text: str) -> None:
    assert code(text) == code(PLAIN)


@pytest.mark.parametrize(
    "text",
    [
        view(body="return {**record, 'x': record['x'] * 3}"),
        view(body="return {**record, 'x': record['x'] * 2.0}"),
        PLAIN.replace("(record)", "(record, rate=1)"),
        view(body="print(record)\n    return {**record, 'x': record['x'] * 2}"),
    ],
)
def test_a_changed_function_counts(text: str) -> None:
    assert code(text) != code(PLAIN)


CALLS = view(body="return helper(record)")
HELPER = "def helper(record):\n    return {**record, 'x': record['x'] * RATE}\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RATE = 2\n", "RATE = 3\n"),
        ("RATE = 2\n", "if True:\n    RATE = 2\n"),
        ("RATE: int = 2\n", "RATE: int = 3\n"),
        ("RATE = 2\n", "RATE = 2\nRATE += 1\n"),
        ("class RATE:\n    a = 1\n", "class RATE:\n    a = 2\n"),
        ("RATE, OTHER = 2, 3\n", "RATE, OTHER = 3, 2\n"),
        ("RATE = {}\n", "RATE = {}\nRATE['a'] = 1\n"),
        ("RATE = {}\n", "RATE = {}\nRATE['a'] = {}\nRATE['a']['b'] = 1\n"),
        ("RATE = []\n", "RATE = []\nRATE.append(1)\n"),
        ("RATE = []\n", "RATE = []\nprint(RATE)\n"),
        ("from math import e as RATE\n", "from math import pi as RATE\n"),
        ("try:\n    from math import e as RATE\nexcept ImportError: pass\n", "from math import e as RATE\n"),
        ("if True:\n    def RATE(): return 1\n", "if True:\n    def RATE(): return 2\n"),
        ("BASE = 1\nRATE = BASE\n", "BASE = 2\nRATE = BASE\n"),
        ("RATE = []\n", "RATE = []\n(lambda: RATE)().append(1)\n"),
        ("RATE = {}\n", "RATE = {}\n(lambda: {})()['a'] = RATE['a'] = 1\n"),
    ],
)
def test_what_a_helper_mentions_counts(old: str, new: str) -> None:
    assert code(old + HELPER + CALLS) != code(new + HELPER + CALLS)
    assert code(old + HELPER + PLAIN) == code(new + HELPER + PLAIN)


@pytest.mark.parametrize(
    ("imported", "call"),
    [
        ("from helpers import twice", "twice"),
        ("from helpers import twice as again", "again"),
        ("from .helpers import twice", "twice"),
        ("from helpers import *", "twice"),
        ("import helpers", "helpers.twice"),
        ("import helpers as h", "h.twice"),
    ],
)
def test_what_is_imported_from_another_module_counts(imported: str, call: str) -> None:
    text = imported + "\n" + view(body=f"return {call}(record)")
    helpers = "def twice(record):\n    return record\n"
    changed = "def twice(record):\n    return None\n"
    assert code(text, helpers=helpers) != code(text, helpers=changed)
    assert code(text, helpers=helpers) == code(text, helpers="# the same\n" + helpers)


def test_of_functions_with_one_name_the_views_own_counts() -> None:
    assert code(PLAIN.replace("* 2", "* 3") + PLAIN) == code("def totals(): pass\n" + PLAIN)
    assert code("def totals(): pass\n" + PLAIN) != code("def totals(): pass\n" + PLAIN.replace("* 2", "* 3"))


def test_an_import_inside_the_function_counts() -> None:
    text = view(body="from helpers import RATE\n    return {**record, 'x': RATE}")
    assert code(text, helpers="RATE = 1.0") != code(text, helpers="RATE = 2.0")


def test_of_a_module_only_what_is_reached_counts() -> None:
    text = "from helpers import twice, thrice\n" + view(body="return twice(record)")
    helpers = "def twice(record):\n    return record\n"
    one = code(text, helpers=helpers + "def thrice(record):\n    return 1\n")
    assert one == code(text, helpers=helpers + "def thrice(record):\n    return 2\n")


def test_imports_are_followed_through_modules_and_packages() -> None:
    def digest(rate: str) -> str:
        files = {
            "lib/__init__.py": "from . import deep\n",
            "lib/deep/__init__.py": "",
            "lib/deep/rates.py": f"RATE = {rate}\n",
            "lib/tools.py": "from .deep.rates import RATE\ndef tool(record):\n    return RATE\n",
            "lib/deep/more.py": "from ..tools import tool\n",
            "views.py": HEAD + "from lib.deep import more\n" + view(body="return more.tool(record)"),
        }
        return plan_of(files).views["totals@V1"].code

    assert digest("1") != digest("2")


def test_modules_that_import_each_other_are_followed_once() -> None:
    files = {"a": "import b\ndef f(record):\n    return b.g(record)\n", "b": "import a\ndef g(record):\n    return 1\n"}
    text = "import a\n" + view(body="return a.f(record)")
    assert code(text, **files) != code(text, **(files | {"b": "import a\ndef g(record):\n    return 2\n"}))


FACTORY = "def make(rate):\n    {}    return totals\ntotals = make({})\n"


def test_a_function_made_inside_another_counts_with_every_module() -> None:
    inner = view(body="    return {**record, 'x': rate}").replace("\ndef", "\n    def")
    one, two = (FACTORY.format(inner, rate) for rate in ("1.0", "2.0"))
    assert code(one) != code(two)
    assert code(one, helpers="A = 1") != code(one, helpers="A = 2")


def test_the_digest_is_the_same_for_every_version_of_python() -> None:
    expected = "0b50c78d246c25f9eee2c96142aa7a1f45100464fa22cfd2e5bb8307e1847fb5"  # computed by 3.11, 3.12 and 3.13
    assert view_plan(view(body="return {**record, 'x': f\"{record['x']:.2f}é\"}")).code == expected


BORROWED = """
from textwrap import dedent
v = stream_feature_view(source=source, entities=[user], timestamp_field="at")(dedent)
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "v = stream_feature_view(source=source, entities=[user], timestamp_field='at', name='v')(lambda r: r)",
            "the function must be a plain def; a lambda or an async def cannot be a view",
        ),
        (view().replace("def ", "async def "), "the function must be a plain def; a lambda or an async def"),
        (view().replace("def ", "async def ").replace("return", "yield"), "the function must be a plain def"),
        (
            BORROWED,
            "the function comes from 'textwrap'; write it with def in a module of the repository",
        ),
    ],
)
def test_what_is_no_plain_function_of_the_repository_is_refused(text: str, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        plan_of(text)
