from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from headrace.inspection.record_fates import Shown
from headrace.inspection.source_tail import SourceTail
from infra.kafka.definitions import DefinitionsLog
from schemas.errors import NotFoundError
from tests.support.site import HEAD, SOURCE, Site, event, processor, source_text, view_text
from tests.support.waiting import wait_until

BODY = """if record["amount"] < 0: raise ValueError("negative")
    return None if record["amount"] == 0 else [record, {**record, "user": "all"}]"""


@pytest.fixture
def site(bootstrap: str, unique: str, tmp_path: object) -> Iterator[Site]:
    made = Site(bootstrap, unique, tmp_path)  # type: ignore[arg-type]  # a path
    made.apply(HEAD, source_text(), view_text(body=BODY))
    yield made
    made.remove()


@contextmanager
def tail(site: Site, *, follows: bool, installation: str | None = None, source: str = SOURCE) -> Iterator[SourceTail]:
    definitions = DefinitionsLog(site.bootstrap)
    definitions.start()
    try:
        definitions.read_to_end(20)
        with SourceTail(site.bootstrap, definitions, site.workspace, source, installation, follows=follows) as made:
            yield made
    finally:
        definitions.stop()


def told(shown: list[Shown]) -> list[tuple[int, str]]:
    return [(each.record.offset, str(each.fates["spending@V1"])) for each in shown]


def test_the_newest_records_and_those_that_come_are_told_with_what_became_of_them(site: Site) -> None:
    site.produce(event("ann", 5), event("ann", 1), event("bob", 0), event("cid", -1))
    late = event("dan", 1)
    late["at"] = late["at"].replace(year=2020)
    with processor(site):
        site.waits_until_finished()
        with tail(site, follows=True, installation=site.installation) as reading:
            reading.begin(3)
            shown: list[Shown] = []

            def come(count: int) -> bool:
                shown.extend(reading.shown())
                return len(shown) == count

            wait_until(lambda: come(3))
            site.produce(late, b"no Avro")
            wait_until(lambda: come(5))
            assert reading.source.name == SOURCE
    assert told(shown[:3]) == [(1, "2 rows"), (2, "dropped"), (3, "FUNCTION_FAILED: ValueError: negative")]
    assert told(shown[3:4]) == [(4, "2 rows, 2 late")]
    assert told(shown[4:])[0][1].startswith("MALFORMED: expected the Confluent wire format")


def test_without_processors_records_are_pending(site: Site) -> None:
    site.produce(event("ann", 1))
    for installation in (None, site.installation):
        with tail(site, follows=False, installation=installation) as reading:
            reading.begin(10)
            assert told(list(reading.once())) == [(0, "pending")]


def test_a_source_without_records_has_nothing_to_tell(site: Site) -> None:
    with tail(site, follows=False, installation=site.installation) as reading:
        reading.begin(10)
        assert list(reading.once()) == []


def test_an_unknown_source_is_told_with_those_there_are(site: Site) -> None:
    known = f"workspace {site.workspace} has no stream source 'x'; known are: {SOURCE}$"
    with pytest.raises(NotFoundError, match=known), tail(site, follows=False, source="x"):
        pass
