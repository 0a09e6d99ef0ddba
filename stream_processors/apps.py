"""A Faust app on the batch transport, built from our settings."""

from typing import Any

import faust

from schemas.kafka_settings import KafkaSettings
from schemas.settings import Settings
from schemas.topics import TopicNames
from stream_processors.transport.options import BatchOptions

COMMIT_INTERVAL_S = 1.0


def create_app(settings: Settings, stage: str, options: BatchOptions) -> faust.App:
    """An app whose consumer group is `{prefix}{pipeline}.{stage}`; workers of a stage share it."""
    kafka = settings.kafka
    connection = kafka.faust("batch")
    settings.data_dir.mkdir(parents=True, exist_ok=True)  # Faust makes its own folder, not ours
    app = faust.App(
        TopicNames(settings.pipeline, kafka.topic_prefix).group(stage),
        broker=connection.broker_url,
        broker_credentials=_credentials(kafka),
        broker_commit_interval=COMMIT_INTERVAL_S,
        broker_session_timeout=kafka.session_timeout_ms / 1000,
        broker_heartbeat_interval=kafka.session_timeout_ms / 1000 / 5,
        broker_rebalance_timeout=max(kafka.session_timeout_ms / 1000, 20.0),
        broker_request_timeout=max(kafka.session_timeout_ms / 1000, 40.0),
        consumer_group_instance_id=settings.worker_id or None,
        # Partitions added to a running topic are seen within this time.
        consumer_metadata_max_age_ms=5000,
        stream_wait_empty=True,
        topic_disable_leader=True,
        topic_allow_declare=False,
        store="memory://",
        web_enabled=False,
        autodiscover=False,
        datadir=str(settings.data_dir / "faust"),
    )
    app.batch_options = options
    return app


def _credentials(kafka: KafkaSettings) -> Any:
    connection = kafka.faust("batch")
    if connection.sasl_mechanism is not None:
        return faust.SASLCredentials(
            username=connection.sasl_username,
            password=connection.sasl_password,
            ssl_context=connection.ssl_context,
            mechanism=connection.sasl_mechanism,
        )
    if connection.ssl_context is not None:
        return faust.SSLCredentials(connection.ssl_context)
    return None
