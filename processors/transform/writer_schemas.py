"""The schemas that records name by id, parsed; what the transform of records of other writers needs.

Invariant: an id counts as unknown only once the registry was read to its end. Only known ids are kept, so that records
with made-up ids fill no memory.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Final

from infra.kafka.schema_registry import SchemaRegistry
from processors.waiting import NotHereError, Owner, until_available
from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.errors import CodecError
from schemas.records.transform import SourceRecord

READ_SECONDS: Final = 5.0  # for the registry to be read to its end, before that is tried again


def ids_of(values: Iterable[bytes]) -> set[int]:
    """Returns the schema ids that framed records carry; none for a value that is not framed."""
    prefixes = {value[: wire.PREFIX_BYTES] for value in values}
    whole = (p for p in prefixes if len(p) == wire.PREFIX_BYTES and p[:1] == wire.MAGIC)
    return {int.from_bytes(prefix[1:], "big") for prefix in whole}


class WriterSchemas:
    """The schemas that records of one partition name.

    Args:
        registry: started.
        owner: of the partition.
        partition: its name, for messages.
    """

    def __init__(self, registry: SchemaRegistry, owner: Owner, partition: str) -> None:
        self._registry = registry
        self._owner = owner
        self._partition = partition
        self._parsed: dict[int, avro.ParsedSchema] = {}

    def of(
        self, records: Sequence[SourceRecord], own_id: int, waited: AbstractSet[str]
    ) -> dict[int, avro.ParsedSchema | None]:
        """Returns the schemas that records name, by id; None for ids that the registry does not have.

        Args:
            records: of the partition.
            own_id: of their source's schema, which is known to whoever reads them.
            waited: what they have waited for already.

        Raises:
            NotHereError: some are not here, and the registry may have them.
        """
        ids = ids_of(record.value for record in records) - {own_id}
        found = {schema_id: self._find(schema_id) for schema_id in ids}
        what = f"schemas {sorted(ids)} for {self._partition}"
        if None in found.values() and what not in waited:
            read = partial(self._registry.read_to_end, READ_SECONDS)
            raise NotHereError(what, partial(until_available, self._owner, read, what))
        return found

    def texts(self, record: SourceRecord) -> Mapping[int, str | None]:
        """Returns the text of the schema that a record names, by id; None if the registry has none."""
        return {schema_id: self._registry.schema_by_id(schema_id) for schema_id in ids_of([record.value])}

    def _find(self, schema_id: int) -> avro.ParsedSchema | None:
        if schema_id not in self._parsed:
            text = self._registry.schema_by_id(schema_id)
            if text is None:
                return None
            try:
                self._parsed[schema_id] = avro.parse(text)
            except CodecError:  # the registry takes no such text; were there one, its records could not be read
                return None
        return self._parsed[schema_id]
