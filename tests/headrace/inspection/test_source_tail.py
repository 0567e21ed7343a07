from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
def site(bootstrap: str, unique: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(bootstrap, unique, tmp_path)
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


def told(shown: Iterable[Shown]) -> dict[int, str]:
    """What was told last of each record, by its offset."""
    return {each.record.offset: str(each.fates["spending@V1"]) for each in shown}


def test_the_newest_records_and_those_that_come_are_told_with_what_became_of_them(site: Site) -> None:
    site.produce(event("ann", 5), event("ann", 1), event("bob", 0), event("cid", -1))
    failed = "FUNCTION_FAILED: features.py:15, in spending: ValueError: negative"
    first = {1: "2 rows", 2: "dropped", 3: failed}
    late = event("dan", 1)
    late["at"] = late["at"].replace(year=2020)
    with processor(site):
        site.waits_until_finished()
        with tail(site, follows=True, installation=site.installation) as reading:
            reading.begin(3)
            found: dict[int, str] = {}

            def come(expected: dict[int, str]) -> bool:
                found.update(told(reading.shown()))
                return found == expected

            wait_until(lambda: come(first))
            site.produce(late, event("ann", 2))
            wait_until(lambda: come({**first, 4: "2 rows, 2 late", 5: "2 rows"}))
            assert reading.source.name == SOURCE


def test_without_processors_records_are_pending(site: Site) -> None:
    site.produce(event("ann", 1))
    for installation in (None, site.installation):
        with tail(site, follows=False, installation=installation) as reading:
            reading.begin(10)
            assert told(reading.once()) == {0: "pending"}


def test_a_source_without_records_has_nothing_to_tell(site: Site) -> None:
    with tail(site, follows=False, installation=site.installation) as reading:
        reading.begin(10)
        assert list(reading.once()) == []


def test_an_unknown_source_is_told_with_those_there_are(site: Site) -> None:
    known = f"workspace {site.workspace} has no stream source 'x'; known are: {SOURCE}$"
    with pytest.raises(NotFoundError, match=known), tail(site, follows=False, source="x"):
        pass


def test_a_source_that_is_removed_meanwhile_is_told(site: Site) -> None:
    def ends(reading: SourceTail) -> bool:
        try:
            return bool(list(reading.shown()))
        except NotFoundError:
            return True

    with tail(site, follows=True, installation=site.installation) as reading:
        reading.begin(10)
        assert not ends(reading)
        site.apply(HEAD)
        wait_until(lambda: ends(reading))
