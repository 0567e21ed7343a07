"""Small feature repositories for tests, as text."""

from collections.abc import Mapping

from schemas.definitions.plan import Plan, ViewPlan
from tests.support import plans

HEAD = """\
from datetime import timedelta
from headrace import *
hour = timedelta(hours=1)
source = StreamSource(name="events", timestamp_field="at", schema=[
    Field("user", String), Field("x", Float64, required=False), Field("tags", Array(String), required=False),
    Field("at", Timestamp)])
user = Entity(name="user", join_keys=[Field("user", String)])
"""

WITH_IDENTITY = HEAD.replace(
    'Field("at", Timestamp)])', 'Field("at", Timestamp), Field("order", String), Field("line", Int64)], identity={})'
)
"""The same with identity columns; braces stand for the list of them."""

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
    """Returns the plan of a repository; text alone is one module after ``HEAD``."""
    return plans.plan_of(HEAD + files if isinstance(files, str) else files, number=number)


def view_plan(text: str) -> ViewPlan:
    """Returns the plan of the one view in the text."""
    (plan,) = plan_of(text).views.values()
    return plan
