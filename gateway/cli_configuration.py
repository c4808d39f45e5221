"""The configuration of a verb: its option `-c`, and what the file holds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(os.EX_CONFIG)
