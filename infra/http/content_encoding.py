"""Request bodies that come compressed: ``Content-Encoding`` gzip or zstd.

Invariant: no more is made of a body than its limit, whatever it claims to hold: its time and memory are bounded.
"""

import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from schemas.errors import RequestError, TooLargeError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_WINDOW_LOG: Final = 23
"""The largest window that a zstd body may ask for, 8 MiB, as RFC 9659 has it for this use."""

_GZIP_WBITS: Final = 31
"""Of zlib: a gzip header and trailer around the largest window."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _gzip() -> _Decompressor:
    return zlib.decompressobj(_GZIP_WBITS)


def _zstd() -> _Decompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG})


_ENCODINGS: Final[Mapping[str, Callable[[], _Decompressor]]] = {"gzip": _gzip, "x-gzip": _gzip, "zstd": _zstd}


def decoded_body(body: bytes, encoding: str, limit_bytes: int, advice: str) -> bytes:
    """Returns a body as it was before it was encoded.

    Args:
        body: as it came.
        encoding: the ``Content-Encoding`` header; empty if there is none.
        limit_bytes: longest body that is accepted once it is decoded.
        advice: what a caller can do whose body is longer.

    Raises:
        RequestError: the encoding is not known, or the body is not of it.
        TooLargeError: it is longer.
    """
    name = encoding.strip().lower()
    if name in ("", "identity") or not body:
        return body
    make = _ENCODINGS.get(name)
    if make is None:
        raise RequestError(f"Content-Encoding: expected gzip, zstd or none, got '{encoding[:60]}'")
    decompressor = make()
    try:
        found = decompressor.decompress(body, limit_bytes + 1)
    except (zlib.error, zstd.ZstdError) as error:
        raise RequestError(f"Request body is not {name}, as Content-Encoding says: {error}") from error
    if len(found) > limit_bytes:
        raise TooLargeError(f"Request body is larger than {limit_bytes} bytes once it is decoded; {advice}")
    if not decompressor.eof:
        raise RequestError(f"Request body ends within its {name} stream; send it whole")
    # Streams without content cost time each: a body may be one alone.
    if decompressor.unused_data:
        raise RequestError(f"Request body goes on after its {name} stream; send one stream")
    return found
