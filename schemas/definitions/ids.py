"""Ids of what users define, for APIs whose callers know things by 32 hex digits: views, services, sources.

Invariant: an id follows from the installation, the workspace, the kind, the name and the version alone, so that every
process makes the same one, it survives restarts and rebuilds, and no two things share one.

The id is the first 32 hex digits of the SHA-256 of these five texts, each preceded by its length in bytes and a colon,
so that no two lists of texts read alike. What has no version has the empty text.
"""

from hashlib import sha256
from typing import Final, Literal

ID_DIGITS: Final = 32

Kind = Literal["feature_service", "feature_view", "stream_source"]


def defined_id(installation: str, workspace: str, kind: Kind, name: str, version: str = "") -> str:
    """Returns the id of a thing that users define: 32 lower-case hex digits.

    Args:
        installation: the id of the installation (`infra.installation`).
        workspace: of the definition.
        kind: what it is.
        name: its name.
        version: of a view; empty for what has none.
    """
    texts = (text.encode() for text in (installation, workspace, kind, name, version))
    return sha256(b"".join(b"%d:%b" % (len(text), text) for text in texts)).hexdigest()[:ID_DIGITS]
