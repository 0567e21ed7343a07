import gzip
import sys
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.http.content_encoding import ZSTD_WINDOW_LOG, decoded_body
from schemas.errors import RequestError, TooLargeError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 100_000
ENCODERS: list[tuple[str, Callable[[bytes], bytes]]] = [("gzip", gzip.compress), ("zstd", zstd.compress)]
EACH = pytest.mark.parametrize(("name", "encode"), ENCODERS, ids=[name for name, _ in ENCODERS])


def decoded(body: bytes, encoding: str, limit: int = LIMIT) -> bytes:
    return decoded_body(body, encoding, limit, "send less")


@EACH
@given(body=st.binary(max_size=300))
def test_what_was_encoded_comes_back(name: str, encode: Callable[[bytes], bytes], body: bytes) -> None:
    assert decoded(encode(body), name) == body
    assert decoded(encode(body), f" {name.upper()} ") == body


@pytest.mark.parametrize("encoding", ["", "identity"])
def test_without_an_encoding_a_body_stays(encoding: str) -> None:
    assert decoded(b"{}", encoding) == b"{}"


@EACH
def test_an_empty_body_has_no_stream(name: str, encode: Callable[[bytes], bytes]) -> None:
    assert decoded(b"", name) == b""
    assert decoded(encode(b""), name) == b""


@EACH
def test_the_limit_counts_once_it_is_decoded(name: str, encode: Callable[[bytes], bytes]) -> None:
    assert len(decoded(encode(b" " * LIMIT), name)) == LIMIT
    with pytest.raises(TooLargeError, match="larger than 100000 bytes once it is decoded; send less"):
        decoded(encode(b" " * (LIMIT + 1)), name)
    with pytest.raises(TooLargeError):
        decoded(encode(bytes(50_000_000)), name)


@EACH
def test_what_is_not_of_its_encoding_is_refused(name: str, encode: Callable[[bytes], bytes]) -> None:
    with pytest.raises(RequestError, match=f"Request body is not {name}, as Content-Encoding says"):
        decoded(b'{"records": {}}', name)
    with pytest.raises(RequestError, match=f"ends within its {name} stream; send it whole"):
        decoded(encode(b"x" * 1_000)[:-1], name)
    with pytest.raises(RequestError, match=f"goes on after its {name} stream; send one stream"):
        decoded(encode(b"a") + encode(b"b"), name)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(RequestError, match=f"Content-Encoding: expected gzip, zstd or none, got '{encoding}'"):
        decoded(b"x", encoding)


def test_a_damaged_checksum_is_found() -> None:
    body = bytearray(gzip.compress(b"x" * 100))
    body[-5] ^= 1
    with pytest.raises(RequestError, match="is not gzip"):
        decoded(bytes(body), "gzip")


def test_a_zstd_body_cannot_ask_for_a_huge_window() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: ZSTD_WINDOW_LOG + 4}
    compressor = zstd.ZstdCompressor(options=options)
    # Without its content size in the frame, the window is what a reader has to keep.
    body = compressor.compress(b"x" * 100) + compressor.flush()
    with pytest.raises(RequestError, match="is not zstd"):
        decoded(body, "zstd")


def test_x_gzip_is_gzip() -> None:
    compressor = zlib.compressobj(wbits=31)
    assert decoded(compressor.compress(b"abc") + compressor.flush(), "x-gzip") == b"abc"
