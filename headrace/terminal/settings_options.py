"""Settings as flags of a command.

Invariant: a command runs with settings that are valid as a whole, or ends as wrong usage does (exit code 2).
"""

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar, cast

import click

from infra.settings import (
    CONFIG_FILE,
    TABLE,
    Group,
    Settings,
    environment_name,
    flag_name,
    load_settings,
    names_of,
    shown_default,
)
from schemas.errors import SettingsError

P = ParamSpec("P")
R = TypeVar("R")


def settings_options(groups: Group) -> Callable[[Callable[Concatenate[Settings, P], R]], Callable[P, R]]:
    """Adds the flags of some groups of settings, and ``--config``, to a click command.

    The command gets one `Settings` as its first argument instead of the single values.
    """
    names = names_of(groups)

    def decorate(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
        @functools.wraps(command)
        def with_settings(*args: P.args, **kwargs: P.kwargs) -> R:
            config_file = cast("Path | None", kwargs.pop("config"))
            flags = {name: kwargs.pop(name) for name in names}
            return command(_load(flags, config_file), *args, **kwargs)

        decorated: Callable[P, R] = with_settings
        for option in [_config_option(), *map(_option, reversed(names))]:
            decorated = option(decorated)
        return decorated

    return decorate


def _load(flags: Mapping[str, object], config_file: Path | None) -> Settings:
    try:
        return load_settings(flags, os.environ, config_file)
    except SettingsError as error:
        raise click.UsageError(error.message) from error


def _option(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    setting = TABLE[name]
    return click.option(
        flag_name(name),
        name,
        metavar="VALUE",
        help=f"{setting.metadata['help']} [{environment_name(name)}; default: {shown_default(name)}]",
    )


def _config_option() -> Callable[[Callable[P, R]], Callable[P, R]]:
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"Settings file. [default: {CONFIG_FILE} in the working directory, if there is one]",
    )
