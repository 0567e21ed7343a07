"""From the ``Authorization`` header of a request to the principal behind it.

Accepted are ``Tecton-key KEY`` (Tecton HTTP API), ``Snowflake Token="KEY"`` (Snowflake ingest and query API), and
Basic with the key as user name or as password (schema registry clients).

Invariant: a key counts for at most ``CACHE_SECONDS`` after it was revoked, and the key itself is not kept.
"""

import base64
import binascii
import hashlib
import re
import time
from collections.abc import Callable
from typing import Final

from access.keys import KEY_PREFIX
from access.roles import Principal
from access.store.accounts import AccessStore
from schemas.errors import UnauthenticatedError
from schemas.limits import MAX_AUTHORIZATION_CHARACTERS

__all__ = ["Authenticator", "Principal", "credentials"]

CACHE_SECONDS: Final = 1.0
CACHE_ENTRIES: Final = 1024

SNOWFLAKE_TOKEN: Final = re.compile(r'\s*token\s*=\s*"([^"]*)"\s*', re.IGNORECASE)

ACCEPTED: Final = 'send `Authorization: Tecton-key KEY` or `Authorization: Snowflake Token="KEY"`'


class Authenticator:
    """Checks credentials against the store; for use by one event loop.

    Args:
        store: the access store.
        clock: seconds that never run backwards.
        entries: most callers that are remembered at a time.
    """

    def __init__(
        self, store: AccessStore, clock: Callable[[], float] = time.monotonic, entries: int = CACHE_ENTRIES
    ) -> None:
        self._store = store
        self._clock = clock
        self._entries = entries
        self._cache: dict[bytes, tuple[float, Principal]] = {}

    def authenticate(self, authorization: str | None) -> Principal:
        """Returns the principal of an ``Authorization`` header.

        Raises:
            UnauthenticatedError: no header, a scheme that is not accepted, or a key that is unknown or revoked.
        """
        if not authorization:
            raise UnauthenticatedError(f"the Authorization header is missing; {ACCEPTED}")
        if len(authorization) > MAX_AUTHORIZATION_CHARACTERS:
            raise UnauthenticatedError(
                f"the Authorization header has more than {MAX_AUTHORIZATION_CHARACTERS} characters; {ACCEPTED}"
            )
        digest = hashlib.sha256(authorization.encode("utf-8", "surrogateescape")).digest()
        now = self._clock()
        cached = self._cache.get(digest)
        if cached is not None and now < cached[0]:
            return cached[1]
        principal = self._look_up(credentials(authorization))
        # Out and in anew: a dict keeps its order, so the first one is the oldest.
        self._cache.pop(digest, None)
        while len(self._cache) >= self._entries:
            del self._cache[next(iter(self._cache))]
        self._cache[digest] = (now + CACHE_SECONDS, principal)
        return principal

    def _look_up(self, keys: tuple[str, ...]) -> Principal:
        for key in keys:
            principal = self._store.find(key) if key.startswith(KEY_PREFIX) else None
            if principal is not None:
                return principal
        raise UnauthenticatedError(
            "the key in the Authorization header is unknown or was revoked; `headrace key list` shows valid ones"
        )


def credentials(authorization: str) -> tuple[str, ...]:
    """Returns what may be a key in an ``Authorization`` header.

    Raises:
        UnauthenticatedError: the scheme is not accepted, or the header is not of its form.
    """
    scheme, _, rest = authorization.strip().partition(" ")
    match scheme.lower():
        case "tecton-key":
            return (rest.strip(),)
        case "snowflake":
            token = SNOWFLAKE_TOKEN.fullmatch(rest)
            if token is None:
                raise UnauthenticatedError(
                    'the Authorization header is malformed: expected Snowflake Token="KEY", with the quotes'
                )
            return (token[1],)
        case "basic":
            try:
                user, _, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError) as error:
                raise UnauthenticatedError(
                    "the Authorization header is malformed: expected Basic and base64 of USER:KEY or KEY:"
                ) from error
            return (password, user)
        case _:
            raise UnauthenticatedError(f"the scheme of the Authorization header is not accepted; {ACCEPTED}")
