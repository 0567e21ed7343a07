"""Every error Headrace raises on purpose, in one tree.

Each class carries a stable ``code``; each message names the thing, what was expected, what came and what to do.
Dialect packages map codes to their envelopes in one table each.

    HeadraceError
    ├── DefinitionError          a feature repository cannot be compiled
    ├── IncompatibleChangeError  a definition is fine but may not replace what is applied
    ├── SettingsError            a setting has a wrong value or an unknown name
    ├── NotInstalledError        a command needs an optional package that is not installed
    ├── StorageError             a disk or database cannot be used; the process must stop
    │   └── LockedError          another process uses it; it may let go
    ├── UnavailableError         something needed is away for now; retrying helps
    ├── CodecError               bytes that are not what their topic or file says
    │   └── NewerFormatError     of a format that a later version writes
    ├── RecordError              one record was refused
    └── RequestError             one request was refused
        ├── UnauthenticatedError
        ├── ForbiddenError
        ├── NotFoundError
        │   └── UnknownPathError
        ├── UnknownMethodError
        ├── TooLargeError
        ├── SlowBodyError
        └── OverloadedError

Four leaves carry more than a message, and live beside what they carry:

- ``processors.materialize.step.StoreFailedError``, a StorageError: the answers that are to be sent before the end;
- ``infra.segments.format.DamageError`` and ``UnknownFormatError``, CodecErrors: where in the file;
- ``ingest_api.registry.calls.RefusedError``, a RequestError: Confluent's own codes.

The codes of records stand below. They are the ingest reference's ("Record error codes", "Feature view error codes"),
or, where only a dead letter shows them, ours.
"""

from typing import Final

MISSING_REQUIRED_FIELD: Final = "MISSING_REQUIRED_FIELD"
INVALID_FIELD_TYPE: Final = "INVALID_FIELD_TYPE"
INVALID_TIMESTAMP: Final = "INVALID_TIMESTAMP"
RECORD_TOO_LARGE: Final = "RECORD_TOO_LARGE"

UNKNOWN_FIELD: Final = "INVALID_ARGUMENT"
"""Of a field, or a source, that there is none of: the reference has no code of its own for it."""

FUNCTION_FAILED: Final = "UDF_EXECUTION_FAILED"
"""Of a view whose function raised, or returned what is no row of the view."""

VIEW_FAILED: Final = "FAILED_PRECONDITION"
"""Of a view whose code does not load on this host."""

MALFORMED: Final = "MALFORMED"
"""Of bytes that are no Avro record of the source."""

UNKNOWN_SCHEMA: Final = "UNKNOWN_SCHEMA"
"""Of a schema id that the registry, read to its end, does not have."""


class HeadraceError(Exception):
    """Base of all errors that Headrace raises on purpose."""

    code: str = "INTERNAL"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class DefinitionError(HeadraceError):
    """A definition cannot be compiled; the message names file, line, object and remedy."""

    code = "INVALID_DEFINITION"


class IncompatibleChangeError(HeadraceError):
    """A change of what is already applied that would break stored values or running producers."""

    code = "INCOMPATIBLE_CHANGE"


class SettingsError(HeadraceError):
    """A setting has a wrong value or an unknown name."""

    code = "INVALID_SETTING"


class NotInstalledError(HeadraceError):
    """A command needs an optional package that is not installed; the message has the command that installs it."""

    code = "NOT_INSTALLED"


class StorageError(HeadraceError):
    """A disk or a database cannot be used; nothing is lost, but the process must stop until an operator acts."""

    code = "STORAGE"


class LockedError(StorageError):
    """Files that one process at a time may use are another's; once that lets go, or ends, the same call succeeds."""

    code = "LOCKED"


class UnavailableError(HeadraceError):
    """Something needed (Kafka, a store, a plan) is away for now; the same call may succeed later."""

    code = "UNAVAILABLE"


class CodecError(HeadraceError):
    """Bytes are not what their topic or file promises."""

    code = MALFORMED


class NewerFormatError(CodecError):
    """Bytes of a format that this version does not know; a later one does, so they must not be passed over."""

    code = "NEWER_FORMAT"


class RecordError(HeadraceError):
    """One record was refused.

    Args:
        code: one of the codes of records above.
        message: names the field, what was expected and what came.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RequestError(HeadraceError):
    """One request was refused as a whole."""

    code = "INVALID_ARGUMENT"


class UnauthenticatedError(RequestError):
    """The caller did not prove who it is."""

    code = "UNAUTHENTICATED"


class ForbiddenError(RequestError):
    """The caller is known but lacks the role."""

    code = "PERMISSION_DENIED"


class NotFoundError(RequestError):
    """What the request names does not exist."""

    code = "NOT_FOUND"


class UnknownPathError(NotFoundError):
    """There is nothing at a path."""

    code = "UNKNOWN_PATH"


class UnknownMethodError(RequestError):
    """There is something at a path, but for other methods."""

    code = "UNKNOWN_METHOD"


class TooLargeError(RequestError):
    """The request body is larger than allowed."""

    code = "TOO_LARGE"


class SlowBodyError(RequestError):
    """The body of the request did not arrive in time."""

    code = "REQUEST_TIMEOUT"


class OverloadedError(RequestError):
    """A bounded queue is full; retry after the given time."""

    code = "RESOURCE_EXHAUSTED"
