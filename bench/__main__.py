"""``python -m bench [--full] [NAME …]``: runs benchmarks and writes down what they found."""

import argparse
import dataclasses
import importlib
import time
from typing import Final

from bench import report
from bench.figures import Extent, Results
from bench.neighbours import Neighbours
from infra.logs import configure_logs

BENCHMARKS: Final = ("core", "pipeline", "ack", "freshness", "serving", "memory")
"""Each is a module of this package with ``run(extent) -> Results``; in the order in which they run."""


def main() -> None:
    """Runs the benchmarks that the command line names, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Runs benchmarks and writes down the results.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--full", action="store_true", help="larger data and more runs; takes an hour")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; known are {', '.join(BENCHMARKS)}")
    extent = Extent.FULL if arguments.full else Extent.STANDARD
    configure_logs("bench", "error")
    started = time.monotonic()
    for name in arguments.names or BENCHMARKS:
        print(f"… {name}", flush=True)
        neighbours = Neighbours()
        found: Results = importlib.import_module(f"bench.{name}").run(extent)
        found = dataclasses.replace(found, notes=f"{found.notes} {neighbours.sentence()}")
        report.save(name, found)
        for table in (report.figures_table(name, found), *found.tables):
            print(report.plain(table), flush=True)
        print(found.notes, flush=True)
    print(f"bench: done in {time.monotonic() - started:.0f} s; see {report.PAGE.relative_to(report.ROOT)}")


if __name__ == "__main__":
    main()
