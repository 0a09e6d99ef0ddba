"""Source topics that are not a plain row of offsets: holes, growth, another of the same name."""

import json
import time
from itertools import pairwise

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from confluent_kafka.cimpl import NewPartitions, NewTopic

from schemas.frames import decode_frame
from storage.client import connect
from stream_processors.log_predictions.reconciler import Reconciler
from stream_processors.topics import admin_client, describe, end_offsets
from tests.deployment import PATIENCE_S, Deployment, until

pytestmark = [pytest.mark.kafka, pytest.mark.every_broker]

DAY_MS = 86_400_000


def event(event_id: str, event_time_ms: int | None = None) -> bytes:
    features = {f"f{column}": 1.0 for column in range(5)}
    return json.dumps(
        {"event_id": event_id, "features": features, "event_time_ms": event_time_ms}
    ).encode()


def test_holes_left_by_transactions_are_covered_and_aborted_events_are_not_scored(
    deployment: Deployment,
) -> None:
    producer = Producer(deployment.kafka.librdkafka() | {"transactional.id": deployment.name})
    producer.init_transactions()
    for index in range(30):
        producer.begin_transaction()
        for part in range(3):
            producer.produce(deployment.names.features, event(f"e{index}-{part}"), "same")
        if index % 3 == 2:
            producer.flush()  # or nothing would be there to abort
            producer.abort_transaction()
        else:
            producer.commit_transaction()
    # Apache Kafka answers before it has written the marker, which must not come after the last one.
    features = describe(deployment.kafka, [deployment.names.features]).values()
    until(lambda: sum(end_offsets(deployment.kafka, features).values()) == 30 * 4)
    deployment.produce("same", event("last"))
    deployment.flush()
    deployment.start("score")
    deployment.start("log")
    deployment.wait_for_log(20 * 3 + 1)
    deployment.n_sent = 61
    deployment.assert_logged_exactly_once()
    headers = sorted(
        (header.covers_from, header.covers_to)
        for message in deployment.read(deployment.names.scored_batches)
        for header in [decode_frame(message.value() or b"").header]
    )
    assert headers[0][0] == 0
    assert headers[-1][1] == 30 * 4 + 1
    assert all(before[1] == after[0] for before, after in pairwise(headers))


def test_holes_left_by_compaction_are_covered(deployment: Deployment) -> None:
    names = deployment.names
    _compact_eagerly(deployment)
    for index in range(600):
        deployment.produce(f"k{index % 5}", event(f"e{index}"), partition=0)
        if index % 100 == 99:
            deployment.flush()
            time.sleep(0.3)  # so that the next record starts a new segment
    until(lambda: sum(1 for _ in deployment.read(names.features)) < 400)
    left = [message.offset() for message in deployment.read(names.features)]
    deployment.start("score")
    until(lambda: deployment.lag("score") == 0)
    frames = [
        decode_frame(message.value() or b"") for message in deployment.read(names.scored_batches)
    ]
    covers = sorted((frame.header.covers_from, frame.header.covers_to) for frame in frames)
    assert covers[-1][1] == 600
    assert all(before[1] == after[0] for before, after in pairwise(covers))
    scored = {offset for frame in frames for offset in frame.rows.column(0).to_pylist()}
    assert scored <= set(left)
    assert len(scored) < 400
    assert 599 in scored


def _compact_eagerly(deployment: Deployment) -> None:
    wanted = {
        "cleanup.policy": "compact",
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.001",
    }
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in wanted.items()
    ]
    resource = ConfigResource(
        ResourceType.TOPIC, deployment.names.features, incremental_configs=entries
    )
    for future in admin_client(deployment.kafka).incremental_alter_configs([resource]).values():
        future.result(PATIENCE_S)


def test_partitions_added_while_running_are_scored_and_outputs_grow_along(
    deployment: Deployment,
) -> None:
    scorer = deployment.start("score")
    deployment.start("log")
    deployment.send(500)
    deployment.wait_for_log()
    admin = admin_client(deployment.kafka)
    for future in admin.create_partitions([NewPartitions(deployment.names.features, 7)]).values():
        future.result(PATIENCE_S)
    until(
        lambda: (
            describe(deployment.kafka, [deployment.names.features])[
                deployment.names.features
            ].n_partitions
            == 7
        )
    )
    deployment.reconnect()
    deployment.send(2000)
    deployment.wait_for_log()
    assert scorer.alive
    deployment.assert_logged_exactly_once()
    found = describe(deployment.kafka, [deployment.names.predictions])
    assert found[deployment.names.predictions].n_partitions == 7


def test_a_recreated_source_is_another_one_whose_rows_stand_beside_the_old(
    deployment: Deployment,
) -> None:
    first = deployment.start("score")
    deployment.start("log")
    deployment.send(1000)
    deployment.wait_for_log()
    admin = admin_client(deployment.kafka)
    name = deployment.names.features
    admin.delete_topics([name])[name].result(PATIENCE_S)
    until(lambda: name not in describe(deployment.kafka, [name]))
    admin.create_topics([NewTopic(name, 4)])[name].result(PATIENCE_S)
    assert first.process.wait(PATIENCE_S) != 0
    deployment.reconnect()
    deployment.send(1500)
    deployment.start("score")
    with connect(deployment.clickhouse) as client:
        until(lambda: client.query("SELECT count() FROM predictions")[0][0] == 2500)
        ids = client.query("SELECT uniq(source_topic_id), uniqExact(event_id) FROM predictions")
    assert list(ids) == [(2, 2500)]


def test_ten_years_of_history_are_logged_and_nothing_expires(deployment: Deployment) -> None:
    start_ms = 1_378_000_000_000  # September 2013
    for day in range(3650):
        deployment.produce(f"c{day % 50}", event(f"e{day}", start_ms + day * DAY_MS))
    deployment.flush()
    deployment.n_sent = 3650
    deployment.start("score")
    deployment.start("log")
    deployment.wait_for_log()
    deployment.assert_logged_exactly_once()
    with connect(deployment.clickhouse) as client:
        client.command("OPTIMIZE TABLE prediction_log FINAL")
        ((n, days),) = client.query("SELECT count(), uniqExact(event_time) FROM predictions")
    assert (n, days) == (3650, 3650)


def test_reconciliation_finds_no_gap_and_says_so_when_one_is_made(deployment: Deployment) -> None:
    deployment.start("score")
    deployment.start("log")
    deployment.send(2000)
    deployment.wait_for_log()
    reconciler = Reconciler(deployment.settings())
    until(lambda: reconciler.check() == [] and reconciler.check() == [])
    with connect(deployment.clickhouse) as client:
        client.command(
            "DELETE FROM coverage_log WHERE source_partition = 1 AND covers_from ="
            " (SELECT min(covers_from) FROM coverage_log WHERE source_partition = 1"
            " AND covers_from > 0)"
        )
    gaps = reconciler.check() or reconciler.check()
    assert [gap.source.partition for gap in gaps] == [1]
    assert gaps[0].n_offsets > 0
