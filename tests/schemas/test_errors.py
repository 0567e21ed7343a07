import inspect
import re
from importlib import import_module

import pytest

from schemas import errors
from schemas.errors import HeadraceError, LockedError, RecordError, StorageError

CLASSES: list[type[HeadraceError]] = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HeadraceError)
]

CODES = {
    "HeadraceError": "INTERNAL",
    "DefinitionError": "INVALID_DEFINITION",
    "IncompatibleChangeError": "INCOMPATIBLE_CHANGE",
    "SettingsError": "INVALID_SETTING",
    "NotInstalledError": "NOT_INSTALLED",
    "StorageError": "STORAGE",
    "LockedError": "LOCKED",
    "UnavailableError": "UNAVAILABLE",
    "CodecError": "MALFORMED",
    "NewerFormatError": "NEWER_FORMAT",
    "RequestError": "INVALID_ARGUMENT",
    "UnauthenticatedError": "UNAUTHENTICATED",
    "ForbiddenError": "PERMISSION_DENIED",
    "NotFoundError": "NOT_FOUND",
    "UnknownPathError": "UNKNOWN_PATH",
    "UnknownMethodError": "UNKNOWN_METHOD",
    "TooLargeError": "TOO_LARGE",
    "SlowBodyError": "REQUEST_TIMEOUT",
    "OverloadedError": "RESOURCE_EXHAUSTED",
}


def test_codes_are_stable_and_each_class_has_its_own() -> None:
    assert {kind.__name__: kind.code for kind in CLASSES if kind is not RecordError} == CODES
    assert len(set(CODES.values())) == len(CODES)


def test_the_tree_in_the_module_is_the_tree_of_the_classes() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (inspect.getdoc(errors) or "").splitlines():
        if found := re.match(r"([ │├└─]*)([A-Z]\w+Error)\b", line):
            depth = len(found[1].removeprefix("    ")) // 4
            above[depth:] = [found[2]]
            drawn[found[2]] = above[depth - 1] if depth else ""
    assert drawn == {kind.__name__: "" if kind is HeadraceError else kind.__mro__[1].__name__ for kind in CLASSES}


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not RecordError], ids=lambda kind: kind.__name__)
def test_the_message_is_what_people_read_and_what_code_takes(kind: type[HeadraceError]) -> None:
    error = kind("disk 'a' is full: 0 bytes left; make room")
    assert error.message == str(error) == "disk 'a' is full: 0 bytes left; make room"


def test_a_refused_record_carries_the_code_of_the_ingest_reference() -> None:
    error = RecordError("INVALID_FIELD_TYPE", "Field 'amount': expected number, got string")
    assert (error.code, error.message) == ("INVALID_FIELD_TYPE", "Field 'amount': expected number, got string")


def test_who_handles_a_disk_that_cannot_be_used_handles_one_that_another_process_uses() -> None:
    with pytest.raises(StorageError):
        raise LockedError("state/3 is another processor's; it may let go")


def test_leaves_that_live_elsewhere_are_of_the_tree() -> None:
    shape = r"``((?:processors|infra|ingest_api)\.[\w.]+)\.(\w+Error)``(?: and ``(\w+Error)``)?"
    named = re.findall(shape, errors.__doc__ or "")
    kinds = [getattr(import_module(module), name) for module, *names in named for name in names if name]
    assert len(kinds) == 4
    assert all(issubclass(kind, HeadraceError) for kind in kinds)
