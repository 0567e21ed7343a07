"""Which workspace a subject of the schema registry belongs to, and what a caller may do with it.

- A subject named after one of Headrace's topics (`schemas.topics`) belongs to the workspace that its name begins with.
- Any other subject belongs to the installation's default workspace, whoever asks.

Invariant: the right to a subject follows from its name and the caller's roles alone, never from the workspace that the
caller's key is bound to.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from access.roles import Action, Principal
from schemas.errors import ForbiddenError

_TOPIC: Final = re.compile(r"([^.]+)\.(?:source|dead-letter|updates|acks)(?:[.-].*)?", re.DOTALL)
"""A subject made of one of Headrace's topics, with whatever strategy: topic, topic-value, topic-key, topic-RECORD."""

_SOURCE_VALUES: Final = re.compile(r"[^.]+\.source\.[^.]+-value")


def is_source_subject(subject: str) -> bool:
    """Returns whether a subject holds the schemas that a Headrace source's records are read with."""
    return _SOURCE_VALUES.fullmatch(subject) is not None


@dataclass(frozen=True, slots=True)
class SubjectRights:
    """What one caller may do.

    Attributes:
        principal: the caller.
        default_workspace: of the installation; owns the subjects of no Headrace topic.
    """

    principal: Principal
    default_workspace: str

    def workspace_of(self, subject: str) -> str:
        """Returns the workspace that a subject belongs to."""
        topic = _TOPIC.fullmatch(subject)
        return self.default_workspace if topic is None else topic[1]

    def may(self, action: Action, subject: str) -> bool:
        """Returns whether the caller may do something with a subject."""
        return self.principal.may(action, self.workspace_of(subject))

    def require(self, action: Action, subject: str) -> None:
        """Refuses a caller without the right, before anything tells whether the subject exists.

        Raises:
            ForbiddenError: the message names the workspace.
        """
        if not self.may(action, subject):
            raise ForbiddenError(f"Not allowed to {action} in workspace '{self.workspace_of(subject)[:80]}'")

    def require_any(self, subjects: Sequence[str]) -> None:
        """Refuses a caller who may read none of the subjects that use a schema.

        Raises:
            ForbiddenError: as said.
        """
        if not any(self.may(Action.READ_SCHEMA, subject) for subject in subjects):
            raise ForbiddenError(f"Not allowed to {Action.READ_SCHEMA} in any workspace that uses this one")

    def require_anywhere(self) -> None:
        """Refuses a caller who may read schemas in no workspace at all.

        Raises:
            ForbiddenError: as said.
        """
        if not any(self.principal.may(Action.READ_SCHEMA, workspace) for workspace in self.principal.roles):
            raise ForbiddenError(f"Not allowed to {Action.READ_SCHEMA} in any workspace")
