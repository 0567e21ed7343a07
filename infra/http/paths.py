"""Every path that a server answers by a name of its own, and that something else calls: clients here, tests, examples.

Invariant: a path is written once, so what listens and what calls cannot differ.
"""

from typing import Final

HEALTHZ: Final = "/healthz"
READYZ: Final = "/readyz"
METRICS: Final = "/metrics"
OPENAPI: Final = "/openapi.json"

INGEST: Final = "/api/v1/ingest"
"""Of the Snowflake dialect."""

TECTON_INGEST: Final = "/ingest"
TECTON_INGEST_V2: Final = "/v2/ingest"
"""Both of the Tecton dialect, which has two addresses for one call (rule TI-1)."""

GET_FEATURES: Final = "/api/v1/feature-service/get-features"
"""Of the Tecton dialect."""
