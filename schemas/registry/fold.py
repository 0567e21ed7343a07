"""Which Avro schemas are registered under which subjects, as a fold over the log of registrations.

Invariant: ids, versions and GUIDs follow from the log alone, so every process that has read the same prefix of it gives
the same answers, whoever raced whom to write it.

- A schema's *identity* is its canonical form: the parsed schema with names resolved, attributes sorted and layout
  dropped. Defaults, logical types, aliases and docs all count; two texts that differ only in layout are one schema.
- A schema's *id* is the offset of the first registration that carries it, plus one (zero is no id to some clients).
- A schema's *GUID* is made from its canonical form, so it is the same in every installation.
- A subject's *versions* are its distinct schemas, numbered from 1 in log order. Registering one again changes nothing.

Clients get back the text that was registered first, byte for byte.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import fastavro.schema
import msgspec

from schemas.avro.items import empty_items
from schemas.errors import CodecError, NewerFormatError, RequestError
from schemas.limits import MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH

AVRO: Final = "AVRO"
REGISTRATION_FORMAT: Final = 1
_GUID_NAMESPACE: Final = uuid.UUID("6f0c6bd5-3a0e-5a3c-9c53-0d9f4d1c7a5e")
_PARSE_ERRORS: Final = (
    fastavro.schema.SchemaParseException,
    fastavro.schema.UnknownType,
    AttributeError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What fastavro raises for JSON that is no schema: its own errors, and what Python makes of a wrong shape."""


class _Format(msgspec.Struct, frozen=True):
    """What registrations of every format have."""

    format: int = 1


class Registration(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The value of one record of the log, as JSON."""

    subject: str
    schema: str
    schema_type: str = AVRO
    format: int = REGISTRATION_FORMAT


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """One schema, whatever its subjects."""

    id: int
    guid: str
    text: str


@dataclass(frozen=True, slots=True)
class SubjectVersion:
    """One schema under one subject."""

    subject: str
    version: int
    schema: RegisteredSchema


def canonical_form(text: str) -> str:
    """Returns the text that equal schemas share.

    Raises:
        RequestError: the text is no Avro schema, or past the limits above; says what is wrong with it.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_SCHEMA_BYTES:
        raise RequestError(
            f"the schema has {size} bytes, at most {MAX_SCHEMA_BYTES} are accepted; shorten its docs or split it"
        )
    try:
        document = msgspec.json.decode(text, type=str | list[Any] | dict[str, Any])
        _check_shape(document)
        named: dict[str, Any] = {}
        parsed = fastavro.schema.parse_schema(document, named_schemas=named, _write_hint=False)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise RequestError(
            f"the schema is not JSON of an Avro schema ({error}); send the schema's text, quoted as one string"
        ) from None
    except KeyError as error:
        raise RequestError(
            f"not an Avro schema: the attribute {error} is missing; add it and register the schema again"
        ) from None
    except _PARSE_ERRORS as error:
        raise RequestError(f"not an Avro schema: {error}; correct it and register it again") from None
    empty = empty_items(parsed, named)
    if empty is not None:
        raise RequestError(
            f"the schema has an array of {empty}, whose items take no bytes, so that a short record could claim any "
            "number of them; use a count instead"
        )
    return msgspec.json.encode(parsed, order="sorted").decode()


def _check_shape(document: object) -> None:
    """Refuses what the parser must not meet: nesting that ends in its recursion limit, and its own private notes."""
    level = [document]
    for _ in range(MAX_SCHEMA_DEPTH):
        for item in level:
            if isinstance(item, dict) and (private := [key for key in item if key.startswith("__")]):
                raise RequestError(f"the schema has the attribute {private[0]!r}, a parser's private note; remove it")
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise RequestError(f"the schema nests deeper than {MAX_SCHEMA_DEPTH} levels of JSON; flatten it")


def _check_format(offset: int, value: bytes | None) -> None:
    """Refuses a registration of a later format by name of it, before anything else of it is looked at."""
    found = msgspec.json.decode(value or b"", type=_Format).format
    if found > REGISTRATION_FORMAT:
        raise NewerFormatError(
            f"offset {offset} holds a registration of format {found}, expected {REGISTRATION_FORMAT}; upgrade Headrace"
        )


def guid_of(canonical: str) -> str:
    """Returns the GUID of the schema with this canonical form."""
    return str(uuid.uuid5(_GUID_NAMESPACE, canonical))


class Registry:
    """The fold. One thread feeds it; any thread may read meanwhile, since each entry is complete before it is seen."""

    def __init__(self) -> None:
        self._by_canonical: dict[str, RegisteredSchema] = {}
        self._by_id: dict[int, RegisteredSchema] = {}
        self._by_guid: dict[str, RegisteredSchema] = {}
        self._versions: dict[str, tuple[SubjectVersion, ...]] = {}

    def register_record(self, offset: int, value: bytes | None) -> SubjectVersion:
        """Takes the next record of the log and returns what it registered, now or at an earlier offset.

        Raises:
            CodecError: the record is no registration; it changes nothing, in any process.
            NewerFormatError: it is one of a later format, and so of a schema that this process cannot know.
        """
        try:
            _check_format(offset, value)
            registration = msgspec.json.decode(value or b"", type=Registration)
            canonical = canonical_form(registration.schema)
        except (msgspec.DecodeError, UnicodeDecodeError, RequestError) as error:
            raise CodecError(f"offset {offset} holds no registration: {error}") from error
        if registration.schema_type != AVRO:
            raise CodecError(f"offset {offset} registers schema type {registration.schema_type!r}, expected {AVRO!r}")

        schema = self._by_canonical.get(canonical)
        if schema is None:
            schema = RegisteredSchema(offset + 1, guid_of(canonical), registration.schema)
            self._by_id[schema.id] = schema
            self._by_guid[schema.guid] = schema
            self._by_canonical[canonical] = schema

        versions = self.versions(registration.subject)
        for known in versions:
            if known.schema is schema:
                return known
        added = SubjectVersion(registration.subject, len(versions) + 1, schema)
        self._versions[registration.subject] = (*versions, added)
        return added

    def schema(self, schema_id: int) -> RegisteredSchema | None:
        """Returns the schema with this id, or None."""
        return self._by_id.get(schema_id)

    def schema_by_guid(self, guid: str) -> RegisteredSchema | None:
        """Returns the schema with this GUID, in its usual lower-case form, or None."""
        return self._by_guid.get(guid)

    def subjects(self) -> list[str]:
        """Returns all subjects, sorted."""
        return sorted(self._versions.copy())

    def versions(self, subject: str) -> Sequence[SubjectVersion]:
        """Returns the versions of a subject in order; none if it is unknown."""
        return self._versions.get(subject, ())

    def lookup(self, subject: str, text: str) -> SubjectVersion | None:
        """Returns the version under which a subject holds this schema, or None.

        Raises:
            RequestError: the text is no Avro schema.
        """
        schema = self._by_canonical.get(canonical_form(text))
        return next((known for known in self.versions(subject) if known.schema is schema), None)

    def uses(self, schema_id: int) -> list[SubjectVersion]:
        """Returns every subject and version that hold the schema with this id, sorted by subject."""
        versions = self._versions.copy()
        return [known for subject in sorted(versions) for known in versions[subject] if known.schema.id == schema_id]
