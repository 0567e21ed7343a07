import subprocess
import sys
from pathlib import Path

from bench.profiling import profile_table, profiled


def test_a_profile_names_headrace_functions_without_paths_of_the_machine(tmp_path: Path) -> None:
    statistics = tmp_path / "out.prof"
    subprocess.run(profiled([sys.executable, "-m", "bench", "--help"], statistics), check=True, capture_output=True)
    table = profile_table(statistics, "profile", "run", 1)
    assert not any(str(Path.cwd()) in row[0] for row in table.rows)
