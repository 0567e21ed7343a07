"""What the pipeline is compared with: a stock Faust agent that keeps one sum per key in a RocksDB Table.

Run by ``bench.pipeline`` as ``python -m faust -A bench.stock_agent worker``, configured by environment variables; all
else is Faust's default. It reads the same topic and decodes the same Avro records as the processor, with the same code.
Once it has taken ``BENCH_EVENTS`` events it writes how long they took, in seconds, to the file ``BENCH_OUTPUT``.
"""

import os
import time
from pathlib import Path

import faust

from bench.events import SOURCE
from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.topics import source_topic

PARTITIONS = int(os.environ["BENCH_PARTITIONS"])
EVENTS = int(os.environ["BENCH_EVENTS"])
OUTPUT = Path(os.environ["BENCH_OUTPUT"])
SCHEMA = avro.parse(os.environ["BENCH_SCHEMA"])

app = faust.App(
    "bench-stock",
    broker=f"kafka://{os.environ['BENCH_BOOTSTRAP']}",
    store="rocksdb://",
    datadir=os.environ["BENCH_DATA"],
    autodiscover=False,
    web_enabled=False,
    topic_partitions=PARTITIONS,
)
topic = app.topic(source_topic("prod", SOURCE), key_serializer="raw", value_serializer="raw", partitions=PARTITIONS)
sums = app.Table("sums", default=float, partitions=PARTITIONS, options={"driver": "rocksdict"})


@app.agent(topic)
async def add(stream: faust.StreamT[bytes]) -> None:
    """Adds each click's amount to its user's sum."""
    taken = 0
    started = 0.0
    async for value in stream:
        started = started or time.perf_counter()
        event = wire.unframe(value, SCHEMA, None)
        sums[event["user_id"]] += event["amount"]
        taken += 1
        if taken == EVENTS:
            took = time.perf_counter() - started
            partial = OUTPUT.with_suffix(".partial")
            partial.write_text(str(took), encoding="ascii")
            partial.rename(OUTPUT)
