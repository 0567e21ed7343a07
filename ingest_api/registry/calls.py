"""What each call of the schema registry's HTTP API answers, as plain functions of the call.

Invariant: "not found" is said only after the registry was read to its end, so a schema registered through one process
is found through every other at once. What is known is answered from memory, also while Kafka is away.

Paths, error codes and bodies are those of Confluent's API; which of them the stock clients use stands in
rule KA-4.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from starlette.datastructures import QueryParams

from access.roles import Action
from infra.kafka.schema_registry import SchemaRegistry
from ingest_api.registry.subject_rights import SubjectRights, is_source_subject
from schemas.errors import ForbiddenError, RequestError
from schemas.limits import MAX_SCHEMA_DEPTH, MAX_SUBJECT_CHARACTERS
from schemas.registry.fold import AVRO, SubjectVersion

MAX_NUMBER: Final = 2**31 - 1
MAX_NUMBER_DIGITS: Final = 10

# Confluent's error codes

INCOMPATIBLE_SCHEMA: Final = 409
"""The schema is not compatible with the subject's versions."""

SUBJECT_NOT_FOUND: Final = 40401
"""There is no such subject."""

VERSION_NOT_FOUND: Final = 40402
"""The subject has no such version."""

SCHEMA_NOT_FOUND: Final = 40403
"""There is no such schema."""

INVALID_SCHEMA: Final = 42201
"""The schema, or the request, is not valid."""

INVALID_VERSION: Final = 42202
"""The version is no number of one."""

INVALID_SUBJECT: Final = 42208
"""The name of the subject is not valid."""

TOO_DEEP: Final = f"the schema nests deeper than {MAX_SCHEMA_DEPTH} levels of JSON; flatten it"

_LATEST: Final = ("latest", "-1")

T = TypeVar("T")


