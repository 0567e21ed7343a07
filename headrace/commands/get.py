"""``headrace get``: read features through the serving API."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from headrace.api_client import ApiClient, key_file_option, read_key
from headrace.terminal.examples import examples
from headrace.terminal.settings_options import settings_options
from headrace.terminal.tables import console, table
from infra.http.paths import GET_FEATURES
from infra.settings import Group, Settings

OPTIONS: Final = dict.fromkeys(
    ("includeNames", "includeDataTypes", "includeEffectiveTimes", "includeServingStatus", "includeMissingReasons"), True
)


@click.command(
    "get",
    epilog=examples(
        "headrace get fraud_detection user_id=u1", "headrace get fraud_detection user_id=u1 --workspace staging --json"
    ),
)
@click.argument("service")
@click.argument("join_keys", nargs=-1, metavar="KEY=VALUE...")
@settings_options(Group.DATA | Group.WORKSPACE | Group.HTTP | Group.SERVING_PORT)
@key_file_option
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer.")
def command(
    settings: Settings, service: str, join_keys: tuple[str, ...], key_file: Path | None, *, as_json: bool
) -> None:
    """Read the features of the feature service SERVICE for the given join keys.

    Where a feature has no value, says why.
    """
    params = {
        "workspaceName": settings.workspace,
        "featureServiceName": service,
        "joinKeyMap": _join_key_map(join_keys),
        "metadataOptions": OPTIONS,
    }
    key = read_key(settings, key_file)
    with ApiClient(settings.host, settings.serving_port, f"Tecton-key {key}") as client:
        answer = client.post(GET_FEATURES, {"params": params})
    if as_json:
        click.echo(json.dumps(answer))
        return
    console().print(table(["feature", "value", "status", "effective time"], _rows(answer)))
    for why, names in _missing(answer).items():
        click.echo(f"{', '.join(names)}: no value: {why}")


def _join_key_map(texts: Sequence[str]) -> dict[str, str]:
    keys: dict[str, str] = {}
    for name, value in map(_join_key, texts):
        if name in keys:
            message = f"join key {name!r} is given twice; give it once"
            raise click.UsageError(message)
        keys[name] = value
    return keys


def _join_key(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        message = f"join key {text!r}: expected NAME=VALUE, as in user_id=u1"
        raise click.UsageError(message)
    return name, value


def _missing(answer: Any) -> Mapping[str, Sequence[str]]:
    """Returns the names of the features without a value, by why."""
    names: dict[str, list[str]] = {}
    for about in answer["metadata"]["features"]:
        if "missing" in about:
            names.setdefault(about["missing"]["message"], []).append(about["name"])
    return names


def _rows(answer: Any) -> Iterator[list[str]]:
    for value, about in zip(answer["result"]["features"], answer["metadata"]["features"], strict=True):
        text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
        yield [about["name"], text, about["status"], about.get("effectiveTime", "")]
