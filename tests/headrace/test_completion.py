import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
LINES = dict(
    re.findall(r"^(.*_HEADRACE_COMPLETE=(?:bash|zsh|fish)_source headrace[^#]*?) +# (\w+)", README, re.MULTILINE)
)
SHELLS = {shell: line for line, shell in LINES.items()}

BIN = Path(sys.executable).parent
BASH = shutil.which("bash")
SH = "/bin/sh"

ENVIRON = os.environ | {"PATH": os.pathsep.join([str(BIN), os.environ["PATH"]])}


def completed(shell: str, words: str, **more: str) -> str:
    environ = ENVIRON | {"_HEADRACE_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, **more}
    return subprocess.run(
        [BIN / "headrace"], env=environ, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_the_readme_has_a_line_for_each_shell() -> None:
    assert SHELLS.keys() == {"bash", "zsh", "fish"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_line_gives_the_shell_a_script(shell: str) -> None:
    command = re.search(r"_HEADRACE_COMPLETE=\w+ headrace", SHELLS[shell])
    assert command
    made = subprocess.run([SH, "-c", command[0]], env=ENVIRON, capture_output=True, text=True, check=True, timeout=60)
    assert "_headrace_completion" in made.stdout
    assert f"_HEADRACE_COMPLETE={shell}_complete" in made.stdout


@pytest.mark.parametrize(
    ("shell", "more"), [("bash", {"COMP_CWORD": "1"}), ("zsh", {"COMP_CWORD": "1"}), ("fish", {"COMP_CWORD": "ingest"})]
)
def test_a_shell_completes_commands(shell: str, more: dict[str, str]) -> None:
    answer = completed(shell, "headrace ingest", **more)
    assert re.findall(r"\bingest(?:-api)?\b(?!\()", answer)[0] == "ingest"
    assert "ingest-api" in answer
    assert "serving" not in answer.split("\n")


def test_a_shell_completes_flags() -> None:
    assert completed("bash", "headrace up --serving-", COMP_CWORD="2") == "plain,--serving-port\n"


@pytest.mark.skipif(BASH is None, reason="the line is for bash")
def test_bash_takes_the_line() -> None:
    assert BASH
    script = f"{SHELLS['bash']}\ncomplete -p headrace"
    done = subprocess.run(
        [BASH, "-euo", "pipefail", "-c", script], env=ENVIRON, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "-F _headrace_completion headrace" in done.stdout
