"""Numbered SQL migrations: each is applied once, in order, whichever process comes first.

ClickHouse has no transactions. So every statement can be repeated (`IF NOT EXISTS`, `OR REPLACE`),
a version is recorded after its last statement, and who loses a race to another tries again.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources

import structlog

from schemas.errors import ConfigurationError, ThalwegError
from schemas.settings import ClickHouseSettings
from storage.client import Client

log = structlog.get_logger(__name__)

MAX_TRIES = 5
RETRY_S = 0.2
EXPIRING = ("prediction_log", "prediction_events", "label_log")
"""The tables that the retention is for."""

VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations
(version UInt32, name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = ReplacingMergeTree(applied_at) ORDER BY version
"""

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

_TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?\*/ )
  | (?P<quoted> '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | `(?:[^`\\]|\\.)*` )
  | (?P<end> ; )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    version: int
    name: str
    sql: str


def migrate(
    client: Client, settings: ClickHouseSettings, sleep: Callable[[float], None] = time.sleep
) -> list[int]:
    """Bring the database to the newest version and the retention in `settings`.

    Returns the versions that this call applied. May run in several processes at once.
    """
    for n_tries in range(1, MAX_TRIES + 1):
        try:
            applied = _apply_missing(client)
            _apply_retention(client, settings.retention_days)
        except ConfigurationError:
            raise
        except ThalwegError:
            if n_tries == MAX_TRIES:
                raise
            log.warning("migration_retried", n_tries=n_tries, exc_info=True)
            sleep(RETRY_S * n_tries)
        else:
            return applied
    raise AssertionError("unreachable")


def migrations() -> list[Migration]:
    """All migrations, in order."""
    found = sorted(
        (
            Migration(int(matched[1]), matched[2], file.read_text(encoding="utf-8"))
            for file in resources.files("storage").joinpath("migrations").iterdir()
            if (matched := _FILE_NAME.fullmatch(file.name)) is not None
        ),
        key=lambda migration: migration.version,
    )
    assert [migration.version for migration in found] == list(range(1, len(found) + 1))
    return found


def split_statements(sql: str) -> Iterator[str]:
    """The statements of `sql` without their comments; a semicolon in a string ends nothing."""
    statement: list[str] = []
    for token in _TOKEN.finditer(sql):
        if token.lastgroup == "comment":
            statement.append(" ")
        elif token.lastgroup == "end":
            yield from _non_empty(statement)
            statement = []
        else:
            statement.append(token.group())
    yield from _non_empty(statement)


def _non_empty(parts: list[str]) -> Iterator[str]:
    if text := "".join(parts).strip():
        yield text


def _apply_missing(client: Client) -> list[int]:
    client.command(VERSIONS)
    done = {row[0] for row in client.query("SELECT version FROM schema_migrations")}
    applied = []
    for migration in migrations():
        if migration.version in done:
            continue
        for statement in split_statements(migration.sql):
            client.command(statement)
        client.command(
            "INSERT INTO schema_migrations (version, name) "
            "VALUES ({version:UInt32}, {name:String})",
            {"version": migration.version, "name": migration.name},
        )
        log.info("migration_applied", version=migration.version, name=migration.name)
        applied.append(migration.version)
    return applied


def _apply_retention(client: Client, days: int) -> None:
    """Expire by append time: event time may be years ago, and its rows would go at once.

    A label is appended after its prediction, or waits for it: it goes no sooner.
    """
    for table in EXPIRING:
        ((definition,),) = client.query(
            "SELECT create_table_query FROM system.tables "
            "WHERE database = currentDatabase() AND name = {table:String}",
            {"table": table},
        )
        found = re.search(r"TTL toDateTime\(append_time\) \+ toIntervalDay\((\d+)\)", definition)
        current = int(found[1]) if found else 0
        if days == current:
            continue
        if days == 0:
            client.command(f"ALTER TABLE {table} REMOVE TTL")
        else:
            client.command(
                f"ALTER TABLE {table} MODIFY TTL toDateTime(append_time) + INTERVAL {days} DAY"
            )
        log.info("retention_changed", table=table, days=days, days_before=current)