class SchemaRequest(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a registration or a look-up. What goes beyond a plain Avro schema must be empty."""

    schema: str
    schema_type: str | None = None
    references: list[Any] | None = None
    metadata: dict[str, Any] | None = None
    rule_set: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the names that stand for the stars of its path, decoded, its query and its body.

    ``rights`` were checked for the subject in the path, if there is one; lists and reads by id or GUID check theirs.
    ``timeout_seconds`` is how long it may wait for Kafka.
    """

    registry: SchemaRegistry
    rights: SubjectRights
    timeout_seconds: float
    names: Sequence[str]
    query: QueryParams
    body: bytes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method on a path (``*`` stands for one name), what the caller must be allowed to do, and the answer.

    ``answer`` may wait for Kafka and raises `RequestError` or `UnavailableError`.
    """

    method: str
    path: str
    action: Action
    answer: Callable[[Call], object]


class RefusedError(RequestError):
    """A request refused with an HTTP status and an error code of Confluent's."""

    def __init__(self, status: int, error_code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code


def _register(call: Call) -> object:
    (subject,) = call.names
    if not subject.isprintable() or not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS:
        raise RefusedError(
            422,
            INVALID_SUBJECT,
            f"subject {subject[:80]!r} is not valid: 1 to {MAX_SUBJECT_CHARACTERS} printable characters are",
        )
    schema = _schema_of(call.body)
    if is_source_subject(subject):
        return _registered_by_apply(call, subject, schema)
    schema_id, guid = call.registry.register(subject, schema, call.timeout_seconds)
    return {"id": schema_id, "guid": guid}


def _registered_by_apply(call: Call, subject: str, schema: str) -> object:
    """Answers a registration under a source's subject, where only ``headrace apply`` makes versions.

    Processors read a source's records with what is registered here, so a producer's own schema could stop them.
    """
    found = _found(call, lambda: call.registry.lookup(subject, schema))
    if found is None:
        raise RefusedError(
            409,
            INCOMPATIBLE_SCHEMA,
            f"Subject '{subject}' takes only the schema of its source, as `headrace apply` registered it, and this one "
            f"differs (names, namespaces, docs and the order of fields count): use GET "
            f"/subjects/{subject}/versions/latest, or change the source and run `headrace apply`",
        )
    return {"id": found.schema.id, "guid": found.schema.guid}


def _look_up(call: Call) -> object:
    (subject,) = call.names
    schema = _schema_of(call.body)
    found = _found(call, lambda: call.registry.lookup(subject, schema))
    if found is None:
        _versions_of(call, subject)
        raise RefusedError(404, SCHEMA_NOT_FOUND, f"Schema not found under subject '{subject}'.")
    return _described(found)


def _schema_of(body: bytes) -> str:
    try:
        request = msgspec.json.decode(body, type=SchemaRequest)
    except msgspec.ValidationError as error:
        raise RefusedError(
            422, INVALID_SCHEMA, f'the body does not fit: {error}; send {{"schema": "…"}} with the schema as one string'
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(
            400, 400, f'the body is not JSON: {error}; send {{"schema": "…"}} with the schema as one string'
        ) from None
    if request.schema_type not in (None, AVRO):
        raise RefusedError(
            422, INVALID_SCHEMA, f"schemaType {request.schema_type!r} is not supported; expected {AVRO!r}"
        )
    for name in ("references", "metadata", "ruleSet"):
        if getattr(request, "rule_set" if name == "ruleSet" else name):
            raise RefusedError(
                422, INVALID_SCHEMA, f"{name} is not supported; expected none, with everything in the schema itself"
            )
    with contextlib.suppress(msgspec.DecodeError, UnicodeEncodeError):  # the registry says what is wrong with these
        try:
            msgspec.json.decode(request.schema)
        except RecursionError:
            raise RefusedError(422, INVALID_SCHEMA, TOO_DEEP) from None
    return request.schema


def _subjects(call: Call) -> object:
    call.registry.read_to_end(call.timeout_seconds)
    prefix = call.query.get("subjectPrefix", "")
    matching = [subject for subject in call.registry.known.subjects() if subject.startswith(prefix)]
    return _page(call, [subject for subject in matching if call.rights.may(Action.READ_SCHEMA, subject)])


def _versions(call: Call) -> object:
    call.registry.read_to_end(call.timeout_seconds)
    (subject,) = call.names
    return _page(call, [each.version for each in _versions_of(call, subject)])


def _version(call: Call) -> object:
    call.registry.read_to_end(call.timeout_seconds)
    subject, wanted = call.names
    is_number = wanted.isascii() and wanted.isdecimal() and len(wanted) <= MAX_NUMBER_DIGITS
    if wanted not in _LATEST and not (is_number and 0 < int(wanted) <= MAX_NUMBER):
        raise RefusedError(
            422, INVALID_VERSION, f"version '{wanted[:80]}' is not valid: a number from 1 to {MAX_NUMBER} or latest is"
        )
    versions = _versions_of(call, subject)
    number = len(versions) if wanted in _LATEST else int(wanted)
    if number > len(versions):
        raise RefusedError(404, VERSION_NOT_FOUND, f"Version {number} not found.")
    return _described(versions[number - 1])


def _by_id(call: Call) -> object:
    schema_id = _id_of(call)
    schema = _found(call, lambda: call.registry.known.schema(schema_id))
    if schema is None:
        raise RefusedError(404, SCHEMA_NOT_FOUND, f"Schema {schema_id} not found")
    _require_reader(call, schema_id)
    return {"schema": schema.text, "schemaType": AVRO, "guid": schema.guid}


def _uses(call: Call) -> object:
    schema_id = _id_of(call)
    call.registry.read_to_end(call.timeout_seconds)
    if call.registry.known.schema(schema_id) is None:
        raise RefusedError(404, SCHEMA_NOT_FOUND, f"Schema {schema_id} not found")
    _require_reader(call, schema_id)
    uses = call.registry.known.uses(schema_id)
    readable = [use for use in uses if call.rights.may(Action.READ_SCHEMA, use.subject)]
    return _page(call, [{"subject": use.subject, "version": use.version} for use in readable])


def _by_guid(call: Call) -> object:
    guid = call.names[0].lower()
    schema = _found(call, lambda: call.registry.known.schema_by_guid(guid))
    if schema is None:
        raise RefusedError(404, SCHEMA_NOT_FOUND, f"Schema with guid '{guid[:80]}' not found")
    _require_reader(call, schema.id)
    return {"schema": schema.text, "schemaType": AVRO, "guid": schema.guid, "id": schema.id}


def _require_reader(call: Call, schema_id: int) -> None:
    """Refuses a caller who may read no subject that uses the schema, once all of its uses were read."""
    try:
        call.rights.require_any([use.subject for use in call.registry.known.uses(schema_id)])
    except ForbiddenError:
        call.registry.read_to_end(call.timeout_seconds)
        call.rights.require_any([use.subject for use in call.registry.known.uses(schema_id)])


def _types(_call: Call) -> object:
    return [AVRO]


def _found(call: Call, find: Callable[[], T | None]) -> T | None:
    found = find()
    if found is None:
        call.registry.read_to_end(call.timeout_seconds)
        found = find()
    return found


def _versions_of(call: Call, subject: str) -> Sequence[SubjectVersion]:
    versions = call.registry.known.versions(subject)
    if not versions:
        raise RefusedError(404, SUBJECT_NOT_FOUND, f"Subject '{subject[:MAX_SUBJECT_CHARACTERS]}' not found.")
    return versions


def _id_of(call: Call) -> int:
    return _integer("schema id", call.names[0])


def _integer(what: str, text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= MAX_NUMBER_DIGITS):
        raise RefusedError(422, 422, f"{what} {text[:80]!r} is not valid; expected a whole number up to {MAX_NUMBER}")
    return int(text)


def _page(call: Call, items: list[T]) -> list[T]:
    offset = max(_integer("offset", call.query.get("offset", "0")), 0)
    limit = _integer("limit", call.query.get("limit", "-1"))
    return items[offset:] if limit < 0 else items[offset : offset + limit]


def _described(found: SubjectVersion) -> Mapping[str, object]:
    return {
        "subject": found.subject,
        "version": found.version,
        "id": found.schema.id,
        "guid": found.schema.guid,
        "schemaType": AVRO,
        "schema": found.schema.text,
    }


ENDPOINTS: Final = (
    Endpoint("POST", "subjects/*/versions", Action.REGISTER_SCHEMA, _register),
    Endpoint("POST", "subjects/*", Action.READ_SCHEMA, _look_up),
    Endpoint("GET", "subjects", Action.READ_SCHEMA, _subjects),
    Endpoint("GET", "subjects/*/versions", Action.READ_SCHEMA, _versions),
    Endpoint("GET", "subjects/*/versions/*", Action.READ_SCHEMA, _version),
    Endpoint("GET", "schemas/ids/*", Action.READ_SCHEMA, _by_id),
    Endpoint("GET", "schemas/ids/*/versions", Action.READ_SCHEMA, _uses),
    Endpoint("GET", "schemas/guids/*", Action.READ_SCHEMA, _by_guid),
    Endpoint("GET", "schemas/types", Action.READ_SCHEMA, _types),
)
"""All that is served; ``*`` stands for one name. Stock clients take the 404 for associations as "there are none"."""
