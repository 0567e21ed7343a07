"""``headrace init``: a small feature repository to start from."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from headrace.example_repositories import EXAMPLE_REPOSITORIES, TRANSACTIONS
from headrace.terminal.examples import examples
from schemas.errors import DefinitionError

DEFINITIONS: Final = "features.py"

HELP: Final = "\n".join(
    [
        "Write a small working feature repository and some events for it into the new folder DIR.",
        "",
        "There are several to choose from. One that is written into a folder of another repository becomes part of it.",
        "",
        "\b",
        *(f"- {each.name}: {each.summary}" for each in EXAMPLE_REPOSITORIES.values()),
    ]
)


@click.command(
    "init", help=HELP, epilog=examples("headrace init features", "headrace init features/profiles --example profiles")
)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--example",
    "name",
    type=click.Choice(list(EXAMPLE_REPOSITORIES)),
    default=TRANSACTIONS.name,
    help="Which of the repositories above.",
)
def command(folder: Path, name: str) -> None:
    """Write an example repository and its events."""
    if folder.exists() and any(folder.iterdir()):
        raise DefinitionError(f"{folder} is not empty; name a new folder")
    example = EXAMPLE_REPOSITORIES[name]
    events = folder / f"{example.source}.jsonl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DEFINITIONS).write_text(example.definitions, encoding="utf-8")
        events.write_bytes(example.lines(datetime.now(UTC)))
    except OSError as error:
        raise DefinitionError(f"{folder} cannot be written: {error.strerror}; name another folder") from error
    # Below a repository of ours it is part of that one, and applying it alone would remove the rest.
    repository = folder.parent if (folder.parent / DEFINITIONS).is_file() else folder
    join_keys = " ".join(f"{key}={value}" for key, value in example.join_keys.items())
    click.echo(
        f"{folder / DEFINITIONS} defines the source {example.source} and the service {example.service}. Next, while "
        f"`headrace up` runs:\n"
        f"  headrace apply {repository}\n"
        f"  headrace ingest {example.source} {events}\n"
        f"  headrace get {example.service} {join_keys}"
    )
