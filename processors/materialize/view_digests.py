"""Which view each id in state stands for.

A view's id is an offset of Kafka's, and Kafka may give an offset out twice: after a power failure it may have lost the
end of the topic. Rows that were stored under such an id are another view's, so state names the digest of the view
beside each id (``schemas.definitions.plan.view_digest``), and whoever reads it compares.

Invariant: from ``take_up`` on, state holds nothing under the ids of the given views but what was stored for them.
"""

from collections.abc import Iterable

from schemas.definitions.plan import ViewPlan, view_digest
from schemas.state.keys import digest_key, view_ranges, watermark_key
from schemas.state.reader import State


def take_up(views: Iterable[ViewPlan], state: State) -> list[ViewPlan]:
    """Drops what other views left under the ids of these, in one write however much it is, and names the new ones.

    Returns:
        the views under whose ids something was dropped.

    Raises:
        StorageError: the state cannot be read or written; nothing was changed.
    """
    taken = list(views)
    found = state.get_many([digest_key(view.id) for view in taken])
    new = [(view, view_digest(view)) for view in taken]
    changed = [(view, digest) for (view, digest), known in zip(new, found, strict=True) if known != digest]
    held = [view for view, _ in changed if _holds_any(view.id, state)]
    if changed:
        # Names last: a reader that sees one sees none of what was dropped, as all of it is one batch.
        forgotten = [(watermark_key(view.id), None) for view, _ in changed]
        names = [(digest_key(view.id), digest) for view, digest in changed]
        state.write([*forgotten, *names], dropped=[each for view in held for each in view_ranges(view.id)])
    return held


def _holds_any(view: int, state: State) -> bool:
    return any(state.last_before(start, end) is not None for start, end in view_ranges(view))
