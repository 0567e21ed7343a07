"""Writes ``jars.lock`` anew: ``python -m infra.local_kafka.pins``, for whoever raises ``KAFKA_VERSION``.

Resolves what the broker needs by Maven's rules, downloads it, and pins each jar by its checksum.
"""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infra.local_kafka.jars import DOWNLOADS_AT_ONCE, KAFKA_VERSION, LOCK_FILE, Jar, fetch, maven_context, sha256

if TYPE_CHECKING:
    from jgo.maven import MavenContext

ROOTS: Final = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    # Left to the resolver, an older one comes in through a deeper dependency and the broker dies at start.
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.26.1",
)


def resolve(context: "MavenContext") -> list[str]:
    """Returns the coordinates ``group:artifact:version`` of all jars that the roots need at run time, sorted."""
    roots = [context.create_dependency(root) for root in ROOTS]
    for root in roots:
        root.scope = "compile"
    inputs, transitive = context.resolver.resolve(roots)
    needed = [*inputs, *(each for each in transitive if each.scope in {"compile", "runtime"})]
    return sorted(f"{each.groupId}:{each.artifactId}:{each.version}" for each in needed)


def main() -> None:
    """Resolves, downloads, and writes the lock beside :mod:`infra.local_kafka.jars`."""
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        context = maven_context(Path(scratch))
        coordinates = resolve(context)
        files = pool.map(lambda each: fetch(each, context), coordinates)
        jars = [Jar(each, sha256(file)) for each, file in zip(coordinates, files, strict=True)]
    LOCK_FILE.write_text("".join(f"{jar.coordinates} {jar.sha256}\n" for jar in jars), "ascii")


if __name__ == "__main__":
    main()
