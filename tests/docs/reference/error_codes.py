"""The page of error codes, made of `schemas.errors` and of how each API answers its errors."""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping

from starlette.responses import Response
from structlog.testing import capture_logs

import ingest_api.registry.calls
from infra.process.exit_codes import exit_code_of
from ingest_api.registry.routes import registry_refusal
from ingest_api.snowflake.errors import error_response as snowflake_refusal
from ingest_api.snowflake.errors import record_code, view_code
from schemas import errors
from schemas.errors import HeadraceError, RecordError, RequestError, UnavailableError
from serving.tecton.errors import error_response as tecton_refusal
from tests.docs.reference.constants import Constant, constants
from tests.docs.reference.markdown import code, page, table

APIS: Mapping[str, Callable[[HeadraceError, str], Response]] = {
    "ingest (Snowflake)": snowflake_refusal,
    "reads (Tecton)": tecton_refusal,
    "schema registry": registry_refusal,
}
TRYING_AGAIN = "Trying again"

REFUSED = "What the ingest API refuses"
"""The codes of what is refused before any view; what becomes of a record later is told of its views."""


def error_codes_page() -> str:
    """Returns the page."""
    return page("Error codes", "schemas/errors.py", _lines())


def _lines() -> Iterator[str]:
    kinds = sorted(_kinds(), key=lambda kind: kind.code)
    told = (RequestError, UnavailableError)
    yield "A code is stable; the message beside it is for people and may change. Each code has one meaning, and each"
    yield "API spells it as its clients expect: as an HTTP status, as a code in its body, or both."
    yield from ["", "## Requests", "", "What a caller of an API is refused a whole request with.", ""]
    rows = [_request_row(kind) for kind in kinds if issubclass(kind, told) or kind is HeadraceError]
    yield from table(["code", "meaning", "try again", *APIS], rows)
    yield from ["", "## Commands and roles", "", "What ends a command or a role, with its exit code.", ""]
    yield from table(
        ["code", "meaning", "seen by", "try again", "exit code"],
        [_process_row(kind) for kind in kinds if not issubclass(kind, RequestError)],
    )
    for title in dict.fromkeys(entry.title for entry in constants(errors)):
        yield from [
            "",
            f"## {title}",
            "",
            "Codes of one record, in the answer to who sent it and in its dead letters.",
            "",
        ]
        entries = sorted((each for each in constants(errors) if each.title == title), key=lambda each: str(each.value))
        rows = [_record_row(each) for each in entries]
        yield from table(["code", "meaning", "trying again", "ingest (Snowflake)"], rows)
    yield from [
        "",
        "## Schema registry",
        "",
        "Codes of Confluent's, in `error_code`; what is no number here is above.",
        "",
    ]
    numbers = (each for each in constants(ingest_api.registry.calls) if each.title and type(each.value) is int)
    yield from table(["code", "meaning"], [[code(each.value), each.paragraphs[0]] for each in numbers])


def _kinds() -> Iterator[type[HeadraceError]]:
    for kind in vars(errors).values():
        if inspect.isclass(kind) and issubclass(kind, HeadraceError) and kind is not RecordError:
            yield kind


def _request_row(kind: type[HeadraceError]) -> list[str]:
    with capture_logs():  # an API may log what it refuses
        answers = [_answer(refuse(kind("x"), "id")) for refuse in APIS.values()]
    return [code(kind.code), _meaning(kind), _again(kind), *answers]


def _record_row(entry: Constant) -> list[str]:
    spelled = record_code if entry.title == REFUSED else view_code
    told = code(spelled(str(entry.value)))
    return [code(entry.value), entry.paragraphs[0], entry.paragraph(TRYING_AGAIN), told]


def _process_row(kind: type[HeadraceError]) -> list[str]:
    return [code(kind.code), _meaning(kind), kind.seen_by, _again(kind), f"{exit_code_of(kind('x')):d}"]


def _answer(response: Response) -> str:
    """Returns the status of an answer, and the code in its body, wherever its dialect has it."""
    body = json.loads(bytes(response.body))
    error = body.get("error")
    told = error.get("code") if isinstance(error, dict) else body.get("error_code", body.get("code"))
    return f"{response.status_code}, {code(told)}"


def _meaning(kind: type[HeadraceError]) -> str:
    return inspect.cleandoc(kind.__doc__ or "").split("\n\n", maxsplit=1)[0]


def _again(kind: type[HeadraceError]) -> str:
    return "yes" if kind.is_retryable else "no"
