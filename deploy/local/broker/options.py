"""The options of a topic: Kafka's names, types, defaults and ranges.

Left out are those that need a cluster (throttled replicas) or tiered storage (local., remote.).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

_LONG = 2**63 - 1
_INT = 2**31 - 1
# int() would take "1_000" and digits of any script, which Kafka does not.
_DIGITS = re.compile(r"[+-]?[0-9]+")


class ConfigType(IntEnum):
    """The type of a value (Kafka's DescribeConfigsResponse.ConfigType)."""

    BOOLEAN = 1
    STRING = 2
    INT = 3
    LONG = 5
    DOUBLE = 6
    LIST = 7


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `read` makes its text a value, and raises ValueError that says what is wrong.

    `broker_name` is the broker option that its default comes from, None where Kafka names none.
    """

    type: ConfigType
    default: str
    read: Callable[[str], object]
    broker_name: str | None = None


def _long(default: int, low: int, broker_name: str | None = None) -> Option:
    return Option(ConfigType.LONG, str(default), _number(low, _LONG), broker_name)


def _int(default: int, low: int, broker_name: str, high: int = _INT) -> Option:
    return Option(ConfigType.INT, str(default), _number(low, high), broker_name)


def _boolean(default: str, broker_name: str) -> Option:
    def read(text: str) -> bool:
        return _one_of("true", "false")(text.lower()) == "true"

    return Option(ConfigType.BOOLEAN, default, read, broker_name)


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not _DIGITS.fullmatch(text):
            raise ValueError("not a whole number")
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"must be from {low} to {high}")
        return value

    return read


def _gzip_level(text: str) -> int:
    level = _number(-1, 9)(text)
    if level == 0:
        raise ValueError("must be from 1 to 9, or -1")
    return level


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
    policies = frozenset(list_of(text))
    if not policies <= {"delete", "compact"}:
        raise ValueError("must be delete, compact, both or neither")
    return policies


def list_of(text: str) -> list[str]:
    """The parts of a list option, by the commas between them."""
    return [part.strip() for part in text.split(",")] if text.strip() else []


OPTIONS: dict[str, Option] = {
    "cleanup.policy": Option(ConfigType.LIST, "delete", _policies, "log.cleanup.policy"),
    "compression.gzip.level": Option(ConfigType.INT, "-1", _gzip_level, "compression.gzip.level"),
    "compression.lz4.level": _int(9, 1, "compression.lz4.level", 17),
    # Anything else would mean to compress anew, which this broker does not do.
    "compression.type": Option(
        ConfigType.STRING, "producer", _one_of("producer"), "compression.type"
    ),
    "compression.zstd.level": _int(3, -131072, "compression.zstd.level", 22),
    "delete.retention.ms": _long(86_400_000, 0, "log.cleaner.delete.retention.ms"),
    "file.delete.delay.ms": _long(60_000, 0, "log.segment.delete.delay.ms"),
    "flush.messages": _long(_LONG, 1, "log.flush.interval.messages"),
    "flush.ms": _long(_LONG, 0),
    "index.interval.bytes": _int(4096, 0, "log.index.interval.bytes"),
    "max.compaction.lag.ms": _long(_LONG, 1, "log.cleaner.max.compaction.lag.ms"),
    "max.message.bytes": _int(1_048_588, 0, "message.max.bytes"),
    "message.timestamp.after.max.ms": _long(3_600_000, 0, "log.message.timestamp.after.max.ms"),
    "message.timestamp.before.max.ms": _long(_LONG, 0, "log.message.timestamp.before.max.ms"),
    "message.timestamp.type": Option(
        ConfigType.STRING,
        "CreateTime",
        _one_of("CreateTime", "LogAppendTime"),
        "log.message.timestamp.type",
    ),
    "min.cleanable.dirty.ratio": Option(
        ConfigType.DOUBLE, "0.5", _ratio, "log.cleaner.min.cleanable.ratio"
    ),
    "min.compaction.lag.ms": _long(0, 0, "log.cleaner.min.compaction.lag.ms"),
    "min.insync.replicas": _int(1, 1, "min.insync.replicas"),
    "preallocate": _boolean("false", "log.preallocate"),
    "retention.bytes": _long(-1, -1, "log.retention.bytes"),
    "retention.ms": _long(604_800_000, -1),
    # Kafka's default is 1 GiB; smaller segments let a small disk be given back.
    "segment.bytes": _int(67_108_864, 1_048_576, "log.segment.bytes"),
    "segment.index.bytes": _int(10_485_760, 4, "log.index.size.max.bytes"),
    "segment.jitter.ms": _long(0, 0),
    "segment.ms": _long(604_800_000, 1),
    "unclean.leader.election.enable": _boolean("false", "unclean.leader.election.enable"),
}
