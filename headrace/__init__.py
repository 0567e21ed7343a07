"""The door: what a feature repository imports.

Everything a user needs to define features is here, and nothing else; the command line is ``headrace``.
"""

from schemas.definitions import Aggregate, Entity, FeatureService, StreamFeatureView, StreamSource, stream_feature_view
from schemas.types import Array, Bool, Field, Float64, Int64, Map, String, Struct, Timestamp

__all__ = [
    "Aggregate",
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
