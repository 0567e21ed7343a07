import gc
import linecache
import sys

import pytest

from schemas.definitions.objects import StreamFeatureView
from schemas.definitions.repository import digest, load_repository, load_views, module_texts
from schemas.errors import DefinitionError
from tests.support.repositories import HEAD, view

SOURCES = HEAD
VIEWS = "from headrace import *\nfrom {} import source, user, hour\n" + view()


@pytest.mark.parametrize(
    ("files", "imported"),
    [
        ({"sources.py": SOURCES}, "sources"),
        ({"sources.py": SOURCES}, ".sources"),
        ({"common/sources.py": SOURCES}, "common.sources"),
        ({"common/__init__.py": "", "common/sources.py": SOURCES}, ".common.sources"),
        ({"common/__init__.py": "from .sources import *", "common/sources.py": SOURCES}, "common"),
    ],
)
def test_modules_import_each_other(files: dict[str, str], imported: str) -> None:
    repository = load_repository(files | {"views.py": VIEWS.format(imported)}, "repo")
    assert list(repository.views) == [("totals", "V1")]
    assert repository.views["totals", "V1"].source is repository.sources["events"]
    assert list(repository.entities) == ["user"]


def test_packages_import_their_siblings_and_parents() -> None:
    files = {
        "p/__init__.py": "import p.a\nfrom p import b\nassert p.a.X is b.X\n",
        "p/a.py": "from . import b\nfrom .b import X\nfrom .. import nothing\n".replace("from .. import nothing\n", ""),
        "p/b.py": "X = object()\n",
        "p/q/c.py": "from ..b import X\nfrom .. import a as again\nassert again.X is X\n",
    }
    assert load_repository(files, "repo").files == files


def test_two_plans_do_not_share_modules() -> None:
    def loaded(value: int) -> object:
        files = {"a.py": f"X = {value}\n", "views.py": HEAD + "import a\n" + view(body="return a.X")}
        return load_repository(files, f"plan-{value}").views["totals", "V1"].function({})

    assert (loaded(1), loaded(2), loaded(1)) == (1, 2, 1)
    assert "a" not in sys.modules
    assert "views" not in sys.modules


