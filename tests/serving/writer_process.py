"""A process that writes rows on command, as a processor does: what serving must see is written by another process.

Started as ``python -m tests.serving.writer_process DATA``. Each line of standard input is a JSON row of the one view;
each is answered by one line once it is published, which is when its producer is told that it is written.
"""

import json
import sys
from pathlib import Path

from tests.serving.world import Writer, plan_of, service_text, view_text

VIEW = "clicks@V1"
PLAN = plan_of(
    view_text(
        "clicks",
        'features=[Aggregate("sum", "clicks", timedelta(hours=1)), Aggregate("last", "site", timedelta(hours=1))]',
    )
    + service_text("s", "clicks_V1")
)


def main(data: str) -> None:
    """Writes until standard input ends."""
    with Writer(Path(data), PLAN) as writer:
        sys.stdout.write("open\n")
        sys.stdout.flush()
        for line in sys.stdin:
            writer.write(VIEW, json.loads(line))
            sys.stdout.write("written\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
