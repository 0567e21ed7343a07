"""Calls of the two HTTP APIs from the command line.

Invariant: whatever goes wrong is an error of Headrace that says what to do; an answer that is returned has the form of
its reference.
"""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import click
import httpx

from infra.http.server import reachable_host
from infra.paths import ADMIN_KEY, admin_key_path
from infra.settings import Settings
from schemas.errors import RequestError, UnauthenticatedError, UnavailableError

TIMEOUT_SECONDS: Final = 60.0
"""Longer than any sensible deadline of the servers, so that their own answer comes first."""

PATIENCE_SECONDS: Final = 60
"""For how long a call waits at most, in sum, where the server says that it should."""

SHOWN_CHARACTERS: Final = 200
"""How much is shown of an answer that has the form of neither API, as a proxy's page."""

BUSY: Final = (429, 503, 504)

key_file_option = click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"File that holds the API key. [default: {ADMIN_KEY} in the data folder]",
)


def read_key(settings: Settings, key_file: Path | None) -> str:
    """Returns the API key.

    Args:
        settings: say where the data folder is.
        key_file: of the flag; None for the operator's own key.

    Raises:
        UnauthenticatedError: the file cannot be read or is empty.
    """
    path = key_file or admin_key_path(settings.data)
    try:
        key = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UnauthenticatedError(
            f"no API key: {path} cannot be read ({why}); name the data folder of `headrace up` with --data, or a file "
            "that holds a key with --key-file"
        ) from error
    if not key:
        raise UnauthenticatedError(f"no API key: {path} is empty; write the key into it")
    return key


class ApiClient:
    """One connection to one server.

    Args:
        host: address that the server listens on.
        port: its port.
        authorization: value of the header.
    """

    def __init__(self, host: str, port: int, authorization: str) -> None:
        self._url = f"http://{reachable_host(host)}:{port}"
        self._client = httpx.Client(
            base_url=self._url, headers={"Authorization": authorization}, timeout=TIMEOUT_SECONDS, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def post(self, path: str, document: object) -> Any:
        """Sends JSON and returns the JSON of the answer; where it is told to wait (429) it does so, for a while.

        Raises:
            UnavailableError: the server is not there, or too busy.
            RequestError: it refused the request, or the document cannot be written as JSON, or the answer is none.
        """
        try:
            content = encode_json(document)
        except (ValueError, RecursionError) as error:
            raise RequestError(
                f"the request for {path} cannot be written as JSON: {error}; correct its values"
            ) from error
        answer = self._send(path, content)
        waited = 0
        while answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            seconds = int(answer.headers.get("Retry-After", "1"))
            waited += seconds
            if waited > PATIENCE_SECONDS:
                break
            time.sleep(seconds)
            answer = self._send(path, content)
        if answer.is_success:
            try:
                return answer.json()
            except ValueError as error:
                raise RequestError(f"{self._url}{path} answered no JSON: {error}; correct host and port") from error
        problem = UnavailableError if answer.status_code in BUSY else RequestError
        raise problem(f"{self._url}{path} answered {answer.status_code}: {_message(answer)}")

    def _send(self, path: str, content: bytes) -> httpx.Response:
        try:
            return self._client.post(path, content=content, headers={"Content-Type": "application/json"})
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise UnavailableError(
                f"{self._url} does not answer: {reason}; start it, or correct host and port"
            ) from error


def encode_json(document: object) -> bytes:
    """Returns a document as JSON in UTF-8.

    Raises:
        ValueError: it holds a number or a text that JSON has not.
        RecursionError: it is nested too deeply.
    """
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _message(answer: httpx.Response) -> str:
    """Returns the text of an error in either dialect, ``{"error": {"message"}}`` or ``{"message"}``, else one line."""
    try:
        body = answer.json()
        error = body.get("error")
        return str(error["message"] if isinstance(error, dict) else body["message"])
    except (ValueError, KeyError, AttributeError):
        return " ".join(answer.text.split())[:SHOWN_CHARACTERS]
