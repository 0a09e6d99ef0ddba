"""Which deployment a command talks to: the environment's, else the stack of the data directory."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from deploy.local.state import StackState
    from schemas.settings import Settings

DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Data directory of the stack.", show_default="THALWEG_DATA_DIR, or one per user"
    ),
]
PipelineName = Annotated[
    str | None, typer.Option(help="The pipeline.", show_default="THALWEG_PIPELINE, or fraud")
]


def own_settings(data_dir: Path | None, **overrides: object) -> "Settings":
    """The settings as given, whether a stack runs or not; options win over the environment."""
    from schemas.settings import load_settings

    given = {"data_dir": data_dir, **overrides}
    return load_settings(
        os.environ, **{name: value for name, value in given.items() if value is not None}
    )


def find_settings(data_dir: Path | None, **overrides: object) -> "Settings":
    """The settings as given; addresses not given are those of the stack, if one runs."""
    settings = own_settings(data_dir, **overrides)
    stack = running_stack(settings)
    if stack is None:
        return settings
    changes: dict[str, object] = {}
    if "bootstrap_servers" not in settings.kafka.model_fields_set:
        servers = {"bootstrap_servers": stack.bootstrap_servers}
        changes["kafka"] = settings.kafka.model_copy(update=servers)
    if "url" not in settings.clickhouse.model_fields_set:
        url = {"url": stack.clickhouse_url}
        changes["clickhouse"] = settings.clickhouse.model_copy(update=url)
    return settings.model_copy(update=changes)


def live_settings(data_dir: Path | None, **overrides: object) -> "Settings":
    """`find_settings` for a command that needs Kafka; says how to get one where there is none."""
    settings = find_settings(data_dir, **overrides)
    if "bootstrap_servers" not in settings.kafka.model_fields_set:
        raise ConfigurationError(
            f"no stack runs on {settings.data_dir}: `thalweg up --detach` starts one, or set"
            " THALWEG_KAFKA__BOOTSTRAP_SERVERS to a cluster of your own"
        )
    return settings


def running_stack(settings: "Settings") -> "StackState | None":
    """The stack that runs on the data directory now."""
    from deploy.local.state import read_state

    state = read_state(settings.data_dir)
    return state if state is not None and state.running else None
