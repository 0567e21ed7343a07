"""How long a text may be that a view's tiles keep, so that no tile outgrows ``MAX_TILE_BYTES``.

Invariant: if every text of a row keeps to ``text_limit``, no tile of the view keeps more than ``MAX_TILE_BYTES`` of
values, whatever rows it covers. What else a tile holds (counts, exact sums) has a fixed size.
"""

from collections.abc import Sequence

from schemas.definitions.plan import ViewPlan
from schemas.limits import KEPT_VALUE_BYTES, MAX_IDENTITY_BYTES, MAX_TILE_BYTES, MIN_TEXT_BYTES
from schemas.types import String


def kept_texts(view: ViewPlan) -> tuple[str, ...]:
    """Returns the text columns of which tiles keep values."""
    texts = _texts(view)
    return tuple(dict.fromkeys(column for column, values in _kept(view) if values and column in texts))


def text_limit(view: ViewPlan) -> int:
    """Returns how many bytes each text may have that the view's tiles keep: an equal share of what is left to them."""
    texts = _texts(view)
    kept = _kept(view)
    slots = sum(values for column, values in kept if column in texts)
    # A value of a view with identity columns may have them beside its time.
    each = KEPT_VALUE_BYTES + (MAX_IDENTITY_BYTES if view.identity else 0)
    left = MAX_TILE_BYTES - each * sum(values for _, values in kept)
    return left // slots if slots else left


def problem(view: ViewPlan) -> str | None:
    """Returns why no tile of a view could be held, or None."""
    least = MIN_TEXT_BYTES if kept_texts(view) else 0
    if text_limit(view) >= least:
        return None
    values = sum(values for _, values in _kept(view))
    return (
        f"its features keep {values:,} values in each tile (n of each last, 1 of each min and max), which can take "
        f"more than the {MAX_TILE_BYTES:,} bytes that a tile may have; lower n, or move features to another view"
    )


def _kept(view: ViewPlan) -> Sequence[tuple[str, int]]:
    """Returns the column of each partial, and how many of its values it keeps."""
    return [(partial.column, partial.bound().kept) for partial in view.partials]


def _texts(view: ViewPlan) -> frozenset[str]:
    return frozenset(column.name for column in view.columns if column.dtype == String)
