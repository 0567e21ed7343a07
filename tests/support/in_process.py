"""A whole way in one process, without Kafka, disk and sockets: from records as producers send them to served values."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from processors.logs.offline_log import OfflineLog
from processors.materialize.step import MaterializeStep
from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.definitions.plan import Plan
from schemas.definitions.repository import load_views
from schemas.messages.updates import UpdateMessage, decode_update
from schemas.records.transform import SourceRecord, SourceTransform
from schemas.records.validate import compile_validator
from serving.reads.read_plan import LeadingEdge, compile_read_plan
from serving.tecton.get_features import TectonService
from serving.tecton.requests import parse_get_features, parse_params
from tests.serving.memory_partition import MemoryPartition
from tests.support.memory_disk import MemoryDisk

INSTALLATION: Final = "here"

Served = dict[str, tuple[Any, str]]
"""Value and status of each feature, by name."""


class InProcess:
    """A system with one partition, in which each record has passed all stages when ``ingest`` returns.

    Args:
        plan: with one updates partition, schema ids and numbered views.
        appended: when Kafka took the records.
    """

    def __init__(self, plan: Plan, appended: datetime) -> None:
        self._plan = plan
        self._appended_ms = int(appended.timestamp() * 1_000)
        self._functions = load_views(plan.files, "repository", {}).functions()
        self._partition = MemoryPartition()
        log = OfflineLog(MemoryDisk(), plan.workspace, 0)
        log.open()
        views = {view.id: view for view in plan.views.values()}
        self._materialize = MaterializeStep(plan.workspace, 0, log, self._partition.reader, views, INSTALLATION)
        self._materialize.use(plan)
        self._records = self._updates = 0

    def ingest(self, source: str, records: Iterable[Mapping[str, Any]]) -> Sequence[str]:
        """Takes records, as JSON has them, all the way; returns what became dead letters of them, as texts."""
        plan = self._plan.sources[source]
        validate, schema = compile_validator(plan), avro.parse(plan.schema)
        framed = [
            wire.frame(plan.schema_id, schema, validate(msgspec.json.decode(msgspec.json.encode(r)))) for r in records
        ]
        batch = [
            SourceRecord(0, offset, self._appended_ms, value, None)
            for offset, value in enumerate(framed, self._records)
        ]
        self._records += len(batch)
        outcome = SourceTransform(self._plan, plan, self._functions)(batch, {})
        messages = [
            UpdateMessage(offset, decode_update(data))
            for offset, (_, data) in enumerate(outcome.updates, self._updates)
        ]
        self._updates += len(messages)
        self._materialize.run(messages, self._updates)
        return [problem.message for reject in outcome.rejects for problem in reject.problems]

    def read(self, service: str, join_keys: Mapping[str, str], now: datetime) -> Served:
        """Returns what get-features answers at a moment."""
        read_plan = compile_read_plan(self._plan, self._plan.services[service])
        served = TectonService(read_plan)
        options = {"includeNames": True, "includeServingStatus": True}
        params = {"featureServiceName": service, "joinKeyMap": join_keys, "metadataOptions": options}
        asked = parse_get_features(parse_params(msgspec.json.encode({"params": params})))
        micros = int(now.timestamp() * 1_000_000)
        answers = [
            read_plan.read(lambda _: self._partition, key, micros, LeadingEdge.WALL_CLOCK) for key in served.keys(asked)
        ]
        body = msgspec.json.decode(bytes(served.encode(asked, answers, None, 0.0)))
        return {
            about["name"]: (value, about["status"])
            for value, about in zip(body["result"]["features"], body["metadata"]["features"], strict=True)
        }
