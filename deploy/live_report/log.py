"""The log that status and report are read from."""

import logging

from schemas.errors import ConfigurationError, TransientError
from schemas.settings import Settings
from storage.client import Client, connect


def open_log(settings: Settings) -> Client:
    """A client of the deployment's ClickHouse.

    Raises ConfigurationError where no stack runs and no address is set, where none answers, and
    as `connect` does.
    """
    if "url" not in settings.clickhouse.model_fields_set:
        raise ConfigurationError(
            f"no stack runs on {settings.data_dir}, whose ClickHouse holds the log: `thalweg up"
            " --detach` starts one, or set THALWEG_CLICKHOUSE__URL to a server of your own"
        )
    # What it logs of a server that is away is told once, by the error that `connect` raises.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    try:
        return connect(settings.clickhouse)
    except TransientError as error:
        raise ConfigurationError(
            f"ClickHouse at {settings.clickhouse.url}, which holds the log, does not answer:"
            " `thalweg status` says what runs"
        ) from error
