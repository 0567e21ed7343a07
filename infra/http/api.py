"""What an HTTP API is to the server that it is mounted on: a value.

A server is a list of these (`infra.http.server.HttpServer`): dialects, the schema registry, administration, operations.
A next API is one function that returns an `Api`, and one entry in the list of its server.

Invariant: what an endpoint raises is answered by its own API's ``refuse``, and so is what goes wrong around it: an
unknown path or method, no room, an unexpected error. No caller ever gets an error in the shape of another API.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.responses import Response
from starlette.routing import BaseRoute

from schemas.errors import HeadraceError


class Scheme(Protocol):
    """A way to authenticate, as an API accepts it (`access.schemes`)."""

    @property
    def name(self) -> str:
        """Returns its name in OpenAPI documents."""

    @property
    def openapi(self) -> Mapping[str, Any]:
        """Returns its OpenAPI security scheme."""


Refuse = Callable[[HeadraceError, str], Response]
"""Returns the answer to a request that failed with an error; the text is the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One HTTP API.

    Attributes:
        name: for logs and documents, e.g. ``snowflake-ingest``.
        prefixes: the paths that are its own, each with all that lies below it. What nobody owns is the first API's of a
            server.
        routes: its endpoints. They raise what they refuse; see the module.
        refuse: its table of errors, whole: 404 is `UnknownPathError`, 405 `UnknownMethodError`, 413 `TooLargeError`,
            429 and 503 `OverloadedError` and `UnavailableError`, 500 `HeadraceError` itself.
        schemes: how its callers may authenticate; none: they need not.
        openapi: the OpenAPI path items of its endpoints, by path.
        is_always_answered: whether its requests are let through however many are in work, as probes are.
    """

    name: str
    prefixes: tuple[str, ...]
    routes: Sequence[BaseRoute]
    refuse: Refuse
    schemes: tuple[Scheme, ...] = ()
    openapi: Mapping[str, Any] = field(default_factory=dict)
    is_always_answered: bool = False
