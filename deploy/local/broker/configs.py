"""Topic configuration: what may be set, its defaults, and what each value means."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from deploy.local.broker.errors import Code, RefusedError

_T = TypeVar("_T")
_LONG = 2**63 - 1
_INT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Option:
    """A topic option: its default as text, and the reader that refuses a wrong value."""

    default: str
    read: Callable[[str], object]


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"must be from {low} to {high}")
        return value

    return read


def _ratio(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError("must be from 0 to 1")
    return value


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return read


def _policies(text: str) -> frozenset[str]:
    policies = frozenset(part.strip() for part in text.split(",") if part.strip())
    if not policies <= {"delete", "compact"}:
        raise ValueError("must be delete, compact or both")
    return policies


OPTIONS: dict[str, Option] = {
    "cleanup.policy": Option("delete", _policies),
    # Anything else would mean to compress anew, which this broker does not do.
    "compression.type": Option("producer", _one_of("producer")),
    "delete.retention.ms": Option("86400000", _number(0, _LONG)),
    "file.delete.delay.ms": Option("60000", _number(0, _LONG)),
    "flush.messages": Option(str(_LONG), _number(1, _LONG)),
    "flush.ms": Option(str(_LONG), _number(0, _LONG)),
    "index.interval.bytes": Option("4096", _number(0, _INT)),
    "max.compaction.lag.ms": Option(str(_LONG), _number(1, _LONG)),
    "max.message.bytes": Option("1048588", _number(0, _INT)),
    "message.timestamp.type": Option("CreateTime", _one_of("CreateTime", "LogAppendTime")),
    "message.timestamp.after.max.ms": Option("3600000", _number(0, _LONG)),
    "message.timestamp.before.max.ms": Option(str(_LONG), _number(0, _LONG)),
    "min.cleanable.dirty.ratio": Option("0.5", _ratio),
    "min.compaction.lag.ms": Option("0", _number(0, _LONG)),
    "min.insync.replicas": Option("1", _number(1, _INT)),
    "preallocate": Option("false", _one_of("true", "false")),
    "retention.bytes": Option("-1", _number(-1, _LONG)),
    "retention.ms": Option("604800000", _number(-1, _LONG)),
    "segment.bytes": Option("67108864", _number(1048576, _INT)),
    "segment.jitter.ms": Option("0", _number(0, _LONG)),
    "segment.ms": Option("604800000", _number(1, _LONG)),
    "unclean.leader.election.enable": Option("false", _one_of("true", "false")),
}


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
    """What these overrides of the defaults mean; raises RefusedError(INVALID_CONFIG) that says why."""
    for name in overrides:
        if name not in OPTIONS:
            raise RefusedError(Code.INVALID_CONFIG, f"Unknown topic config name: {name}")

    def value(name: str, kind: type[_T]) -> _T:
        text = overrides.get(name, OPTIONS[name].default)
        try:
            read = OPTIONS[name].read(text)
        except ValueError as error:
            raise RefusedError(
                Code.INVALID_CONFIG, f"Invalid value {text} for configuration {name}: {error}"
            ) from error
        assert isinstance(read, kind)
        return read

    for name in overrides:
        value(name, object)
    policies = value("cleanup.policy", frozenset)
    return TopicConfig(
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
