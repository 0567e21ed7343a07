"""The table of ingest dialects: each is a package of codecs and an error table, and adds its routes here.

Invariant: no two dialects share a path.
"""

from collections.abc import Callable
from typing import Final

from starlette.routing import Route

from ingest_api.service import IngestService
from ingest_api.snowflake import endpoint as snowflake

DIALECTS: Final[tuple[Callable[[IngestService], list[Route]], ...]] = (snowflake.routes,)
