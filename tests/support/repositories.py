"""Small feature repositories for tests, as text."""

from collections.abc import Mapping

import msgspec

from schemas.definitions.compile import compile_services, compile_sources, compile_views
from schemas.definitions.plan import Plan, ViewPlan
from schemas.definitions.repository import digest, load_repository

HEAD = """\
from datetime import timedelta
from headrace import *
hour = timedelta(hours=1)
source = StreamSource(name="events", timestamp_field="at", schema=[
    Field("user", String), Field("x", Float64, required=False), Field("tags", Array(String), required=False),
    Field("at", Timestamp)])
user = Entity(name="user", join_keys=[Field("user", String)])
"""

VIEW = """\
@stream_feature_view(source=source, entities=[user], timestamp_field="at"{options})
def {name}(record):
    {body}
"""

SUM = ', features=[Aggregate("sum", "x", hour)]'


def view(name: str = "totals", options: str = SUM, body: str = "return record") -> str:
    """Returns the text of a view."""
    return VIEW.format(name=name, options=options, body=body)


def plan_of(files: str | Mapping[str, str], number: int = 1) -> Plan:
    """Returns the plan of a repository, its views numbered from 10; text alone is one module after ``HEAD``."""
    texts = {"views.py": HEAD + files} if isinstance(files, str) else dict(files)
    repository = load_repository(texts, "repo")
    sources = compile_sources(repository, 4)
    views = compile_views(repository, sources)
    services = compile_services(repository, views)
    return Plan("prod", 4, sources, _numbered(views), services, texts, digest(texts), number=number)


def _numbered(views: Mapping[str, ViewPlan]) -> dict[str, ViewPlan]:
    return {key: msgspec.structs.replace(plan, id=number) for number, (key, plan) in enumerate(views.items(), 10)}


def view_plan(text: str) -> ViewPlan:
    """Returns the plan of the one view in the text."""
    (plan,) = plan_of(text).views.values()
    return plan
