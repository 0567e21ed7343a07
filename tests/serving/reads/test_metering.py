from serving.reads.metering import Meter, MeteredReader
from serving.reads.read_plan import LeadingEdge
from tests.serving.memory_partition import Partitions
from tests.serving.world import NOON, TEN_MINUTES, read_plan_of, service_text, view_text
from tests.support.memory_state import MemoryState

ENTRIES = {b"a": b"1", b"b": b"22", b"c": b"333"}


def test_metered_reads_are_those_of_the_reader_and_their_bytes_count() -> None:
    plain, meter = MemoryState(ENTRIES), Meter()
    metered = MeteredReader(plain, meter)
    sizes = []

    def size_of(value: object, expected: object) -> None:
        assert value == expected
        sizes.append(meter.size)
        meter.size = 0

    size_of(metered.get(b"b"), plain.get(b"b"))
    size_of(metered.get(b"x"), None)
    size_of(metered.get_many([b"a", b"x", b"c"]), plain.get_many([b"a", b"x", b"c"]))
    size_of(list(metered.scan(b"a", b"c")), list(plain.scan(b"a", b"c")))
    size_of(metered.last_before(b"a", b"c"), plain.last_before(b"a", b"c"))
    size_of(metered.last_before(b"x", b"z"), None)

    assert sizes == [3, 0, 6, 5, 3, 0]
    assert meter.longest > 0


def test_a_metered_plan_reads_the_same() -> None:
    views = view_text("a", TEN_MINUTES + 'features=[Aggregate("sum", "clicks", timedelta(hours=1))]') + view_text(
        "b", ""
    )
    plan = read_plan_of(views + service_text("s", "a_V1", "b_V1"), "s")
    partitions, meter = Partitions(), Meter()
    for read in plan.views:
        partitions.write(read.view, {"user_id": "ann", "at": NOON - 1, "clicks": 3})

    plain = plan.read(partitions.open, ["ann"], NOON, LeadingEdge.LATEST_EVENT)
    metered = plan.read(meter.opener(partitions.open), ["ann"], NOON, LeadingEdge.LATEST_EVENT)

    assert metered == plain
    assert meter.size > 0
