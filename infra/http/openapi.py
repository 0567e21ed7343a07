"""The OpenAPI document of a server, put together from what its APIs say of themselves.

Invariant: it names no endpoint that is not served, and says of each which credentials it takes.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from infra.http.api import Api

OPENAPI_VERSION: Final = "3.1.0"


def openapi_document(title: str, apis: Sequence[Api]) -> Mapping[str, Any]:
    """Returns the document, as JSON objects.

    Args:
        title: of the server.
        apis: of the server.
    """
    schemes = {scheme.name: dict(scheme.openapi) for api in apis for scheme in api.schemes}
    return {
        "openapi": OPENAPI_VERSION,
        "info": {"title": title, "version": version("headrace")},
        "paths": {path: _secured(api, item) for api in apis for path, item in api.openapi.items()},
        "components": {"securitySchemes": schemes},
    }


def _secured(api: Api, item: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a path item whose operations carry the name of their API, and how their callers authenticate."""
    security: list[dict[str, list[str]]] = [{scheme.name: []} for scheme in api.schemes]
    return {method: {"tags": [api.name], "security": security, **operation} for method, operation in item.items()}
