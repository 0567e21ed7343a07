import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from access.authentication import Authenticator
from access.roles import ALL_WORKSPACES, Role
from access.store.accounts import AccessStore
from headrace.cli import main
from infra.process.exit_codes import ExitCode


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["key", *arguments, "--data", "state"])


def created(*arguments: str) -> dict[str, Any]:
    result = run("create", "--json", *arguments)
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_a_created_key_is_accepted_with_its_role() -> None:
    made = created("--name", "loader", "--role", "editor", "--workspace", "staging")
    store = AccessStore.open(Path("state"))
    caller = asyncio.run(Authenticator(store).authenticate(f"Tecton-key {made['key']}"))
    store.close()
    assert (caller.name, caller.is_admin, caller.default_workspace) == ("loader", False, "staging")
    assert caller.roles == {"staging": frozenset({Role.EDITOR})}


def test_a_role_in_all_workspaces_binds_to_none() -> None:
    made = created("--name", "boss", "--role", "owner", "--all-workspaces", "--admin")
    assert (made["admin"], made["roles"]) == (True, {ALL_WORKSPACES: ["owner"]})


def test_a_key_is_shown_once_and_its_id_ever_after() -> None:
    shown = run("create", "--name", "a", "--role", "viewer")
    assert "cannot be shown again" in shown.stderr
    key_id, key = (line.split()[1] for line in shown.stdout.splitlines())
    listed = run("list")
    assert key_id in listed.stdout
    assert "viewer@prod  valid" in listed.stdout
    assert key not in listed.stdout + run("list", "--json").stdout


def test_help_marks_what_a_key_cannot_be_made_without() -> None:
    shown = " ".join(run("create", "--help").stdout.split())
    assert "Name of the new service account. [required]" in shown
    assert "Role in the workspace. [required without --admin]" in shown


def test_revoking_shows_in_the_list() -> None:
    made = created("--name", "a", "--admin")
    assert run("revoke", made["id"]).stdout == f"revoked {made['id']}\n"
    (row,) = json.loads(run("list", "--json").stdout)
    assert row["id"] == made["id"]
    assert row["revokedAt"] is not None
    assert "revoked" in run("list").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["create", "--name", "a"], 2, "give --role, --admin or both"),
        (["create", "--name", "a", "--role", "king"], 2, "'king' is not one of"),
        (["create", "--role", "viewer"], 2, "--name"),
        (["revoke", "nope"], 1, "there is no key with the id 'nope'"),
    ],
)
def test_wrong_calls_exit_with_the_code_of_their_kind(arguments: list[str], code: int, said: str) -> None:
    created("--name", "loader", "--admin")
    result = run(*arguments)
    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr


def test_a_name_that_is_taken_is_refused() -> None:
    created("--name", "a", "--admin")
    result = run("create", "--name", "a", "--admin")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: a service account named 'a' exists already; choose another name\n",
    )


@pytest.mark.parametrize("arguments", [("list",), ("revoke", "6f1c2a9d")])
def test_where_there_is_no_store_none_is_made(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (ExitCode.FAILURE, "")
    assert "no access store in state: the first `headrace up` makes it" in done.stderr
    assert not Path("state").exists()
