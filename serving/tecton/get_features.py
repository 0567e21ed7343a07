"""``POST /api/v1/feature-service/get-features``: what this dialect makes of a request and of an answer.

The way between is `serving.reads.pipeline`.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from starlette.types import Scope
from typing_extensions import override

from schemas.limits import MAX_READ_BODY_BYTES
from schemas.state.keys import JoinKey
from serving.reads.dialect import DialectService, ReadCall, ReadDialect
from serving.reads.metering import Meter
from serving.reads.read_plan import ReadPlan, ViewAnswer
from serving.tecton.join_keys import JoinKeys
from serving.tecton.requests import Fields, parse_get_features, parse_params
from serving.tecton.responses import Responses, slo_info


class TectonService(DialectService):
    """What the dialect needs of a feature service; compiled once.

    Args:
        plan: how it is read.
    """

    def __init__(self, plan: ReadPlan) -> None:
        self._join_keys = JoinKeys(plan.join_keys)
        self._responses = Responses(plan)

    @override
    def keys(self, asked: Any) -> Sequence[Sequence[JoinKey]]:
        return (self._join_keys.decode(asked.join_keys),)

    @override
    def encode(self, asked: Any, reads: Sequence[Sequence[ViewAnswer]], meter: Meter | None, seconds: float) -> bytes:
        return self._responses.encode(asked, reads[0], None if meter is None else slo_info(meter, seconds))


class Params(msgspec.Struct, frozen=True, gc=False):
    """A request of which ``params`` are there: an ``Outline``."""

    fields: Fields

    @property
    def workspace(self) -> str | None:
        """Returns the workspace that it names."""
        return self.fields.text("workspaceName")

    def call(self) -> ReadCall:
        """Returns what it asks for."""
        request = parse_get_features(self.fields)
        wanted = request.wanted
        return ReadCall(
            request.service, request.service_id, request.edge, wanted.slo_info, wanted.missing_reasons, request
        )


def _outline(_scope: Scope, body: bytes) -> Params:
    return Params(parse_params(body))


GET_FEATURES_DIALECT: Final = ReadDialect(
    name="tecton-get-features",
    max_body_bytes=MAX_READ_BODY_BYTES,
    advice="send a smaller request context",
    too_many="GetFeatures exceeded the concurrent request limit",
    outline=_outline,
    compile=TectonService,
    about=lambda workspace, service: f"Unable to query FeatureService {service} for workspace {workspace}",
)
