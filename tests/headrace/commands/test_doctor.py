import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from headrace.checks import Finding, Outcome
from headrace.cli import main
from infra.process.exit_codes import ExitCode
from infra.process.ports import free_port

FINE = Finding("python", Outcome.OK, "3.11.7")
LOW = Finding("disk", Outcome.WARN, "5 GiB free", "free some space soon")
AWAY = Finding("broker", Outcome.FAIL, "no answer", "start Kafka")


def test_doctor_prints_every_check(tmp_path: Path, bootstrap: str) -> None:
    result = CliRunner().invoke(main, ["doctor", *flags(tmp_path, bootstrap)])
    assert result.exit_code == 0, result.stdout
    outcomes = {line.split()[0] for line in result.stdout.splitlines()}
    assert outcomes <= {"ok", "warn"}
    assert "broker" in result.stdout


def test_doctor_tells_by_its_exit_code_that_something_must_be_done(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--json", *flags(tmp_path, f"127.0.0.1:{free_port()}")])
    assert result.exit_code == 1
    findings = json.loads(result.stdout)
    assert [finding["check"] for finding in findings if finding["outcome"] == "fail"] == ["broker"]
    assert all(finding["remedy"] for finding in findings if finding["outcome"] != "ok")


def flags(data: Path, bootstrap: str) -> list[str]:
    ports = [f"--{role}-port={free_port()}" for role in ("ingest", "serving", "processor")]
    return ["--data", str(data), "--bootstrap", bootstrap, *ports]


def found(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    monkeypatch.setattr("headrace.commands.doctor.examine", lambda _settings, _environ: iter(findings))


def test_each_finding_is_a_line_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, FINE, LOW, AWAY)
    assert CliRunner().invoke(main, ["doctor"]).stdout.splitlines() == [
        "ok    python          3.11.7",
        "warn  disk            5 GiB free: free some space soon",
        "fail  broker          no answer: start Kafka",
    ]


def test_json_has_all_that_was_found_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, FINE, LOW)
    assert json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout) == [
        {"check": "python", "outcome": "ok", "found": "3.11.7", "remedy": ""},
        {"check": "disk", "outcome": "warn", "found": "5 GiB free", "remedy": "free some space soon"},
    ]


@pytest.mark.parametrize(
    ("findings", "code"), [([FINE, LOW], ExitCode.OK), ([FINE, AWAY, LOW], ExitCode.FAILURE), ([], ExitCode.OK)]
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_only_what_must_be_put_right_fails(
    findings: list[Finding], code: ExitCode, form: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found(monkeypatch, *findings)
    assert CliRunner().invoke(main, ["doctor", *form]).exit_code == code
