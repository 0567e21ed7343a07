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
        ├── TooLargeError
        └── OverloadedError
"""

from typing import ClassVar


class HeadraceError(Exception):
    """Base of all errors that Headrace raises on purpose."""

    code: ClassVar[str] = "INTERNAL"

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

    code = "MALFORMED"


class NewerFormatError(CodecError):
    """Bytes of a format that this version does not know; a later one does, so they must not be passed over."""

    code = "NEWER_FORMAT"


class RecordError(HeadraceError):
    """One record was refused.

    Args:
        code: one of the record codes of the ingest reference, e.g. ``INVALID_FIELD_TYPE``.
        message: names the field, what was expected and what came.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.record_code = code


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


class TooLargeError(RequestError):
    """The request body is larger than allowed."""

    code = "TOO_LARGE"


class OverloadedError(RequestError):
    """A bounded queue is full; retry after the given time."""

    code = "RESOURCE_EXHAUSTED"
