import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.site.links import problems
from tests.environments.test_make import OLDEST_PIP, PYTHON

ROOT = Path(__file__).parents[2]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_make_docs_builds_a_site_with_the_oldest_pip_in_which_every_link_leads_somewhere(tmp_path: Path) -> None:
    make = shutil.which("make")
    assert make is not None
    python = tmp_path / "python3"
    python.write_text(PYTHON.format(python=sys.executable, pip=f"pip=={OLDEST_PIP[sys.version_info.minor]}"))
    python.chmod(0o755)
    site = tmp_path / "site"
    command = [make, "docs", f"PYTHON={python}", f"DOCS_VENV={tmp_path / 'venv'}", f"SITE={site}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(problems(site)) == []
    assert "Exactly once" in (site / "index.html").read_text("utf-8")
    assert "ack_deadline_seconds" in (site / "search.json").read_text("utf-8")
