import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("target", ["demo", "up", "test", "check", "bench", "mutations", "lock", "docs", "reference"])
def test_make_knows_how_to_make_a_target(target: str) -> None:
    make = shutil.which("make")
    assert make is not None
    done = subprocess.run([make, "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
