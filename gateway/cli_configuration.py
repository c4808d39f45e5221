"""The configuration of a verb: its option `-c`, and what the file holds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from gateway.config import Settings


def config_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the parameter `path`."""
    return click.option(
        "-c",
        "--config",
        "path",
        metavar="FILE",
        required=True,
        type=click.Path(path_type=Path),
        help="The configuration (TOML); see docs/configuration.md.",
    )(verb)


def settings_of(path: Path) -> Settings:
    """Its settings; ends the process with 78 and a line for each fault if there are any."""
    from gateway.config_file import load
    from gateway.errors import ConfigurationError

    try:
        return load(path, os.environ)
    except ConfigurationError as error:
        refuse(error.problems)


def refuse(problems: list[str]) -> NoReturn:
    """End the process with a line for each fault, and 78, on which no service unit restarts."""
    for problem in problems:
        click.echo(problem, err=True)
    sys.exit(os.EX_CONFIG)
