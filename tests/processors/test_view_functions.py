from datetime import UTC, datetime

import msgspec

from processors.view_functions import ViewFunctions, load_functions
from schemas import avro
from schemas.changes import retire
from schemas.plan import Plan
from schemas.transform import SourceRecord
from schemas.updates import decode_update
from tests.schemas.repositories import HEAD, plan_of, view


def test_a_retired_view_runs_from_the_texts_that_it_came_from() -> None:
    first = plan_of({"views.py": HEAD + "F = 1\n" + view(body="return F")}, number=1)
    second = retire(first, plan_of({"views.py": HEAD + "F = 2\n" + view("other", body="return F")}, number=2), 60)
    functions = load_functions(second)
    assert {key: function({}) for key, function in functions.items()} == {"totals@V1": 1, "other@V1": 2}


def test_a_view_that_ended_is_transformed_no_longer() -> None:
    first = plan_of(view() + view("other"), number=1)
    sources = {name: msgspec.structs.replace(each, schema_id=7) for name, each in first.sources.items()}
    first = msgspec.structs.replace(first, sources=sources)
    second = msgspec.structs.replace(retire(first, plan_of(view("other"), number=2), 60), sources=sources)
    functions = ViewFunctions()
    value = avro.frame(7, avro.parse(first.sources["events"].schema), {"user": "u", "at": datetime.now(UTC)})
    record = SourceRecord(0, 0, 1_767_312_000_000, value, None)

    def fed(plan: Plan) -> set[int]:
        outcome = functions.transform(plan, "events")([record], {})
        return {decode_update(data).view for _, data in outcome.updates}

    assert fed(second) == {second.views["other@V1"].id, first.views["totals@V1"].id}
    assert fed(msgspec.structs.replace(second, retired={}, repositories={})) == {second.views["other@V1"].id}
