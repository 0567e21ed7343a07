"""Code in child processes: whatever a module does, the caller lives and knows which it was."""

import asyncio
import sys

import pytest

from infra.process import parent_death
from infra.user_code import process as code_process
from infra.user_code.trial import Trial, try_code
from tests.support.repositories import HEAD, view

GOOD = HEAD + view("good")


def tried(files: dict[str, str], module_seconds: float = 30.0) -> Trial:
    return asyncio.run(try_code("plan-7", files, module_seconds=module_seconds, pauses=(0.01, 0.01)))


def test_code_that_loads_is_told_by_its_views() -> None:
    assert tried({"a.py": GOOD, "b.py": "print('hello')"}) == Trial(frozenset({"good@V1"}), {})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import os; os._exit(4)", "ended with exit status 4"),
        ("import os; os._exit(0)", "ended with exit status 0 and without an answer"),
        ("import ctypes; ctypes.string_at(0)", "ended with signal SIGSEGV"),
        ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("import os; os.environ['SET_NOWHERE']", "KeyError: 'SET_NOWHERE'"),
    ],
)
def test_a_module_that_fails_or_kills_is_found_out_with_what_imports_it(text: str, problem: str) -> None:
    trial = tried({"a.py": "import bad\n" + HEAD + view("lost"), "b.py": GOOD, "bad.py": text})
    assert trial.views == {"good@V1"}
    assert trial.failures.keys() == {"a", "bad"}
    assert problem in trial.failures["bad"]


def test_modules_that_hang_cost_their_time_and_no_other_module() -> None:
    hanging = "while True: pass"
    trial = tried({"a.py": hanging, "b.py": "import a", "c.py": GOOD, "d.py": f"import c\n{hanging}"}, 3.0)
    assert trial.views == {"good@V1"}
    assert trial.failures.keys() == {"a", "b", "d"}
    problem = "plan-7: the process that tried this code did not end within 3 s while module 'd' was loaded"
    assert trial.failures["d"] == problem


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")
def test_a_module_that_takes_all_memory_fails_alone() -> None:
    trial = tried({"a.py": "x = bytearray(1 << 50)", "b.py": GOOD})
    assert trial.views == {"good@V1"}
    assert trial.failures.keys() == {"a"}


def test_what_writes_where_the_answers_go_is_found_out() -> None:
    text = "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'nonsense')\n    except OSError: pass\n"
    trial = tried({"a.py": text, "b.py": GOOD})
    assert trial.views == {"good@V1"}
    assert trial.failures.keys() == {"a"}
    assert "wrote where its answers go" in trial.failures["a"]


def test_a_child_that_cannot_be_started_condemns_what_could_not_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_process, "tied_to_parent", lambda _argv: ["/nowhere/at/all"])
    trial = tried({"a.py": GOOD})
    assert trial.views == frozenset()
    assert trial.failures == {"a": "plan-7: a process to try this code in cannot be started: No such file or directory"}


def test_a_child_that_could_not_be_started_once_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = iter([["/nowhere/at/all"], ["/nowhere/at/all"]])
    real = parent_death.tied_to_parent
    monkeypatch.setattr(code_process, "tied_to_parent", lambda argv: next(starts, None) or real(argv))
    assert tried({"a.py": GOOD}).views == {"good@V1"}
