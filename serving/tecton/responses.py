"""Responses of get-features (rules TF-12 to TF-15).

Invariant: ``result`` holds ``features`` and nothing else (stock clients fail on more), and ``metadata.features``, where
it is asked for, has one object for each of them, in the same order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from schemas.definitions.plan import FeaturePlan
from schemas.instants import instant_text
from serving.reads.metering import Meter
from serving.reads.missing import Missing
from serving.reads.read_plan import ReadPlan, ViewAnswer
from serving.tecton.data_types import data_type
from serving.tecton.requests import NOTHING, GetFeaturesRequest, Wanted
from serving.tecton.values import Encode, encoder

PRESENT: Final = "PRESENT"
MISSING_DATA: Final = "MISSING_DATA"

SLO_STORE_BYTES: Final = 2 * 1024 * 1024
"""A request that reads more from the store is outside the published objective (§3.5)."""

STORE_SIZE_EXCEEDED: Final = "DYNAMODB_RESPONSE_SIZE_LIMIT_EXCEEDED"
"""What the original calls it; clients know no other name."""

_encode: Final = msgspec.json.Encoder().encode


class MissingReason(msgspec.Struct, omit_defaults=True, rename="camel", gc=False):
    """Why a feature has no value (rule TF-24); ``event_time``: of the event that ``message`` is about."""

    reason: str
    message: str
    event_time: str | UnsetType = UNSET


class FeatureMetadata(msgspec.Struct, omit_defaults=True, rename="camel", gc=False):
    """What is said about one feature; only what was asked for."""

    name: str | UnsetType = UNSET
    effective_time: str | UnsetType = UNSET
    data_type: msgspec.Raw | UnsetType = UNSET
    status: str | UnsetType = UNSET
    missing: MissingReason | UnsetType = UNSET


class SloInfo(msgspec.Struct, omit_defaults=True, rename="camel", gc=False):
    """Times in seconds, sizes in bytes; ``dynamodb_response_size_bytes`` is an older name of the same size."""

    slo_eligible: bool
    slo_server_time_seconds: float
    dynamodb_response_size_bytes: int
    server_time_seconds: float
    store_max_latency: float
    store_response_size_bytes: int
    slo_ineligibility_reasons: list[str] | UnsetType = UNSET


class Metadata(msgspec.Struct, omit_defaults=True, rename="camel", gc=False):
    """What is said about the answer."""

    features: list[FeatureMetadata]
    slo_info: SloInfo | UnsetType = UNSET


class Result(msgspec.Struct, gc=False):
    """The values, in serving order."""

    features: list[Any]


class Response(msgspec.Struct, omit_defaults=True, gc=False):
    """The body."""

    result: Result
    metadata: Metadata | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class _Feature:
    name: str
    data_type: msgspec.Raw
    nothing: Any
    """What the value over no events may be asked for as, e.g. a count as "0"; None where there is no such value."""


class Responses:
    """Writes the responses of one feature service; compiled once.

    Args:
        plan: how the service is read.
    """

    def __init__(self, plan: ReadPlan) -> None:
        self._encoders = [encoder(feature.dtype) for _, feature in plan.features()]
        self._features = [
            _feature(name, feature, encode)
            for (name, feature), encode in zip(plan.features(), self._encoders, strict=True)
        ]

    def encode(self, request: GetFeaturesRequest, answers: Sequence[ViewAnswer], slo_info: SloInfo | None) -> bytes:
        """Returns the body of a response.

        Args:
            request: what was asked for.
            answers: what was read, one per view of the plan.
            slo_info: of this request, if it was asked for.
        """
        raw = [value for answer in answers for value in answer.values.values]
        values = [
            value if value is None or encode is None else encode(value)
            for value, encode in zip(raw, self._encoders, strict=True)
        ]
        if request.zero_counts:
            pairs = zip(values, self._features, strict=True)
            values = [feature.nothing if value is None else value for value, feature in pairs]
        result = Result(values)
        if request.wanted is NOTHING:
            return _encode(Response(result))
        metadata = Metadata(self._metadata(request.wanted, answers, raw), slo_info or UNSET)
        return _encode(Response(result, metadata))

    def _metadata(self, wanted: Wanted, answers: Sequence[ViewAnswer], raw: Sequence[Any]) -> list[FeatureMetadata]:
        times: list[str | UnsetType] = []
        for answer in answers:
            instant = answer.values.effective_time
            text = UNSET if instant is None or not wanted.effective_times else instant_text(instant)
            times += [text] * len(answer.values.values)
        missing = [each for answer in answers for each in answer.missing] or [None] * len(raw)
        names, data_types, statuses = wanted.names, wanted.data_types, wanted.serving_status
        return [
            FeatureMetadata(
                feature.name if names else UNSET,
                time,
                feature.data_type if data_types else UNSET,
                (MISSING_DATA if value is None else PRESENT) if statuses else UNSET,
                UNSET if why is None else _missing(why),
            )
            for feature, time, value, why in zip(self._features, times, raw, missing, strict=True)
        ]


def _missing(why: Missing) -> MissingReason:
    time = UNSET if why.event_time is None else instant_text(why.event_time)
    return MissingReason(why.reason, why.message, time)


def _feature(name: str, feature: FeaturePlan, encode: Encode | None) -> _Feature:
    function = feature.aggregate()
    nothing = None if function is None else function.nothing
    return _Feature(
        name,
        msgspec.Raw(_encode(data_type(feature.dtype))),
        nothing if nothing is None or encode is None else encode(nothing),
    )


def slo_info(meter: Meter, server_seconds: float) -> SloInfo:
    """Returns what the service level objective needs to know.

    Args:
        meter: of the request's reads.
        server_seconds: from its arrival until now. Nothing waits for realtime views, so the objective's own time, which
            leaves that out, is the same.
    """
    eligible = meter.size <= SLO_STORE_BYTES
    return SloInfo(
        slo_eligible=eligible,
        slo_server_time_seconds=server_seconds,
        dynamodb_response_size_bytes=meter.size,
        server_time_seconds=server_seconds,
        store_max_latency=meter.longest,
        store_response_size_bytes=meter.size,
        slo_ineligibility_reasons=UNSET if eligible else [STORE_SIZE_EXCEEDED],
    )
