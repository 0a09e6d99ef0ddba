"""Which partition a key goes to, as Java clients and our producers have it."""

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, n_partitions: int) -> int:
    """`toPositive(murmur2(key)) % n_partitions`, Kafka's partitioner for records with a key."""
    return int((murmur2(key) & 0x7FFFFFFF) % n_partitions)
