"""The door: what a feature repository imports.

Everything a user needs to define features is here, and nothing else; the command line is ``headrace``.
"""

from headrace.own_packages import refuse_shadows

refuse_shadows()  # before the first import of a package that may be somebody else's

from schemas.definitions.objects import (  # noqa: E402 - as above
    Aggregate,
    AggregateFeature,
    Entity,
    FeatureService,
    StreamFeatureView,
    StreamSource,
    stream_feature_view,
)
from schemas.types import Array, Bool, Field, Float64, Int64, Map, String, Struct, Timestamp  # noqa: E402 - as above

__all__ = [
    "Aggregate",
    "AggregateFeature",
    "Array",
    "Bool",
    "Entity",
    "FeatureService",
    "Field",
    "Float64",
    "Int64",
    "Map",
    "StreamFeatureView",
    "StreamSource",
    "String",
    "Struct",
    "Timestamp",
    "stream_feature_view",
]
