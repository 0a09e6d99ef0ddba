"""Topic options: what Apache Kafka 4.3.1 takes and refuses, as it answered to the same values."""

import pytest

from deploy.local.broker.configs import topic_config
from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.options import OPTIONS


def test_every_default_is_a_value_of_its_option() -> None:
    for name, option in OPTIONS.items():
        option.read(option.default)
        assert topic_config({name: option.default}) == topic_config({}), name


def test_the_defaults_are_kafkas_but_for_the_segment_size() -> None:
    config = topic_config({})
    assert config.deletes
    assert not config.compacts
    assert not config.append_time
    assert config.retention_ms == 7 * 24 * 3600 * 1000
    assert config.retention_bytes == -1
    assert config.max_message_bytes == 1_048_588
    assert config.segment_bytes == 64 << 20


@pytest.mark.parametrize(
    ("name", "value", "same_as"),
    [
        ("retention.ms", " 5 ", "5"),
        ("retention.ms", "+5", "5"),
        ("retention.ms", "-1", "-1"),
        ("preallocate", "TRUE", "true"),
        ("cleanup.policy", "compact, delete", "delete,compact"),
        ("cleanup.policy", "delete,delete", "delete"),
        ("cleanup.policy", "", ""),
        ("min.insync.replicas", "2", "2"),
        ("compression.gzip.level", "-1", "-1"),
        ("min.cleanable.dirty.ratio", "1", "1.0"),
    ],
)
def test_values_that_kafka_takes_mean_what_they_mean_there(
    name: str, value: str, same_as: str
) -> None:
    assert OPTIONS[name].read(value.strip()) == OPTIONS[name].read(same_as)
    assert topic_config({name: value}) == topic_config({name: same_as})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retention.ms", ""),
        ("retention.ms", "x"),
        ("retention.ms", "1_0"),
        ("retention.ms", "\u0665"),
        ("retention.ms", "-2"),
        ("retention.ms", "9223372036854775808"),
        ("max.message.bytes", "2147483648"),
        ("segment.bytes", "1000"),
        ("segment.ms", "0"),
        ("preallocate", "yes"),
        ("cleanup.policy", "none"),
        ("cleanup.policy", "delete,"),
        ("compression.gzip.level", "0"),
        ("compression.zstd.level", "23"),
        ("min.cleanable.dirty.ratio", "1.5"),
        ("min.cleanable.dirty.ratio", "nan"),
        ("message.timestamp.type", "createtime"),
        ("no.such.option", "1"),
    ],
)
def test_values_that_kafka_refuses(name: str, value: str) -> None:
    with pytest.raises(RefusedError, match=name.replace(".", r"\.")) as refused:
        topic_config({name: value})
    assert refused.value.code == Code.INVALID_CONFIG


def test_compression_by_the_broker_is_refused_rather_than_left_out() -> None:
    """Kafka would compress anew; this broker keeps batches as they came, and says so."""
    with pytest.raises(RefusedError) as refused:
        topic_config({"compression.type": "lz4"})
    assert refused.value.code == Code.INVALID_CONFIG


@pytest.mark.parametrize(
    ("policy", "deletes", "compacts"),
    [
        ("delete", True, False),
        ("compact", False, True),
        ("compact,delete", True, True),
        ("", False, False),
    ],
)
def test_the_cleanup_policy_is_a_list(policy: str, deletes: bool, compacts: bool) -> None:
    config = topic_config({"cleanup.policy": policy})
    assert (config.deletes, config.compacts) == (deletes, compacts)


def test_compaction_lags_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(RefusedError, match="min"):
        topic_config({"min.compaction.lag.ms": "6", "max.compaction.lag.ms": "5"})
    topic_config({"min.compaction.lag.ms": "5", "max.compaction.lag.ms": "5"})
