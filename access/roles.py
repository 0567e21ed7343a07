"""Roles, what they allow, and the principal that holds them.

The table is that of the Tecton reference (user management and access controls): owner includes editor; editor includes
operator and consumer; both include viewer. The account type admin administers accounts, but reads and writes no
features by itself.

Invariant: whatever the table does not allow is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ALL_WORKSPACES: Final = "*"
"""Stands for every workspace, present and future, in a role assignment."""


class Role(StrEnum):
    """A role in one workspace or in all of them."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    CONSUMER = "consumer"
    EDITOR = "editor"
    OWNER = "owner"


class Action(StrEnum):
    """What a caller may be allowed to do in a workspace."""

    READ_SCHEMA = "read schemas"
    VALIDATE = "validate records in a dry run"
    READ_FEATURES = "read features"
    INGEST = "ingest records"
    REGISTER_SCHEMA = "register schemas"
    ADMINISTER = "administer access"


_VIEWER: Final = frozenset({Action.READ_SCHEMA, Action.VALIDATE})
_CONSUMER: Final = _VIEWER | {Action.READ_FEATURES}
_EDITOR: Final = _CONSUMER | {Action.INGEST, Action.REGISTER_SCHEMA}

ALLOWED: Final[Mapping[Role, frozenset[Action]]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _VIEWER,
    Role.CONSUMER: _CONSUMER,
    Role.EDITOR: _EDITOR,
    Role.OWNER: _EDITOR | {Action.ADMINISTER},
}


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose credential was checked.

    Attributes:
        id: of the account, 32 hex digits.
        name: of the account, unique.
        is_admin: whether the account's type is admin.
        roles: by workspace, with ``ALL_WORKSPACES`` for those held everywhere.
        default_workspace: the workspace of calls that name none; None leaves it to the server's default.
    """

    id: str
    name: str
    is_admin: bool
    roles: Mapping[str, frozenset[Role]]
    default_workspace: str | None

    def may(self, action: Action, workspace: str) -> bool:
        """Returns whether the principal's roles, or its type, allow an action in a workspace."""
        if self.is_admin and action is Action.ADMINISTER:
            return True
        held = (self.roles.get(workspace, ()), self.roles.get(ALL_WORKSPACES, ()))
        return any(action in ALLOWED[role] for roles in held for role in roles)
