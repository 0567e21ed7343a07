import pytest

from infra.process.exit_codes import ExitCode, exit_code_of
from schemas.errors import (
    DefinitionError,
    HeadraceError,
    LockedError,
    NotFoundError,
    NotInstalledError,
    SettingsError,
    StorageError,
    UnavailableError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("x"), ExitCode.USAGE),
        (NotInstalledError("x"), ExitCode.USAGE),
        (StorageError("x"), ExitCode.STORAGE),
        (LockedError("x"), ExitCode.STORAGE),
        (UnavailableError("x"), ExitCode.UNAVAILABLE),
        (NotFoundError("x"), ExitCode.FAILURE),
        (DefinitionError("x"), ExitCode.FAILURE),
        (HeadraceError("x"), ExitCode.FAILURE),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: HeadraceError, code: ExitCode) -> None:
    assert exit_code_of(error) is code


def test_scripts_and_units_rely_on_the_numbers() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "FAILURE": 1,
        "USAGE": 2,
        "CHILD_CANNOT_START": 3,
        "ALREADY_RUNNING": 4,
        "APPLY_FAILED": 5,
        "STORAGE": 6,
        "UNAVAILABLE": 7,
        "STUCK": 8,
    }


def test_a_code_is_a_number_to_the_system_and_has_a_meaning_for_people() -> None:
    assert f"{ExitCode.STORAGE:d}" == "6"
    assert all(code.meaning for code in ExitCode)
    assert len({code.meaning for code in ExitCode}) == len(ExitCode)
