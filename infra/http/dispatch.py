"""The ASGI application of a server: which API answers a request, and how what goes wrong is answered.

1. Give the request an id (`infra.http.request_context`).
2. Find the API that owns its path: the longest prefix counts; what nobody owns is the first API's.
3. Refuse it if too many are in work already, unless its API is always answered.
4. Run the API's route; what it raises becomes the API's own refusal.

Invariant: every request is answered in the shape of one API, carries its id, and is counted.
"""

from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.http.api import Api
from infra.http.request_context import CountedSend, begin_request
from infra.logs import get_logger
from schemas.errors import HeadraceError, OverloadedError, UnknownMethodError, UnknownPathError

_log = get_logger(__name__)


class Dispatcher:
    """Answers for several APIs on one address; for use by one event loop.

    Args:
        apis: of which no two own one prefix; the first answers for paths that are nobody's.
        limit_concurrency: most requests in work at a time.

    Raises:
        ValueError: two APIs own one prefix.
    """

    def __init__(self, apis: Sequence[Api], limit_concurrency: int) -> None:
        self._limit = limit_concurrency
        self._in_work = 0
        mounted = [(prefix, api) for api in apis for prefix in api.prefixes]
        if len({prefix for prefix, _ in mounted}) < len(mounted):
            raise ValueError(f"two APIs own one prefix: {sorted(prefix for prefix, _ in mounted)}")
        self._routers = {api.name: Router(api.routes, redirect_slashes=False) for api in apis}
        self._first = apis[0]
        # Longest first, so that the most particular owner is found first.
        self._mounted = sorted(mounted, key=lambda each: -len(each[0]))

    def api_of(self, path: str) -> Api:
        """Returns the API that answers for a path."""
        for prefix, api in self._mounted:
            if path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix)] == "/"):
                return api
        return self._first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        api = self.api_of(scope["path"])
        chosen = begin_request(scope)
        counted = CountedSend(scope, send)
        scope["app"] = self  # so that the router raises for a path or a method that it does not have
        try:
            await self._run(api, scope, receive, counted)
        except HTTPException as error:
            await self._refuse(api, _as_ours(error, scope), chosen, error.headers or {})(scope, receive, counted)
        except HeadraceError as error:
            if counted.started:
                raise
            await self._refuse(api, error, chosen)(scope, receive, counted)
        except Exception:
            _log.exception("request failed", api=api.name, path=scope["path"])
            if counted.started:
                raise
            unexpected = HeadraceError(f"internal error; the server's log has more under request_id {chosen}")
            await self._refuse(api, unexpected, chosen)(scope, receive, counted)

    async def _run(self, api: Api, scope: Scope, receive: Receive, send: Send) -> None:
        router = self._routers[api.name]
        if api.is_always_answered:
            await router(scope, receive, send)
            return
        if self._in_work >= self._limit:
            raise OverloadedError(f"{self._limit} requests are in work, which is the limit; try again")
        self._in_work += 1
        try:
            await router(scope, receive, send)
        finally:
            self._in_work -= 1

    @staticmethod
    def _refuse(api: Api, error: HeadraceError, chosen: str, headers: Mapping[str, str] | None = None) -> ASGIApp:
        response = api.refuse(error, chosen)
        if isinstance(error, OverloadedError) and error.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(error.retry_after_seconds)
        response.headers.update(headers or {})
        return response


def _as_ours(error: HTTPException, scope: Scope) -> HeadraceError:
    """Returns the error of ours for what the router raises: a path or a method that it does not have."""
    if error.status_code == 404:  # noqa: PLR2004 - as HTTP has it
        return UnknownPathError(f"there is nothing at {scope['path']}")
    return UnknownMethodError(f"{scope['method']} is not allowed at {scope['path']}")
