import asyncio
import json
from typing import Any, cast

import pytest

from processors.transform.writer_schemas import WriterSchemas, ids_of
from processors.waiting import NotHereError
from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.records.transform import SourceRecord
from tests.support.flow import OWN_ID, record

TEXT = json.dumps({"type": "record", "name": "r", "fields": [{"name": "a", "type": "long"}]})


class Registry:
    def __init__(self, **later: str) -> None:
        self.texts: dict[int, str] = {}
        self.reads = 0
        self._later = later

    def schema_by_id(self, schema_id: int) -> str | None:
        return self.texts.get(schema_id)

    def read_to_end(self, timeout_seconds: float) -> None:
        assert timeout_seconds > 0
        self.reads += 1
        self.texts |= {int(name[1:]): text for name, text in self._later.items()}


class Owner:
    is_owned = True


def of(registry: Registry) -> WriterSchemas:
    return WriterSchemas(cast("Any", registry), Owner(), "prod.source.events[1]")


def naming(*ids: int) -> list[SourceRecord]:
    return [record(offset, wire.MAGIC + each.to_bytes(4, "big") + b"x") for offset, each in enumerate(ids)]


def test_ids_are_read_from_whole_frames_alone() -> None:
    assert ids_of([wire.MAGIC + b"\0\0\0\7x", wire.MAGIC + b"\0\0\0\7", b"\1\0\0\0\7", b"\0\0", b""]) == {7}


def test_the_sources_own_schema_is_not_looked_for() -> None:
    registry = Registry()
    assert of(registry).of(naming(OWN_ID), OWN_ID, set()) == {}
    assert registry.reads == 0


def test_an_id_counts_as_unknown_only_once_the_registry_was_read_to_its_end() -> None:
    registry = Registry(i7=TEXT)
    schemas = of(registry)
    with pytest.raises(NotHereError, match=r"schemas \[7, 99\] for prod.source.events\[1\]") as missing:
        schemas.of(naming(7, 99, OWN_ID), OWN_ID, set())
    asyncio.run(missing.value.until())
    assert registry.reads == 1
    found = schemas.of(naming(7, 99, OWN_ID), OWN_ID, {missing.value.what})
    assert (set(found), found[99], found[7]) == ({7, 99}, None, avro.parse(TEXT))


def test_what_is_known_is_parsed_once_and_what_is_not_is_not_kept() -> None:
    registry = Registry()
    registry.texts[7] = TEXT
    schemas = of(registry)
    first = schemas.of(naming(7), OWN_ID, set())[7]
    assert schemas.of(naming(7), OWN_ID, set())[7] is first
    with pytest.raises(NotHereError):
        schemas.of(naming(8), OWN_ID, set())
    registry.texts[8] = TEXT
    assert schemas.of(naming(8), OWN_ID, set())[8] == avro.parse(TEXT)


def test_a_process_of_its_own_gets_the_text_that_its_record_names() -> None:
    registry = Registry()
    registry.texts[7] = TEXT
    schemas = of(registry)
    assert [schemas.texts(each) for each in naming(7, 99)] == [{7: TEXT}, {99: None}]
    assert schemas.texts(record(0, b"no frame")) == {}
