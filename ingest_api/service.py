"""What a dialect is given to answer with.

Invariant: a dialect package adds codecs and an error table, and decides nothing about storing.
"""

from dataclasses import dataclass

from access.authentication import Authenticator
from ingest_api.ingestion.pipeline import Ingestion


@dataclass(frozen=True, slots=True)
class IngestService:
    """The parts that all dialects share.

    Attributes:
        authenticator: knows the callers.
        ingestion: stores records.
        default_workspace: of callers that name none and are bound to none.
    """

    authenticator: Authenticator
    ingestion: Ingestion
    default_workspace: str
