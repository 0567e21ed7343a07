"""The authentication schemes: how a caller may send a key, each as a value that an API takes up (`infra.http.api`).

| scheme            | header                                            | of                          |
|-------------------|---------------------------------------------------|-----------------------------|
| `TECTON_KEY`      | ``Authorization: Tecton-key KEY``                 | Tecton HTTP API             |
| `SNOWFLAKE_TOKEN` | ``Authorization: Snowflake Token="KEY"``          | Snowflake's ingest and query APIs |
| `BASIC`           | ``Authorization: Basic base64(USER:KEY or KEY:)`` | schema registry clients     |

Invariant: a scheme finds what may be a key in a header, and knows of no store whether it is one.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.errors import UnauthenticatedError

_TOKEN: Final = re.compile(r'\s*token\s*=\s*"([^"]*)"\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Scheme:
    """A way to send a key.

    Attributes:
        name: in OpenAPI documents.
        word: first word of the header, in lower case.
        example: what to send, for messages.
        challenge: value of ``WWW-Authenticate``.
        openapi: OpenAPI security scheme.
        keys: returns what may be a key in what follows the word; raises ``UnauthenticatedError`` if it is malformed.
    """

    name: str
    word: str
    example: str
    challenge: str
    openapi: Mapping[str, Any]
    keys: Callable[[str], tuple[str, ...]]


def _plain(rest: str) -> tuple[str, ...]:
    return (rest.strip(),)


def _quoted(rest: str) -> tuple[str, ...]:
    token = _TOKEN.fullmatch(rest)
    if token is None:
        raise UnauthenticatedError(
            'the Authorization header is malformed: expected Snowflake Token="KEY", with the quotes'
        )
    return (token[1],)


def _either_side(rest: str) -> tuple[str, ...]:
    try:
        user, _, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise UnauthenticatedError(
            "the Authorization header is malformed: expected Basic and base64 of USER:KEY or KEY:"
        ) from error
    return (password, user)


def _header(description: str) -> Mapping[str, Any]:
    return {"type": "apiKey", "in": "header", "name": "Authorization", "description": description}


TECTON_KEY: Final = Scheme(
    "TectonKey", "tecton-key", "Tecton-key KEY", "Tecton-key", _header("`Tecton-key KEY`"), _plain
)
SNOWFLAKE_TOKEN: Final = Scheme(
    "SnowflakeToken",
    "snowflake",
    'Snowflake Token="KEY"',
    "Snowflake",
    _header('`Snowflake Token="KEY"`'),
    _quoted,
)
BASIC: Final = Scheme(
    "Basic",
    "basic",
    "Basic base64(USER:KEY)",
    'Basic realm="headrace"',
    {"type": "http", "scheme": "basic"},
    _either_side,
)

SCHEMES: Final[Mapping[str, Scheme]] = {scheme.word: scheme for scheme in (TECTON_KEY, SNOWFLAKE_TOKEN, BASIC)}
"""All of them, by their word; every server takes each, so that a key works wherever its holder may."""

ACCEPTED: Final = " or ".join(f"`Authorization: {scheme.example}`" for scheme in (TECTON_KEY, SNOWFLAKE_TOKEN))


def keys_in(authorization: str) -> tuple[str, ...]:
    """Returns what may be a key in an ``Authorization`` header.

    Raises:
        UnauthenticatedError: the scheme is not accepted, or the header is not of its form.
    """
    word, _, rest = authorization.strip().partition(" ")
    scheme = SCHEMES.get(word.lower())
    if scheme is None:
        raise UnauthenticatedError(f"the scheme of the Authorization header is not accepted; send {ACCEPTED}")
    return scheme.keys(rest)
