"""A limit on the memory of this process, for children that run what may take all of it."""

import resource


def limit_memory(limit_bytes: int) -> bool:
    """Makes allocations beyond the limit fail; returns whether the system does that.

    Linux does. macOS refuses the call; there the time limit of a child's parent is what ends it.
    """
    try:
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    except (OSError, ValueError):
        return False
    return True
