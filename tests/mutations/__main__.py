"""Shows that the tests can fail: ``python -m tests.mutations [--only NAME ...]``."""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.mutations.listed import MUTATIONS
from tests.mutations.runner import Outcome, Verdict, run_all


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="a mutation by name; may be repeated")
    parser.add_argument("--list", action="store_true", help="show the names and what each mutation would do")
    arguments = parser.parse_args()
    chosen = [each for each in MUTATIONS if arguments.only is None or each.name in arguments.only]
    if unknown := set(arguments.only or ()) - {each.name for each in chosen}:
        parser.error(f"no such mutation: {', '.join(sorted(unknown))}")
    if arguments.list:
        for each in chosen:
            _say(f"{each.name:40} {each.why}")
        return 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="headrace-mutations-") as scratch:
        outcomes = run_all(chosen, Path(scratch), _tell)
    counts = Counter(outcome.verdict for outcome in outcomes)
    summary = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])
    _say(f"{len(outcomes)} mutations in {time.monotonic() - started:.0f} s: {summary}")
    return 0 if counts[Verdict.CAUGHT] == len(outcomes) else 1


def _tell(outcome: Outcome) -> None:
    _say(f"{outcome.verdict.value:10} {outcome.mutation.name}")
    if outcome.verdict is not Verdict.CAUGHT:
        _say(f"    {outcome.mutation.file}: {outcome.mutation.why}")
        _say(f"    tests: {' '.join(outcome.mutation.tests)}\n{outcome.printed}")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - it is a command


if __name__ == "__main__":
    sys.exit(main())
