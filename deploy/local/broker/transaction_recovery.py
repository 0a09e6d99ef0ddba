"""What a start finds of transactions, in the store and in the logs, and what still counts."""

from collections.abc import Iterable

import structlog

from deploy.local.broker.store import Committed, TopicPartition
from deploy.local.broker.topics import Topics
from deploy.local.broker.transaction import LAST_USABLE_EPOCH, Held, Transaction

log = structlog.get_logger()


def offsets_to_hold(held: Held, topics: Topics) -> dict[TopicPartition, Committed]:
    """Held offsets, less those whose topic was deleted, or deleted and created again."""
    offsets = {}
    for (name, partition), offset in held.items():
        topic = topics.get(name)
        if topic is not None and topic.id == offset.topic_id:
            offsets[name, partition] = offset.committed
    return offsets


def abort_strays(topics: Topics, transactions: Iterable[Transaction], now_ms: int) -> None:
    """Abort what is open in a log and nobody can end: the coordinator's state of it was lost.

    It would hold up readers of committed records for ever.
    """
    owners = {known.producer.id: known for known in transactions}
    for topic in topics:
        for index, partition_log in enumerate(topic.partitions):
            for producer_id in list(partition_log.open_transactions):
                owner = owners.get(producer_id)
                if owner is not None and (topic.name, index) in owner.partitions:
                    continue
                # An id without owner is never used again: the last epoch fits what the log saw.
                epoch = LAST_USABLE_EPOCH + 1 if owner is None else owner.producer.epoch
                partition_log.append_marker(producer_id, epoch, commit=False, now_ms=now_ms)
                log.warning("stray_transaction_aborted", topic=topic.name, partition=index)
