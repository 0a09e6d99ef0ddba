"""The synthetic fraud stream sent to a pipeline at a rate."""

import itertools
from collections.abc import Callable
from typing import Literal

from producers.fraud import FraudEvent, FraudStream, interleave_labels
from producers.pace import Pacer
from producers.publisher import FeaturePublisher, LabelPublisher
from schemas.errors import ConfigurationError
from schemas.pipeline import read_pipeline
from schemas.settings import Settings
from schemas.topics import TopicNames

HISTORY_EVENTS = 400_000
"""The first events of the stream train the first model; what is sent live comes after them.

42 days: features look back 30, and a reference of 6 days (60,000 events) had 1 false notice in 10
windows of 6 hours where 1 in 1,000 is stated (docs/drift/long-run.md).
"""


def send_fraud(
    settings: Settings,
    stream: FraudStream,
    *,
    rate: float | None,
    count: int | None = None,
    skip: int = 0,
    labels: bool = True,
    label_delay: float = 1.0,
    encoding: Literal["json", "packed"] = "json",
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Send events number `skip` on until `count` are sent or `stopped`; Ctrl-C ends it cleanly too.
    `label_delay` is a factor on how long labels take.

    Returns how many events were sent; every one is acknowledged then. Raises ConfigurationError
    when the pipeline is not one of fraud events.
    """
    pipeline = read_pipeline(settings.store, settings.pipeline)
    if pipeline.schema.hash != stream.schema.hash:
        raise ConfigurationError(
            f"pipeline {pipeline.name!r} has other features than the synthetic fraud stream:"
            " name one made by `thalweg bootstrap` without a file, or send yours with"
            " `thalweg replay`"
        )
    names = TopicNames(pipeline.name, settings.kafka.topic_prefix)
    events = itertools.islice(stream.events(skip), count)
    pacer, n_sent = Pacer(rate), 0
    with (
        FeaturePublisher(settings.kafka, names.features, stream.schema, encoding) as publisher,
        LabelPublisher(settings.kafka, names.labels) as label_publisher,
    ):
        try:
            for item in interleave_labels(events, delay=label_delay) if labels else events:
                if isinstance(item, FraudEvent):
                    pacer.wait()
                    publisher.publish_event(
                        item.entity, item.event_id, item.event_time_ms, item.row
                    )
                    n_sent += 1
                else:
                    label_publisher.publish_label(
                        item.event_id, item.label, item.label_time_ms, source=item.source
                    )
                if stopped():
                    break
        except KeyboardInterrupt:
            return n_sent  # leaving the block waits for the acknowledgements
    return n_sent
