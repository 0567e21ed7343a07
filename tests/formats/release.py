"""What a release leaves behind: a whole data folder, written by a small run, with the answers that it gave.

``python -m tests.formats.make_release VERSION`` writes one, once for each release, and beside it its code's commit,
with which rolling upgrades are tested. The folders of former releases are opened by the tests of all later ones.

Invariant: an answer does not depend on when it is asked for: windows end at the latest event, and nothing has a ttl.
"""

import json
import lzma
import shutil
import tarfile
from pathlib import Path
from typing import Any, Final

import httpx

from examples.running import System
from tests.support.system import snowflake_headers, tecton_headers

RELEASES: Final = Path(__file__).parent / "releases"

REPOSITORY: Final = """
from datetime import timedelta

from headrace import (
    Aggregate, Array, Entity, FeatureService, Field, Float64, Int64, String, StreamSource, Timestamp,
    stream_feature_view,
)

user = Entity(name="user", join_keys=[Field("user", String)])
events = StreamSource(
    name="events",
    schema=[Field("user", String), Field("amount", Float64, required=False), Field("clicks", Int64, required=False),
            Field("tags", Array(String), required=False), Field("at", Timestamp)],
    timestamp_field="at",
    log_offline=True,
)


@stream_feature_view(
    source=events, entities=[user], timestamp_field="at", aggregation_interval=timedelta(minutes=10),
    features=[Aggregate("mean", "amount", timedelta(hours=1)), Aggregate("sum", "clicks", timedelta(days=1)),
              Aggregate("count", "clicks", timedelta(days=1))],
)
def tiled(record):
    if record["user"] == "broken":
        raise ValueError("a record that becomes a dead letter")
    return record


@stream_feature_view(
    source=events, entities=[user], timestamp_field="at",
    features=[Aggregate("last", "amount", timedelta(days=1), n=3, name="amounts"),
              Aggregate("min", "amount", timedelta(days=2)), Aggregate("max", "clicks", timedelta(days=2))],
)
def continuous(record):
    return record


@stream_feature_view(source=events, entities=[user], timestamp_field="at")
def newest(record):
    return record


service = FeatureService(name="service", features=[tiled, continuous, newest])
"""

RETIRED: Final = """

@stream_feature_view(
    source=events, entities=[user], timestamp_field="at", features=[Aggregate("count", "clicks", timedelta(days=9))]
)
def retired(record):
    return record
"""
"""A view of the first apply, which the second one removes."""

USERS: Final = ("ann", "bob", "ключ\U0001f600", "nobody")

LEFT_OUT: Final = ("*.lock", "LOCK", "up.log", "up.out", "LOG", "LOG.old*", "*.index", "*.timeindex", "processors")
"""Of a folder that is kept: what its next owner makes anew."""


def ingest(system: System, *records: dict[str, Any]) -> list[dict[str, Any]]:
    """Sends records, at most ten; returns what was wrong with them."""
    body = {"records": {"events": list(records)}}
    answer = httpx.post(f"{system.ingest}/api/v1/ingest", json=body, headers=snowflake_headers(system), timeout=30)
    assert answer.status_code in {200, 207}, answer.text
    failed: list[dict[str, Any]] = answer.json()["sources"]["events"]["records"].get("errors", [])
    return failed


def answers(system: System) -> dict[str, Any]:
    """Returns what is served of each user, with windows that end at the latest event."""
    found = {}
    for user in USERS:
        params = {
            "workspaceName": "prod",
            "featureServiceName": "service",
            "joinKeyMap": {"user": user},
            "metadataOptions": {"includeNames": True, "includeEffectiveTimes": True, "includeDataTypes": True},
            "requestOptions": {"aggregationLeadingEdge": "AGGREGATION_MODE_LATEST_EVENT_TIME"},
        }
        url = f"{system.serving}/api/v1/feature-service/get-features"
        answer = httpx.post(url, json={"params": params}, headers=tecton_headers(system), timeout=30)
        assert answer.status_code == httpx.codes.OK, answer.text
        found[user] = answer.json()
    return found


def pack(data: Path, version: str, expected: dict[str, Any]) -> Path:
    """Writes a data folder, and the answers that it gave, as what a release left; returns the archive."""
    folder = data.with_name("packed")
    shutil.copytree(data, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (folder / "answers.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1), "utf-8")
    archive = RELEASES / f"{version}.tar.xz"
    with (
        lzma.open(archive, "wb", preset=9 | lzma.PRESET_EXTREME) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                tar.add(path, path.relative_to(folder).as_posix(), filter=_nobodys)
    shutil.rmtree(folder)
    return archive


def unpack(version: str, data: Path) -> dict[str, Any]:
    """Lays out what a release left as a data folder; returns the answers that it gave."""
    with lzma.open(RELEASES / f"{version}.tar.xz") as packed, tarfile.open(fileobj=packed) as tar:
        tar.extractall(data, filter="data")
    answers_file = data / "answers.json"
    expected: dict[str, Any] = json.loads(answers_file.read_text("utf-8"))
    answers_file.unlink()
    return expected


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Returns an entry that tells nothing of the machine that it was made on."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry
