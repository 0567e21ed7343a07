"""Views whose code does not load on a processor's host, on a real broker: they fail, and nothing else does."""

import json
from functools import partial
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from headrace.commands.status import command as status
from infra.process.ports import LOOPBACK
from infra.settings import as_environment
from processors import app
from processors.execution.functions import ViewFunctions
from processors.producer.messages import DEAD_LETTER_CODE, DEAD_LETTER_VIEW
from schemas.errors import VIEW_FAILED
from schemas.messages.updates import REPLY_HEADER, ReplyAddress, Transformed, decode_acks, place_of
from schemas.topics import acks_topic, source_topic
from tests.processors.transform.test_worker import headers
from tests.support.site import (
    HEAD,
    SOURCE,
    VIEW,
    ProcessorThread,
    Site,
    event,
    everything,
    processor,
    source_text,
    view_text,
)
from tests.support.waiting import wait_until

ENDS = {"raising": "raise RuntimeError('no licence')", "killing": "os._exit(3)", "hanging": "time.sleep(1_000)"}


def failed_views(running: ProcessorThread) -> dict[str, dict[str, str]]:
    answer = httpx.get(f"http://{LOOPBACK}:{running.port}/readyz", timeout=10)
    assert answer.status_code == 200
    found: dict[str, dict[str, str]] = answer.json().get("failed_views", {})
    return found


@pytest.mark.timeout(240)
def test_views_that_do_not_load_here_fail_alone_and_are_taken_up_when_they_do(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "ViewFunctions", partial(ViewFunctions, module_seconds=6.0))
    gate = tmp_path / "gate"
    gate.touch()  # as where `apply` runs
    modules = {
        name: f"import os, time\nif not os.path.exists({str(gate)!r}): {end}\n"
        f"from features import *\nfrom headrace import *\n{view_text(name)}"
        for name, end in ENDS.items()
    }
    site.apply(HEAD, source_text(), source_text("clicks"), view_text(), view_text("clicked", "clicks"), **modules)  # type: ignore[arg-type] # none has the name of an option
    other = Site(site.bootstrap, f"{site.workspace}-other", site.folder / "other")
    other.folder.mkdir()
    other.apply(HEAD, source_text(), view_text("elsewhere"))
    gate.unlink()
    keys = {f"{name}@V1" for name in ENDS}
    try:
        with processor(site, workspaces=f"{site.workspace},{other.workspace}", code_retry_seconds=1.0) as running:
            reply = ReplyAddress(0, b"request", 0, site.installation)
            other.produce(event("ann", 5))
            site.produce(event("ann", 3), source="clicks")
            site.produce(
                event("ann", 1), headers={REPLY_HEADER: reply.header(place_of(source_topic(site.workspace, SOURCE), 0))}
            )
            in_other = Site(site.bootstrap, other.workspace, site.folder, plans=other.plans)
            in_other.waits_for({"ann": (1, 5)}, view="elsewhere@V1")
            site.waits_for({"ann": (1, 1)})
            site.waits_for({"ann": (1, 3)}, view="clicked@V1")

            told = failed_views(running)
            assert told.keys() == {site.workspace}
            assert told[site.workspace].keys() == keys
            assert all("no licence" in problem for problem in told[site.workspace].values())
            site.waits_until_finished()  # rows are there before dead letters need be
            (letter,) = site.dead_letters()
            assert headers(letter)[DEAD_LETTER_VIEW] == ",".join(sorted(keys))
            assert headers(letter)[DEAD_LETTER_CODE] == ",".join([VIEW_FAILED] * 3)
            acks = [
                ack
                for each in everything(site.bootstrap, acks_topic(site.workspace))
                for ack in decode_acks(each.value() or b"")
            ]
            (answer,) = [ack for ack in acks if isinstance(ack, Transformed)]
            failing = {site.plan.views[key].id for key in keys}
            assert {(view, code) for view, code, _ in answer.failures} == {(view, VIEW_FAILED) for view in failing}
            assert [view for view, _, _ in answer.sent] == [site.plan.views[VIEW].id]
            shown = CliRunner().invoke(status, ["--json"], env=as_environment(site.settings()))
            (found,) = [each for each in json.loads(shown.stdout)["servers"] if each["name"] == "processor"]
            assert (found["problem"], found["failed_views"]) == ("", told)

            gate.touch()
            wait_until(lambda: not failed_views(running), 90)
            site.produce(event("ann", 2))
            site.waits_for({"ann": (2, 3)})
            for key in keys:  # what they missed is among the dead letters
                site.waits_for({"ann": (1, 2)}, view=key)
            assert len(site.dead_letters(SOURCE)) == 1
    finally:
        other.remove()
