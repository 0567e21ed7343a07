"""All listed mutations, by what they are of; ``python -m tests.mutations --list`` shows them."""

from typing import Final

from tests.mutations.mutation import Mutation
from tests.mutations.table import (
    aggregation,
    database,
    definitions,
    fold,
    intake,
    logs,
    materialize,
    messages,
    reads,
    records,
    retention,
    segments,
    state,
    threads,
    windows,
)

MUTATIONS: Final[tuple[Mutation, ...]] = (
    *fold.MUTATIONS,
    *materialize.MUTATIONS,
    *retention.MUTATIONS,
    *windows.MUTATIONS,
    *aggregation.MUTATIONS,
    *state.MUTATIONS,
    *messages.MUTATIONS,
    *logs.MUTATIONS,
    *segments.MUTATIONS,
    *database.MUTATIONS,
    *intake.MUTATIONS,
    *threads.MUTATIONS,
    *reads.MUTATIONS,
    *records.MUTATIONS,
    *definitions.MUTATIONS,
)