def test_a_function_still_imports_from_its_own_plan_when_it_runs() -> None:
    def function(value: int) -> object:
        body = "from a import X\n    return X"
        files = {"a.py": f"X = {value}\n", "views.py": HEAD + view(body=body)}
        return load_repository(files, "plan").views["totals", "V1"]

    one, two = function(1), function(2)
    assert [view({}) for view in (one, two)] == [1, 2]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.py": "x = 1\ndef f(:\n"}, "repo/a.py:2: invalid syntax; correct the line"),
        ({"a.py": "x = 1\n\0"}, "repo/a.py:1: "),
        ({"a.py": "x = 1\n1 / 0\n"}, "repo/a.py:2: ZeroDivisionError: division by zero; the module must load without"),
        ({"a.py": "import b", "b.py": "\n\nraise ValueError('no')"}, "repo/b.py:3: ValueError: no; the module must"),
        ({"a.py": "import nowhere_at_all"}, "repo/a.py:1: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ({"a.py": "import sys\nsys.exit(3)"}, "repo/a.py:2: SystemExit: 3; the module must load without errors"),
        (
            {"a.py": "features = [Attribute('x')]"},
            "repo/a.py:1: NameError: name 'Attribute' is not defined; an attribute view has no features: it serves",
        ),
        (
            {"a.py": "from b import x\ny = 1", "b.py": "from a import y\nx = 1"},
            "repo/b.py:1: ImportError: 'a' has no 'y' yet: the modules import each other; move it to a third module",
        ),
        ({"a.py": "from b import y", "b.py": "x = 1"}, "repo/a.py:1: ImportError: cannot import name 'y' from 'b'"),
        (
            {"a.py": "from headrace import *\nEntity(name='e', join_keys=[])"},
            "repo/a.py:2: Entity 'e': needs at least one join key",
        ),
        (
            {"a.py": HEAD, "b.py": "\n" + HEAD},
            "repo/b.py:5: StreamSource 'events': already defined at repo/a.py:4; rename one of them",
        ),
    ],
)
def test_what_does_not_load_names_file_and_line(files: dict[str, str], message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        load_repository(files, "repo")
    assert caught.value.message.startswith(message)


def test_who_imports_what_another_platform_calls_an_attribute_is_told_how_one_is_written() -> None:
    with pytest.raises(
        DefinitionError, match=r'ImportError: .*; an attribute view .* schema=\[Field\("country", String'
    ):
        load_repository({"a.py": "from headrace import Attribute"}, "repo")


def test_keyboard_interrupt_is_not_taken_for_an_error_of_the_module() -> None:
    with pytest.raises(KeyboardInterrupt):
        load_repository({"a.py": "raise KeyboardInterrupt"}, "repo")


def test_a_cycle_of_modules_that_need_nothing_of_each_other_yet_loads() -> None:
    files = {"a.py": "import b\ndef f(): return b.g()\n", "b.py": "import a\ndef g(): return 1\n"}
    assert load_repository(files, "repo").files == files


def test_an_object_imported_twice_is_one_object() -> None:
    files = {"a.py": HEAD + view(), "b.py": "from a import *\nagain = totals\n"}
    assert len(load_repository(files, "repo").views) == 1


def test_a_module_that_does_not_load_takes_with_it_what_imports_it_and_no_other() -> None:
    files = {
        "a_views.py": HEAD + "import helper\n" + view("of_a"),
        "b_views.py": HEAD + view("of_b"),
        "helper.py": "import missing",
        "missing.py": "import nowhere_at_all",
    }
    loaded = load_views(files, "repo", {})
    assert list(loaded.views) == [("of_b", "V1")]
    assert list(loaded.failures) == ["missing", "helper", "a_views"]
    assert all("No module named 'nowhere_at_all'" in problem for problem in loaded.failures.values())


@pytest.mark.parametrize(
    ("files", "failed"),
    [
        ({"a.py": "import b\n1 / 0", "b.py": "import a\n" + HEAD + view()}, {"a", "b"}),
        ({"p/__init__.py": "import p.b\n1 / 0", "p/b.py": HEAD + view()}, {"p", "p.b"}),
        ({"p/__init__.py": "from . import b\n1 / 0", "p/b.py": "from . import c", "p/c.py": HEAD + view()}, None),
    ],
    ids=["a cycle", "a package", "a package with two modules"],
)
def test_what_was_loaded_rests_on_nothing_that_failed_later(files: dict[str, str], failed: set[str] | None) -> None:
    loaded = load_views(files, "repo", {})
    assert loaded.views == {}
    assert loaded.failures.keys() == (failed or {"p", "p.b", "p.c"})


def test_a_module_that_got_half_of_one_after_it_had_loaded_itself_fails_with_it() -> None:
    late = "def late():\n    import b\n"
    files = {"a.py": HEAD + view("of_a") + late, "b.py": "import a\na.late()\n1 / 0", "c.py": HEAD + view("of_c")}
    loaded = load_views(files, "repo", {})
    assert list(loaded.views) == [("of_c", "V1")]
    assert loaded.failures.keys() == {"a", "b"}
    assert loaded.failures["a"].startswith("'a' imports 'b': repo/b.py:3: ZeroDivisionError")


def test_functions_are_found_by_the_key_that_plans_name_their_view_by() -> None:
    loaded = load_views({"views.py": HEAD + view(body="return {'x': 7.0}") + view("other")}, "repo", {})
    assert loaded.functions().keys() == {"totals@V1", "other@V1"}
    assert loaded.functions()["totals@V1"]({}) == {"x": 7.0}


def test_a_module_that_lives_without_one_that_failed_loads() -> None:
    text = "try:\n    import helper\nexcept Exception:\n    helper = None\n"
    loaded = load_views({"helper.py": "1 / 0", "views.py": text + HEAD + view()}, "repo", {})
    assert (list(loaded.views), list(loaded.failures)) == ([("totals", "V1")], ["helper"])
    with pytest.raises(DefinitionError, match="ZeroDivisionError"):
        load_repository({"views.py": text, "helper.py": "1 / 0"}, "repo")


def test_condemned_modules_do_not_run() -> None:
    files = {"a.py": HEAD + view("of_a"), "b.py": "raise SystemExit", "c.py": "import b\n" + HEAD + view("of_c")}
    events: list[tuple[str, str]] = []
    loaded = load_views(files, "repo", {"b": "it hangs"}, lambda *event: events.append(event))
    assert list(loaded.views) == [("of_a", "V1")]
    assert loaded.failures == {"b": "it hangs", "c": "it hangs"}
    assert events == [("begins", "a"), ("ends", "a"), ("begins", "c"), ("ends", "c")]


def test_a_module_that_raises_what_is_no_ordinary_exception_fails_alone() -> None:
    files = {"a.py": "raise KeyboardInterrupt", "b.py": HEAD + view(), "c.py": "import sys; sys.exit(0)"}
    loaded = load_views(files, "repo", {})
    assert (list(loaded.views), loaded.failures["a"]) == ([("totals", "V1")], "KeyboardInterrupt")
    assert loaded.failures.keys() == {"a", "c"}


def test_a_view_that_two_modules_define_here_is_neither() -> None:
    loaded = load_views({"a.py": HEAD + view() + view("other"), "b.py": HEAD + view()}, "repo", {})
    assert list(loaded.views) == [("other", "V1")]


def test_digest_depends_on_paths_and_texts() -> None:
    digests = {digest(files) for files in ({}, {"a": "b"}, {"a": "c"}, {"ab": ""}, {"": "ab"}, {"a": "", "b": ""})}
    assert len(digests) == 6
    assert digest({"a": "1", "b": "2"}) == digest({"b": "2", "a": "1"})


def test_module_names() -> None:
    files = ("a.py", "p/__init__.py", "p/b.py", "__init__.py", "p/schema.avsc")
    assert set(module_texts(dict.fromkeys(files, ""))) == {"a", "p", "p.b", "__init__"}


def test_the_lines_that_tracebacks_show_go_with_their_plan() -> None:
    def load(number: int) -> StreamFeatureView:
        return load_repository({"views.py": HEAD + view()}, f"passing-{number}").views["totals", "V1"]

    def shown() -> set[str]:
        return {name for name in linecache.cache if name.startswith("passing-")}

    kept = load(0)
    for number in range(1, 4):
        load(number)
    again = load(0)
    gc.collect()
    assert shown() == {"passing-0/views.py"}
    assert linecache.getline("passing-0/views.py", 1)
    del kept
    gc.collect()
    assert shown() == {"passing-0/views.py"}, "what was loaded again is another module's now"
    del again
    gc.collect()
    assert shown() == set()
