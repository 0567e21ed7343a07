"""Keys: what they look like and how they are stored.

Invariant: only the SHA-256 of a key is ever stored. A key has 256 random bits, so a plain hash cannot be guessed back
and needs no salt.
"""

import hashlib
import secrets
from typing import Final

KEY_PREFIX: Final = "hr_"
"""Tells our keys from other secrets, for people and for scanners."""

RANDOM_BYTES: Final = 32


def new_key() -> str:
    """Returns a fresh key."""
    return KEY_PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def hash_key(key: str) -> str:
    """Returns the SHA-256 of a key, 64 hex digits: the form it is stored and looked up in."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
