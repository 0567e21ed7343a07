"""Every error Headrace raises on purpose, in one tree.

Each class carries a stable ``code``; each message names the thing, what was expected, what came and what to do.
Dialect packages map codes to their envelopes in one table each. `docs/reference/error-codes.md` is made of this module:
of the classes, and of the constants that are codes of records.

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

The codes of records stand below. They are ours, as dead letters and metrics show them; a dialect that spells one in
another way has a table of its own.
"""

from typing import ClassVar, Final

# What the ingest API refuses

MISSING_REQUIRED_FIELD: Final = "MISSING_REQUIRED_FIELD"
"""A field that takes no null is missing.

Trying again: helps with the field.
"""

INVALID_FIELD_TYPE: Final = "INVALID_FIELD_TYPE"
"""A field has a value of another type than the source says.

Trying again: helps with a value of that type.
"""

INVALID_TIMESTAMP: Final = "INVALID_TIMESTAMP"
"""A timestamp is no instant that can be read, or is out of range.

Trying again: helps with another timestamp.
"""

RECORD_TOO_LARGE: Final = "RECORD_TOO_LARGE"
"""The record is longer than its limit, in JSON or in Avro.

Trying again: helps with a smaller record.
"""

UNKNOWN_FIELD: Final = "UNKNOWN_FIELD"
"""The source has no such field, or one is given twice.

Trying again: helps once the name is right, or the source has it.
"""

UNKNOWN_SOURCE: Final = "UNKNOWN_SOURCE"
"""The workspace has no such stream source, or several could be meant.

Trying again: helps once the name is right, or a definition has it.
"""

# What becomes of a record on its way

FUNCTION_FAILED: Final = "FUNCTION_FAILED"
"""A view's function raised, or returned what is no row of the view.

Trying again: helps once the function is another one; the record is a dead letter of the view until then.
"""

VIEW_FAILED: Final = "VIEW_FAILED"
"""A view's code does not load on the host that has the record.

Trying again: helps once it does; the record is a dead letter of the view until then.
"""

MALFORMED: Final = "MALFORMED"
"""The bytes of the record are no Avro record of the source.

Trying again: does not help; the record is a dead letter.
"""

UNKNOWN_SCHEMA: Final = "UNKNOWN_SCHEMA"
"""The record names a schema id that the registry, read to its end, does not have.

Trying again: helps once the schema is registered; the record is a dead letter until then.
"""

WRITE_ERROR: Final = "WRITE_ERROR"
"""A store did not take what a view made of the record.

Trying again: helps if the answer says `retryable`.
"""

UNAVAILABLE: Final = "UNAVAILABLE"
"""Kafka did not take the record, or no processor answered in time; it may be stored all the same.

Trying again: helps; it replaces the record if that was stored.
"""


class HeadraceError(Exception):
    """Something went wrong that is no caller's mistake; the base of all errors that Headrace raises on purpose."""

    code: str = "INTERNAL"

    seen_by: ClassVar[str] = "operators, in logs"
    """Whom it is told to; for the page of codes."""

    is_retryable: ClassVar[bool] = False
    """Whether the same call may succeed later; for the page of codes."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class DefinitionError(HeadraceError):
    """A definition cannot be compiled; the message names file, line, object and remedy."""

    code = "INVALID_DEFINITION"
    seen_by = "whoever applies definitions"


class IncompatibleChangeError(HeadraceError):
    """A change of what is already applied that would break stored values or running producers."""

    code = "INCOMPATIBLE_CHANGE"
    seen_by = "whoever applies definitions"


class SettingsError(HeadraceError):
    """A setting has a wrong value or an unknown name."""

    code = "INVALID_SETTING"
    seen_by = "whoever starts a command or a role"


class NotInstalledError(HeadraceError):
    """A command needs an optional package that is not installed; the message has the command that installs it."""

    code = "NOT_INSTALLED"
    seen_by = "whoever starts a command"


class StorageError(HeadraceError):
    """A disk or a database cannot be used; nothing is lost, but the process must stop until an operator acts."""

    code = "STORAGE"
    seen_by = "operators, in logs and exit codes"


class LockedError(StorageError):
    """Files that one process at a time may use are another's; once that lets go, or ends, the same call succeeds."""

    code = "LOCKED"
    is_retryable = True


class UnavailableError(HeadraceError):
    """Something needed (Kafka, a store, a plan) is away for now; the same call may succeed later."""

    code = UNAVAILABLE
    seen_by = "callers of an API; whoever runs a command"
    is_retryable = True


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
    """One request was refused as a whole; the message says what is wrong with it."""

    code = "INVALID_ARGUMENT"
    seen_by = "callers of an API"


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
    is_retryable = True


class OverloadedError(RequestError):
    """A bounded queue is full, or a rate is used up; retry after the given time.

    Args:
        message: names the limit.
        retry_after_seconds: after which it may be tried again; None where nobody knows.
    """

    code = "RESOURCE_EXHAUSTED"
    is_retryable = True

    def __init__(self, message: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
