"""The page of settings, made of `infra.settings`."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from infra.settings import (
    CONFIG_FILE,
    ENVIRONMENT_ONLY,
    TABLE,
    Group,
    environment_name,
    flag_name,
    is_secret,
    shown_default,
)
from tests.docs.reference.command_tree import commands
from tests.docs.reference.markdown import code, codes, page, table

SPELLED = {"http": "HTTP", "kafka": "Kafka"}


def settings_page() -> str:
    """Returns the page."""
    return page("Settings", "infra/settings.py", _lines())


def _lines() -> Iterator[str]:
    yield "A value comes from the first of these that has it: the flag, the environment variable, the file"
    yield f"`{CONFIG_FILE}` in the working directory (or the one that `--config FILE` names), the default. In the file,"
    yield "a setting stands under its own name: `ingest_port = 8181`. A name that is no setting's is an error,"
    yield "in each of them."
    yield ""
    yield from table(["setting", "what it is"], [[f"[{code(name)}](#{name})", _help(name)] for name in TABLE])
    for group, names in groupby(sorted(TABLE, key=_place), key=_group):
        yield from ["", f"## {_title(group)}"]
        for name in names:
            yield from ["", f"### {code(name)}", "", _help(name), ""]
            yield from table(["flag", "environment", "values", "default", "read by"], [_row(name)])
            if is_secret(name):
                yield from [
                    "",
                    "A secret: it is shown nowhere. Set it by the environment or the file: flags can be seen by all.",
                ]
    yield from ["", "## No settings", "", "These variables are read before there are settings:", ""]
    yield from table(["environment", "what it is"], [[code(name), text] for name, text in ENVIRONMENT_ONLY.items()])


def _row(name: str) -> list[str]:
    readers = [path for path, command in commands() if any(each.name == name for each in command.params)]
    kind = TABLE[name].metadata["kind"]
    default = shown_default(name)
    return [
        code(flag_name(name)),
        code(environment_name(name)),
        kind.expected,
        code(default) if default else "empty",
        codes(readers),
    ]


def _help(name: str) -> str:
    return str(TABLE[name].metadata["help"])


def _group(name: str) -> Any:
    return TABLE[name].metadata["group"]


def _place(name: str) -> int:
    return list(Group).index(_group(name))


def _title(group: Group) -> str:
    words = " ".join(SPELLED.get(word, word) for word in (group.name or "").lower().split("_"))
    return words[:1].upper() + words[1:]
