"""A connection to ClickHouse; the driver's errors are mapped to ours here and nowhere else."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client as Driver
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.errors import ConfigurationError, ThalwegError, TransientError
from schemas.settings import ClickHouseSettings

CONNECT_TIMEOUT_S = 5.0

SESSION_SETTINGS = {
    # On by default since 26.2: it acknowledges later, in blocks of its own cutting.
    "async_insert": 0,
    # A replay of years makes blocks of many day partitions; slow then, but not refused.
    "max_partitions_per_insert_block": 0,
    # An insert is acknowledged with its data in place, not when its headers are sent.
    "wait_end_of_query": 1,
}

_CONFIGURATION_CODES = {
    16: "a column is missing: run the migrations",
    60: "a table is missing: run the migrations",
    81: "create the database, or set THALWEG_CLICKHOUSE__DATABASE",
    164: "the user may only read: give it more rights, or set THALWEG_CLICKHOUSE__USERNAME",
    192: "set THALWEG_CLICKHOUSE__USERNAME and THALWEG_CLICKHOUSE__PASSWORD",
    193: "set THALWEG_CLICKHOUSE__USERNAME and THALWEG_CLICKHOUSE__PASSWORD",
    194: "set THALWEG_CLICKHOUSE__USERNAME and THALWEG_CLICKHOUSE__PASSWORD",
    497: "grant the user what the message names, or set THALWEG_CLICKHOUSE__USERNAME",
    516: "set THALWEG_CLICKHOUSE__USERNAME and THALWEG_CLICKHOUSE__PASSWORD",
}

_TRANSIENT_CODES = frozenset(
    {
        3,  # unexpected end of file: the connection broke
        159,  # timeout exceeded
        202,  # too many simultaneous queries
        209,  # socket timeout
        210,  # network error
        236,  # aborted: shutting down
        241,  # memory limit
        242,  # table is read only (its keeper is away)
        243,  # not enough space
        252,  # too many parts: merges are behind
        285,  # too few live replicas
        286,  # unsatisfied quorum
        319,  # unknown status of insert
        394,  # query was cancelled
        425,  # system error
        473,  # deadlock avoided
        999,  # keeper exception
    }
)

_CODE = re.compile(r"[Cc]ode: (\d+)")
_NOT_FOUND = re.compile(r"HTTP status 4\d\d")


class Client:
    """Statements against one database. Blocking, and safe to use from several threads.

    Raises ConfigurationError for what a setting must cure, TransientError for what another try may,
    ThalwegError for what the server refuses.
    """

    def __init__(self, driver: Driver, settings: ClickHouseSettings) -> None:
        self._driver = driver
        self._where = f"ClickHouse at {settings.url}"

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that answers nothing; the server binds `{name:Type}` to `parameters`."""
        with _mapped(self._where):
            self._driver.command(sql, parameters=dict(parameters or {}))

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The rows of a query, as tuples; the server binds `{name:Type}` to `parameters`."""
        with _mapped(self._where):
            rows: Sequence[Any] = self._driver.query(
                sql, parameters=dict(parameters or {})
            ).result_rows
            return rows

    def query_arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The rows of a query by columns, for many of them."""
        with _mapped(self._where):
            return self._driver.query_arrow(sql, parameters=dict(parameters or {}))

    def insert(self, table: str, rows: pa.Table) -> None:
        """Insert `rows` into the columns of the same names; they are there when this returns."""
        with _mapped(self._where):
            self._driver.insert_arrow(table, rows)

    def close(self) -> None:
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(settings: ClickHouseSettings) -> Client:
    """A client of the database in `settings`; the server has answered when this returns."""
    url = urlsplit(settings.url)
    with _mapped(f"ClickHouse at {settings.url}"):
        driver = clickhouse_connect.get_client(
            host=url.hostname or "127.0.0.1",
            port=url.port or (8443 if url.scheme == "https" else 8123),
            interface=url.scheme,
            proxy_path=url.path.strip("/"),
            username=settings.username,
            password=settings.password,
            database=settings.database,
            connect_timeout=min(CONNECT_TIMEOUT_S, settings.timeout_s),
            send_receive_timeout=settings.timeout_s,
            # A session admits one statement at a time, and outlives a client that was killed.
            autogenerate_session_id=False,
            # Measured on loopback: compressing costs more than the bytes it saves.
            compress=False,
            # Our callers retry, with their own bounds.
            query_retries=0,
            tz_mode="aware",
            settings=dict(SESSION_SETTINGS),
        )
    return Client(driver, settings)


@contextmanager
def _mapped(where: str) -> Iterator[None]:
    try:
        yield
    except ClickHouseError as error:
        raise _ours(where, error) from error
    except OSError as error:
        raise TransientError(f"{where} cannot be reached: {error}") from error


def _ours(where: str, error: ClickHouseError) -> ThalwegError:
    text = f"{where}: {str(error).strip()}"
    found = _CODE.search(text)
    code = int(found[1]) if found else None
    if code in _CONFIGURATION_CODES:
        return ConfigurationError(f"{text}; {_CONFIGURATION_CODES[code]}")
    if code is None and _NOT_FOUND.search(text):
        return ConfigurationError(f"{text}; set THALWEG_CLICKHOUSE__URL to a ClickHouse server")
    if code is None or code in _TRANSIENT_CODES:
        return TransientError(text)
    return ThalwegError(text)
