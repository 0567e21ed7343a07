"""The schemas that records name by id, parsed; what the transform of records of other writers needs.

Invariant: an id counts as unknown only once the registry was read to its end. Only known ids are kept, so that records
with made-up ids fill no memory.
"""

from collections.abc import Iterable

from infra.kafka.schema_registry import SchemaRegistry
from schemas.avro import schema as avro
from schemas.errors import CodecError

READ_SECONDS = 5.0


def ids_of(values: Iterable[bytes]) -> set[int]:
    """Returns the schema ids that framed records carry; none for a value that is not framed."""
    prefixes = {value[: avro.PREFIX_BYTES] for value in values}
    whole = (p for p in prefixes if len(p) == avro.PREFIX_BYTES and p[:1] == avro.MAGIC)
    return {int.from_bytes(prefix[1:], "big") for prefix in whole}


class WriterSchemas:
    """What is known of the registry, for one thread.

    Args:
        registry: started.
    """

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._parsed: dict[int, avro.ParsedSchema] = {}

    def known(self, ids: Iterable[int]) -> dict[int, avro.ParsedSchema]:
        """Returns those schemas that were read already, by id."""
        return {schema_id: parsed for schema_id in ids if (parsed := self._find(schema_id)) is not None}

    def read(self) -> None:
        """Reads the registry to its end; from any thread.

        Raises:
            UnavailableError: it cannot be read now.
        """
        self._registry.read_to_end(READ_SECONDS)

    def texts(self, ids: Iterable[int]) -> dict[int, str | None]:
        """Returns the texts of schemas by id, None where there is none."""
        return {schema_id: self._registry.schema_by_id(schema_id) for schema_id in ids}

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
