"""Where the processors of a data folder answer ``/readyz`` and ``/metrics``: a host may run several, at any ports.

Invariant: what is returned was written by a process that runs now. It is a help to operators; nothing depends on it.

One file for each process, ``DATA/processors/{process id}``, with the URL.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.logs import get_logger
from infra.paths import processor_urls_path

_log = get_logger(__name__)


@contextmanager
def announced(data: Path, url: str) -> Iterator[None]:
    """Says where this process answers for as long as the block runs."""
    path = processor_urls_path(data) / str(os.getpid())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in path.parent.iterdir():
            if not _runs(other):
                other.unlink(missing_ok=True)
        path.write_text(url, encoding="utf-8")
    except OSError as error:
        _log.warning("status will not find this processor", path=str(path), problem=error.strerror)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def processor_urls(data: Path) -> list[str]:
    """Returns the URLs of the processors that run on this host with a data folder, sorted."""
    urls = set()
    with suppress(OSError):
        for path in processor_urls_path(data).iterdir():
            with suppress(OSError, UnicodeDecodeError):
                if _runs(path):
                    urls.add(path.read_text(encoding="utf-8"))
    return sorted(urls)


def _runs(path: Path) -> bool:
    try:
        os.kill(int(path.name), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return True
