"""What a batch must be like to be appended, as Apache Kafka's LogValidator has it."""

from deploy.local.broker.configs import TopicConfig
from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.log.batches import NO_PRODUCER, Batch, records_of

_NO_TIMESTAMP = -1
_NO_LIMIT = 2**63 - 1


def check_batch(batch: Batch, config: TopicConfig, now_ms: int) -> None:
    """Raises RefusedError: MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE, INVALID_TIMESTAMP or
    INVALID_RECORD. The CRC was checked when the batch was split from its request.
    """
    header = batch.header
    n_bytes = len(batch.data)
    if n_bytes > config.max_message_bytes:
        raise RefusedError(
            Code.MESSAGE_TOO_LARGE,
            f"a batch of {n_bytes} bytes, max.message.bytes is {config.max_message_bytes}",
        )
    if n_bytes > config.segment_bytes:
        raise RefusedError(
            Code.RECORD_LIST_TOO_LARGE,
            f"a batch of {n_bytes} bytes, segment.bytes is {config.segment_bytes}",
        )
    if header.control:
        raise RefusedError(Code.INVALID_RECORD, "clients are not allowed to write control batches")
    if header.producer_id == NO_PRODUCER:
        if header.transactional:
            raise RefusedError(Code.INVALID_RECORD, "a transactional batch without a producer id")
    elif header.base_sequence < 0 or header.producer_epoch < 0:
        raise RefusedError(Code.INVALID_RECORD, "a producer id without a sequence or epoch")
    if not config.append_time:
        _check_times(batch, config, now_ms)
    if config.compacts:
        _check_keys(batch)


def _check_times(batch: Batch, config: TopicConfig, now_ms: int) -> None:
    latest = now_ms + config.timestamp_after_max_ms
    if batch.header.max_timestamp > latest:
        raise RefusedError(
            Code.INVALID_TIMESTAMP,
            f"timestamp {batch.header.max_timestamp} is after {latest},"
            " which message.timestamp.after.max.ms allows",
        )
    if config.timestamp_before_max_ms == _NO_LIMIT:
        return
    earliest = now_ms - config.timestamp_before_max_ms
    for record in records_of(batch.data):
        if _NO_TIMESTAMP != record.timestamp < earliest:
            raise RefusedError(
                Code.INVALID_TIMESTAMP,
                f"timestamp {record.timestamp} is before {earliest},"
                " which message.timestamp.before.max.ms allows",
            )


def _check_keys(batch: Batch) -> None:
    if any(record.key is None for record in records_of(batch.data)):
        raise RefusedError(Code.INVALID_RECORD, "a compacted topic takes no record without a key")
