"""The Tecton HTTP API as a server mounts it."""

from typing import Final

from starlette.routing import Route

from access.schemes import SCHEMES
from infra.http.api import Api
from infra.http.paths import GET_FEATURES
from serving.reads.pipeline import ReadApi, ReadPipeline, ReadRoute
from serving.tecton.errors import error_response
from serving.tecton.get_features import GET_FEATURES_DIALECT
from serving.tecton.openapi import PATHS


def tecton_api(pipeline: ReadPipeline) -> Api:
    """Returns the API.

    Args:
        pipeline: that answers its reads.
    """
    get_features = ReadRoute(pipeline, GET_FEATURES_DIALECT, GET_FEATURES)
    return Api(
        name="tecton-features",
        prefixes=(GET_FEATURES,),
        routes=[Route(GET_FEATURES, get_features, methods=["POST"])],
        refuse=error_response,
        schemes=tuple(SCHEMES.values()),
        openapi=PATHS,
    )


TECTON: Final = ReadApi((GET_FEATURES_DIALECT,), tecton_api)
"""The entry of the serving process."""
