from pathlib import Path

from starlette.routing import Route

from infra.http.paths import GET_FEATURES
from serving.tecton.api import TECTON
from tests.serving.world import World, plan_of, service_text, view_text


def test_the_api_stands_where_its_reference_says(tmp_path: Path) -> None:
    api = World(tmp_path, plan_of(view_text("a", "") + service_text("s", "a_V1"))).api
    assert [route.path for route in api.routes if isinstance(route, Route)] == [GET_FEATURES]
    assert api.prefixes == (GET_FEATURES,)


def test_services_are_compiled_for_each_of_its_dialects() -> None:
    assert [dialect.name for dialect in TECTON.dialects] == ["tecton-get-features"]
