"""Bodies of feature service calls (rules TF-1 and TF-2).

Invariant: a request that leaves here is well-formed; what it names has not been looked up.

Fields may be spelled in camelCase or snake_case; camelCase wins where both stand. Fields and options that are not known
are ignored, as the gateway of the original does: newer clients send options that older servers never saw.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.errors import RequestError
from schemas.limits import MAX_DECODED_BYTES
from serving.reads.read_plan import LeadingEdge

_decode: Final = msgspec.json.Decoder().decode

_CONTEXTS: Final = frozenset({"requestContextMap", "request_context_map"})
_EMPTY: Final = msgspec.Raw(b"{}")

_MILLISECONDS: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)

LEADING_EDGES: Final = {
    "AGGREGATION_MODE_WALL_CLOCK_TIME": LeadingEdge.WALL_CLOCK,
    "AGGREGATION_MODE_LATEST_EVENT_TIME": LeadingEdge.LATEST_EVENT,
}


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """What ``metadataOptions`` asks for beside the values."""

    names: bool = False
    data_types: bool = False
    effective_times: bool = False
    serving_status: bool = False
    slo_info: bool = False
    missing_reasons: bool = False


NOTHING: Final = Wanted()


class GetFeaturesRequest(msgspec.Struct, frozen=True, gc=False):
    """A get-features call.

    Attributes:
        service: name of the feature service; None where it is named by id.
        join_keys: as sent.
        wanted: the metadata asked for.
        edge: where windows of aggregates end.
        zero_counts: whether a count of nothing is 0 instead of null.
        service_id: id of the feature service; None where it is named by name.
    """

    service: str | None
    join_keys: Mapping[str, Any]
    wanted: Wanted
    edge: LeadingEdge
    zero_counts: bool
    service_id: str | None = None


class Fields:
    """An object of a request body, read by camelCase name in either spelling; null counts as absent.

    Args:
        name: of the object, for messages.
        values: what it holds.
    """

    __slots__ = ("_name", "_values")

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        self._name = name
        self._values = values

    def get(self, name: str) -> Any:
        """Returns a value, or None."""
        value = self._values.get(name)
        return self._values.get(SNAKE[name]) if value is None else value

    def mapping(self, name: str) -> Mapping[str, Any]:
        """Returns an object; an empty one if it is absent."""
        value = self.get(name)
        if value is None:
            return {}
        if type(value) is not dict:
            raise self._unexpected(name, "an object")
        return value

    def text(self, name: str) -> str | None:
        """Returns a string that is not empty, or None."""
        value = self.get(name)
        if value is not None and type(value) is not str:
            raise self._unexpected(name, "a string")
        return value or None

    def flag(self, name: str) -> bool:
        """Returns a boolean, false if it is absent."""
        value = self.get(name)
        if value is not None and type(value) is not bool:
            raise self._unexpected(name, "true or false")
        return bool(value)

    def _unexpected(self, name: str, expected: str) -> RequestError:
        return RequestError(f"Unexpected JSON type for {name} in {self._name}. Expected {expected}.")


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


SNAKE: Final[Mapping[str, str]] = {
    name: _snake(name)
    for name in (
        "aggregationLeadingEdge",
        "allowPartialResults",
        "coerceNullCountsToZero",
        "featureServiceId",
        "featureServiceName",
        "includeDataTypes",
        "includeEffectiveTimes",
        "includeMissingReasons",
        "includeNames",
        "includeServingStatus",
        "includeSloInfo",
        "joinKeyMap",
        "latencyBudgetMs",
        "metadataOptions",
        "params",
        "readFromCache",
        "requestContextMap",
        "requestOptions",
        "workspaceName",
        "writeToCache",
    )
}


_Params: Final = msgspec.defstruct(
    "_Params",
    [
        (field, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET)
        for field in dict.fromkeys(spelling for pair in SNAKE.items() for spelling in pair)
    ],
)
"""``params`` with the texts of all fields that are known, in either spelling; what is unknown is skipped."""


_decode_texts: Final = msgspec.json.Decoder(msgspec.defstruct("_Document", [("params", _Params | None, None)])).decode


def _decode_large(body: bytes) -> Any:
    """Returns what ``_decode`` does of a large body, but for what nobody looks at: that is skipped, not built.

    5 MB of empty lists take 0.6 s to build, in which nobody else is served, and 20 ms to skip.
    """
    try:
        document: Any = _decode_texts(body)
    except msgspec.ValidationError:  # one of the two is no object
        return {"params": False} if body.lstrip()[:1] == b"{" else None
    params = document.params
    if params is None:
        return {}
    texts = {name: text for name, text in msgspec.structs.asdict(params).items() if text is not msgspec.UNSET}
    for name in _CONTEXTS & texts.keys():
        texts[name] = _EMPTY if bytes(texts[name]).startswith(b"{") else texts[name]
    sizes = {name: len(memoryview(text)) for name, text in texts.items()}
    largest = max(sizes, key=sizes.__getitem__, default="")
    if sum(sizes.values()) > MAX_DECODED_BYTES:
        raise RequestError(
            f"params without requestContextMap have more than {MAX_DECODED_BYTES} bytes, {largest} alone has "
            f"{sizes[largest]}; send less in it"
        )
    return {"params": {name: _decode(text) for name, text in texts.items()}}


def parse_params(body: bytes) -> Fields:
    """Returns the ``params`` of a body, which is JSON whatever the content type says: curl's default is a form.

    Raises:
        RequestError: it is not, or holds too much outside of ``requestContextMap``.
    """
    try:
        document = _decode(body) if len(body) <= MAX_DECODED_BYTES else _decode_large(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise RequestError("the body is nested too deeply") from error
    if type(document) is not dict:
        raise RequestError('the body must be a JSON object: {"params": {...}}')
    params = document.get("params")
    if type(params) is not dict:
        raise RequestError(
            f'params {"is missing" if params is None else "must be an object"}: send {{"params": {{...}}}}'
        )
    return Fields("params", params)


def parse_get_features(params: Fields) -> GetFeaturesRequest:
    """Returns the call that ``params`` describe.

    Raises:
        RequestError: a field is missing or of the wrong type; the message names it and what was expected.
    """
    service, service_id = params.text("featureServiceName"), params.text("featureServiceId")
    if service is not None and service_id is not None:
        raise RequestError("exactly one of featureServiceName and featureServiceId may be given in params")
    if service is None and service_id is None:
        raise RequestError("featureServiceName is missing in params")
    params.mapping("requestContextMap")  # for realtime views; whatever is not needed is not looked at
    params.flag("allowPartialResults")  # reads here have no size limit: results are never partial
    options = params.mapping("requestOptions")
    edge, zero_counts = _request_options(Fields("requestOptions", options)) if options else _DEFAULTS
    metadata = params.mapping("metadataOptions")
    wanted = _wanted(Fields("metadataOptions", metadata)) if metadata else NOTHING
    return GetFeaturesRequest(service, params.mapping("joinKeyMap"), wanted, edge, zero_counts, service_id)


_DEFAULTS: Final = (LeadingEdge.WALL_CLOCK, False)


def _request_options(options: Fields) -> tuple[LeadingEdge, bool]:
    """Checks all options; those of caches and latency have nothing to act on: reads are local and take no time off."""
    options.flag("readFromCache")
    options.flag("writeToCache")
    budget = options.get("latencyBudgetMs")  # documented samples send text, stock clients a number
    if budget is not None and not _MILLISECONDS.fullmatch(str(budget)):
        raise RequestError("Unexpected value for latencyBudgetMs in requestOptions. Expected a number of ms above 0.")
    name = options.text("aggregationLeadingEdge")
    edge = LeadingEdge.WALL_CLOCK if name is None else LEADING_EDGES.get(name)
    if edge is None:
        raise RequestError(
            f"Unexpected value for aggregationLeadingEdge in requestOptions. Expected {' or '.join(LEADING_EDGES)}."
        )
    return edge, options.flag("coerceNullCountsToZero")


def _wanted(options: Fields) -> Wanted:
    return Wanted(
        names=options.flag("includeNames"),
        data_types=options.flag("includeDataTypes"),
        effective_times=options.flag("includeEffectiveTimes"),
        serving_status=options.flag("includeServingStatus"),
        slo_info=options.flag("includeSloInfo"),
        missing_reasons=options.flag("includeMissingReasons"),
    )
