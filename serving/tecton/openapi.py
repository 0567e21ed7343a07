"""What the API says of itself in OpenAPI documents.

Invariant: it says nothing twice. What an answer holds is read from the structs that are sent, the statuses of errors
from their table, the leading edges from theirs.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from infra.http.paths import GET_FEATURES
from schemas.errors import UnknownMethodError
from serving.tecton.errors import INTERNAL, TABLE, Refusal
from serving.tecton.requests import LEADING_EDGES
from serving.tecton.responses import Response

_FLAG: Final[Mapping[str, Any]] = {"type": "boolean", "default": False}
_IGNORED: Final[Mapping[str, Any]] = {"type": "boolean", "description": "Checked, and without effect."}
_TEXT: Final[Mapping[str, Any]] = {"type": "string", "minLength": 1}


def _object(properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), **more}


_PARAMS: Final = _object(
    {
        "workspaceName": {**_TEXT, "description": "The caller's own workspace, or the server's, where it is left out."},
        "featureServiceName": _TEXT,
        "featureServiceId": {**_TEXT, "description": "32 hex digits, as `headrace status --json` lists them."},
        "joinKeyMap": {
            "type": "object",
            "description": "Each join key of the service, by name; 64-bit integers as decimal text.",
        },
        "requestContextMap": {"type": "object", "description": "For realtime views, of which there are none yet."},
        "allowPartialResults": _IGNORED,
        "metadataOptions": _object(
            dict.fromkeys(
                (
                    "includeNames",
                    "includeDataTypes",
                    "includeEffectiveTimes",
                    "includeServingStatus",
                    "includeSloInfo",
                    "includeMissingReasons",
                ),
                _FLAG,
            )
        ),
        "requestOptions": _object(
            {
                "aggregationLeadingEdge": {"enum": list(LEADING_EDGES), "default": next(iter(LEADING_EDGES))},
                "coerceNullCountsToZero": _FLAG,
                "readFromCache": _IGNORED,
                "writeToCache": _IGNORED,
                "latencyBudgetMs": {"type": ["integer", "string"], "description": "Checked, and without effect."},
            }
        ),
    },
    description="Names may be spelled in snake_case too; null counts as absent; what is not known is ignored.",
    oneOf=[{"required": ["featureServiceName"]}, {"required": ["featureServiceId"]}],
)

_ERROR: Final = _object(
    {"error": {"type": "string"}, "message": {"type": "string"}, "code": {"type": "integer"}},
    required=["error", "message", "code"],
    description="`message` says what to do, `error` is the same text, `code` is the one of gRPC.",
)


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _schema_of(struct: type[msgspec.Struct]) -> Any:
    """Returns the JSON schema of a struct without references, as these would be looked up from the whole document."""
    (schema,), components = msgspec.json.schema_components((struct,), ref_template="{name}")

    def whole(part: Any) -> Any:
        if isinstance(part, dict):
            return whole(components[part["$ref"]]) if "$ref" in part else {name: whole(of) for name, of in part.items()}
        return [whole(each) for each in part] if isinstance(part, list) else part

    return whole(schema)


def _refused(refusal: Refusal) -> dict[str, Any]:
    headers = {"Retry-After": {"schema": {"type": "integer"}, "description": "In seconds."}}
    described = {"description": HTTPStatus(refusal.status).phrase, **_json(_ERROR)}
    return {**described, "headers": headers} if refusal.retryable else described


_REFUSALS: Final = [INTERNAL, *(refusal for kind, refusal in TABLE.items() if kind is not UnknownMethodError)]
"""What an operation that exists may be refused with."""

PATHS: Final[Mapping[str, Any]] = {
    GET_FEATURES: {
        "post": {
            "operationId": "getFeatures",
            "summary": "The newest values of a feature service's features, for one set of join keys",
            "requestBody": {"required": True, **_json(_object({"params": _PARAMS}, required=["params"]))},
            "responses": {
                "200": {"description": HTTPStatus.OK.phrase, **_json(_schema_of(Response))},
                **{str(refusal.status): _refused(refusal) for refusal in sorted(_REFUSALS)},
            },
        }
    }
}
"""The path items of the API."""
