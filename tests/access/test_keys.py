import hashlib

import pytest

from access.keys import KEY_PREFIX, hash_key, new_key


def test_keys_are_recognisable_and_have_256_random_bits() -> None:
    key = new_key()
    assert key.startswith(KEY_PREFIX)
    assert len(key.removeprefix(KEY_PREFIX)) == 43
    assert new_key() != key


def test_a_key_can_stand_in_a_header_as_it_is() -> None:
    assert all(new_key().replace("-", "").replace("_", "").isalnum() for _ in range(50))
    assert new_key().isascii()


def test_what_is_stored_is_the_sha_256_of_the_whole_key() -> None:
    assert hash_key("hr_x") == hashlib.sha256(b"hr_x").hexdigest()
    assert len(hash_key(new_key())) == 64


@pytest.mark.parametrize("said", ["", "ключ", "hr_\x00", b"hr_\xff".decode("utf-8", "surrogateescape"), "hr_" * 10_000])
def test_whatever_a_caller_says_has_a_hash_and_is_nobodys_key(said: str) -> None:
    assert len(hash_key(said)) == 64
    assert hash_key(said) != hash_key(said + "x")
