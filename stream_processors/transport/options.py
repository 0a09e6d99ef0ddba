"""What a batch app is told beside Faust's own configuration; set as `app.batch_options`."""

from dataclasses import dataclass, field

from schemas.kafka_settings import KafkaSettings
from stream_processors.transport.budget import Limits


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """`drain_timeout_s`: how long a rebalance or a stop waits for batches in work."""

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    limits: Limits = field(
        default_factory=lambda: Limits(max_events=4000, max_bytes=64 * 2**20, max_batch=2000)
    )
    drain_timeout_s: float = 5.0
