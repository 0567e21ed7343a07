"""``headrace key``: make, list and revoke the keys that API callers need.

Invariant: a key is printed by ``create`` and never again.
"""

import json
from typing import Any

import click

from access.roles import ALL_WORKSPACES, Principal, Role
from access.store.accounts import AccessStore
from headrace.terminal.examples import examples
from headrace.terminal.settings_options import settings_options
from infra.paths import access_path
from infra.settings import Group, Settings
from schemas.errors import NotFoundError


@click.group("key", epilog=examples("headrace key create --name scorer --role consumer", "headrace key list"))
def command() -> None:
    """Make, list and revoke API keys."""


@command.command(
    "create",
    epilog=examples(
        "headrace key create --name scorer --role consumer",
        "headrace key create --name loader --role editor --all-workspaces",
        "headrace key create --name ops --admin --json",
    ),
)
@settings_options(Group.DATA | Group.ACCESS | Group.WORKSPACE)
@click.option("--name", required=True, metavar="NAME", help="Name of the new service account.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    help="Role in the workspace.  [required without --admin]",
)
@click.option("--all-workspaces", is_flag=True, help="Give the role in all workspaces instead.")
@click.option("--admin", is_flag=True, help="Let the account administer access.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def create(
    settings: Settings, name: str, role: str | None, *, all_workspaces: bool, admin: bool, as_json: bool
) -> None:
    """Make a service account and print its key, which is shown this once."""
    if role is None and not admin:
        message = "an account without a role may do nothing; give --role, --admin or both"
        raise click.UsageError(message)
    workspace = ALL_WORKSPACES if all_workspaces else settings.workspace
    store = AccessStore.open(settings.data, settings.access_url)
    try:
        made = store.create_account(
            name,
            {} if role is None else {workspace: frozenset({Role(role)})},
            is_admin=admin,
            default_workspace=None if all_workspaces else settings.workspace,
        )
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({"id": made.id, "key": made.key, **_described(made.account)}))
        return
    click.echo(f"id   {made.id}\nkey  {made.key}")
    click.echo("Keep the key: it is stored as a hash and cannot be shown again.", err=True)


@command.command("list", epilog=examples("headrace key list", "headrace key list --json"))
@settings_options(Group.DATA | Group.ACCESS)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(settings: Settings, *, as_json: bool) -> None:
    """List all keys by id, with what their accounts may do."""
    store = _existing_store(settings)
    try:
        keys = store.list_keys()
    finally:
        store.close()
    rows: list[dict[str, Any]] = [
        {
            "id": key.id,
            **_described(key.account),
            "createdAt": key.created_at.isoformat(),
            "revokedAt": key.revoked_at and key.revoked_at.isoformat(),
        }
        for key in keys
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        roles = [f"{role}@{workspace}" for workspace, held in row["roles"].items() for role in held]
        held = " ".join([*(["admin"] if row["admin"] else []), *roles])
        state = f"revoked {row['revokedAt']}" if row["revokedAt"] else "valid"
        click.echo(f"{row['id']}  {row['name']}  {held}  {state}")


@command.command("revoke", epilog=examples("headrace key revoke 6f1c2a9d"))
@settings_options(Group.DATA | Group.ACCESS)
@click.argument("key_id", metavar="ID")
def revoke(settings: Settings, key_id: str) -> None:
    """End the validity of a key; running processes see it within a second."""
    store = _existing_store(settings)
    try:
        store.revoke(key_id)
    finally:
        store.close()
    click.echo(f"revoked {key_id}")


def _existing_store(settings: Settings) -> AccessStore:
    """Returns the open store; makes none, as there is nothing in it to list or revoke."""
    if not settings.access_url and not access_path(settings.data).exists():
        raise NotFoundError(
            f"no access store in {settings.data}: the first `headrace up` makes it; --data names another folder"
        )
    return AccessStore.open(settings.data, settings.access_url)


def _described(account: Principal) -> dict[str, Any]:
    roles = {workspace: sorted(held) for workspace, held in account.roles.items()}
    return {"name": account.name, "admin": account.is_admin, "roles": roles}
