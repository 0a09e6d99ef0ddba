"""Topic configuration: what the options that were set mean to the log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.options import OPTIONS

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """A topic's configuration as the log uses it. Times in ms, sizes in bytes, -1 is no limit."""

    deletes: bool
    compacts: bool
    append_time: bool
    max_message_bytes: int
    segment_bytes: int
    segment_ms: int
    retention_ms: int
    retention_bytes: int
    min_dirty_ratio: float
    min_compaction_lag_ms: int
    max_compaction_lag_ms: int
    delete_retention_ms: int
    timestamp_after_max_ms: int
    timestamp_before_max_ms: int


def topic_config(overrides: Mapping[str, str]) -> TopicConfig:
    """What these overrides of the defaults mean.

    Raises RefusedError(INVALID_CONFIG) that says why for an unknown option or a wrong value.
    """
    read = {name: option.read(option.default) for name, option in OPTIONS.items()}
    read |= {name: _read(name, text) for name, text in overrides.items()}

    def value(name: str, kind: type[_T]) -> _T:
        given = read[name]
        assert isinstance(given, kind)
        return given

    policies = value("cleanup.policy", frozenset)
    config = TopicConfig(
        deletes="delete" in policies,
        compacts="compact" in policies,
        append_time=value("message.timestamp.type", str) == "LogAppendTime",
        max_message_bytes=value("max.message.bytes", int),
        segment_bytes=value("segment.bytes", int),
        segment_ms=value("segment.ms", int),
        retention_ms=value("retention.ms", int),
        retention_bytes=value("retention.bytes", int),
        min_dirty_ratio=value("min.cleanable.dirty.ratio", float),
        min_compaction_lag_ms=value("min.compaction.lag.ms", int),
        max_compaction_lag_ms=value("max.compaction.lag.ms", int),
        delete_retention_ms=value("delete.retention.ms", int),
        timestamp_after_max_ms=value("message.timestamp.after.max.ms", int),
        timestamp_before_max_ms=value("message.timestamp.before.max.ms", int),
    )
    _check_lags(config)
    return config


def _read(name: str, text: str) -> object:
    if name not in OPTIONS:
        raise RefusedError(Code.INVALID_CONFIG, f"Unknown topic config name: {name}")
    try:
        return OPTIONS[name].read(text.strip())
    except ValueError as error:
        raise RefusedError(
            Code.INVALID_CONFIG, f"Invalid value {text} for configuration {name}: {error}"
        ) from error


def _check_lags(config: TopicConfig) -> None:
    if config.min_compaction_lag_ms > config.max_compaction_lag_ms:
        raise RefusedError(
            Code.INVALID_CONFIG,
            f"min.compaction.lag.ms ({config.min_compaction_lag_ms}) is more than "
            f"max.compaction.lag.ms ({config.max_compaction_lag_ms})",
        )
