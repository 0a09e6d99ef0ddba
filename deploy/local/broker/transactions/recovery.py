"""What a start finds of transactions, in the store and in the logs, and what still counts."""

from collections.abc import Iterable, Mapping

import structlog

from deploy.local.broker.store import Committed, TopicPartition
from deploy.local.broker.topics import Topics
from deploy.local.broker.transactions.transaction import LAST_EPOCH, Held, Transaction

log = structlog.get_logger()


def offsets_to_hold(
    held: Held, committed: Mapping[TopicPartition, Committed], topics: Topics
) -> dict[TopicPartition, Committed]:
    """Held offsets, less those that were overtaken by another commit and those of topics deleted.

    `committed` are the group's offsets now. One equal to the held offset was applied before the
    crash, and need not be again.
    """
    offsets = {}
    for (name, partition), offset in held.items():
        topic = topics.get(name)
        same_topic = topic is not None and topic.id == offset.topic_id
        if same_topic and committed.get((name, partition)) == offset.before:
            offsets[name, partition] = offset.committed
    return offsets


def abort_strays(topics: Topics, transactions: Iterable[Transaction], now_ms: int) -> set[int]:
    """Abort what is open in a log and nobody can end: the coordinator's state of it was lost.

    It would hold up readers of committed records for ever. Returns the producer ids; the logs
    take no other epoch of them after this.
    """
    expected = {
        (known.producer.id, partition) for known in transactions for partition in known.partitions
    }
    strays = set()
    for topic in topics:
        for index, partition_log in enumerate(topic.partitions):
            for producer_id in list(partition_log.open_transactions):
                if (producer_id, (topic.name, index)) not in expected:
                    # Whatever epoch the log has seen, the last one is no older.
                    partition_log.append_marker(
                        producer_id, LAST_EPOCH, commit=False, now_ms=now_ms
                    )
                    log.warning("stray_transaction_aborted", topic=topic.name, partition=index)
                    strays.add(producer_id)
    return strays
