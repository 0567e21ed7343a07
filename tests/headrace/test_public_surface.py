import headrace

NAMES = [
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


def test_a_feature_repository_can_import_these_names_and_no_others() -> None:
    assert headrace.__all__ == NAMES
    assert all(getattr(headrace, name).__doc__ for name in NAMES)


def test_a_star_import_brings_the_public_names_alone() -> None:
    namespace: dict[str, object] = {}
    exec("from headrace import *", namespace)  # noqa: S102 - what a repository's module does
    assert sorted(namespace.keys() - {"__builtins__"}) == sorted(NAMES)
