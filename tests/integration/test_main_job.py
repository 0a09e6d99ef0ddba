"""The main job on real parts: every event scored, logged once, in order."""

import json

import numpy as np
import pytest

from inference.engine import load_model
from schemas.codecs import packed
from schemas.frames import decode_frame
from storage.client import connect
from storage.model_store import ModelStore
from tests.deployment import PATIENCE_S, SCHEMA, Deployment, until

pytestmark = [pytest.mark.kafka, pytest.mark.every_broker]


def test_every_event_is_scored_by_the_model_and_logged_once(
    deployment: Deployment, model: tuple[object, str]
) -> None:
    deployment.start("score")
    deployment.start("log")
    deployment.send(3000)
    deployment.wait_for_log()
    deployment.assert_logged_exactly_once()
    deployment.assert_order_per_key()
    with connect(deployment.clickhouse) as client:
        rows = client.query(
            "SELECT features, score, decision, model_version FROM predictions ORDER BY event_id"
        )
    loaded = load_model(
        ModelStore(deployment._store).path(model[1]), provider="cpu", expected_schema=SCHEMA
    )
    features = np.array([row[0] for row in rows], dtype=np.float32)
    expected = loaded.score(features)
    assert np.allclose([row[1] for row in rows], expected, atol=1e-6)
    threshold = np.float32(loaded.manifest.threshold)
    assert [row[2] for row in rows] == (expected >= threshold).tolist()
    assert {row[3] for row in rows} == {loaded.version}
    by_id = {p.event_id: p for p in deployment.predictions()}
    assert len(by_id) == 3000
    assert by_id["e5"].source_topic == deployment.names.features


def test_poison_is_dead_lettered_with_its_reason_and_its_neighbours_are_scored(
    deployment: Deployment,
) -> None:
    good = {"event_id": "x", "features": {f"f{index}": 1.0 for index in range(5)}}
    features = good["features"]
    assert isinstance(features, dict)
    far = 4_102_444_800_000 * 100
    encoder = packed.Encoder(SCHEMA)
    row = np.ones(5, dtype=np.float32)
    header = [("content-type", packed.CONTENT_TYPE.encode())]
    nan, infinity = row.copy(), row.copy()
    nan[2], infinity[3] = np.nan, np.inf
    poison: list[tuple[str, bytes | None, dict[str, object]]] = [
        ("malformed", b"not json at all", {}),
        ("malformed", b"", {}),
        ("wrong_type", json.dumps(good | {"features": features | {"f1": "text"}}).encode(), {}),
        ("missing_feature", json.dumps(good | {"features": {"f0": 1.0}}).encode(), {}),
        ("not_finite", encoder.encode_floats("a", None, nan), {"headers": header}),
        ("not_finite", encoder.encode_floats("b", None, infinity), {"headers": header}),
        ("too_large", b"x" * 2_000_000, {}),
        ("null_value", None, {}),
        ("unknown_content_type", b"<xml/>", {"headers": [("content-type", b"text/xml")]}),
        ("bad_event_time", json.dumps(good | {"event_time_ms": far}).encode(), {}),
        ("bad_event_time", json.dumps(good | {"event_time_ms": -5}).encode(), {}),
        ("bad_event_id", json.dumps(good | {"event_id": ""}).encode(), {}),
        ("schema_mismatch", _of_another_schema(), {"headers": header}),
    ]
    deployment.send(100)
    for _, value, options in poison:
        deployment.produce("poison", value, **options)
        deployment.flush()
    deployment.produce("k" * 3_000_000, json.dumps(good).encode())
    deployment.flush()
    deployment.send(100)
    deployment.start("score")
    deployment.start("log")
    deployment.wait_for_log()
    with connect(deployment.clickhouse) as client:
        until(lambda: len(client.query("SELECT 1 FROM dead_letters")) == len(poison) + 1)
        reasons = client.query(
            "SELECT reason FROM dead_letters ORDER BY source_partition, source_offset"
        )
    assert sorted(reason for (reason,) in reasons) == sorted(
        [reason for reason, _, _ in poison] + ["too_large"]
    )
    deployment.assert_logged_exactly_once(n_dead=len(poison) + 1)
    letters = [json.loads(m.value() or b"") for m in deployment.read(deployment.names.dead_letters)]
    big = next(letter for letter in letters if letter["payload_bytes"] == 2_000_000)
    assert len(big["payload"]) < 400_000
    assert big["source_topic"] == deployment.names.features


def _of_another_schema() -> bytes:
    from schemas.features import FeatureSchema

    other = FeatureSchema.of_floats([f"g{index}" for index in range(5)])
    return packed.Encoder(other).encode_floats("c", None, np.ones(5, dtype=np.float32))


def test_a_batch_without_a_good_row_still_answers_for_its_offsets(deployment: Deployment) -> None:
    for _ in range(20):
        deployment.produce("same", b"garbage")
    deployment.flush()
    deployment.start("score")
    until(lambda: deployment.lag("score") == 0)
    headers = [
        decode_frame(message.value() or b"").header
        for message in deployment.read(deployment.names.scored_batches)
    ]
    assert sum(header.covers_to - header.covers_from for header in headers) == 20
    assert sum(len(header.rejections) for header in headers) == 20


def test_a_clean_stop_leaves_nothing_to_replay(deployment: Deployment) -> None:
    scorer = deployment.start("score")
    logger = deployment.start("log")
    scorer.wait_ready()
    deployment.send(5000)
    until(lambda: deployment.lag("score") < 5000)
    assert scorer.stop() == 0
    n_before = len(deployment.predictions())
    deployment.start("score")
    deployment.wait_for_log()
    assert logger.stop() == 0
    assert len(deployment.predictions()) == 5000
    assert n_before <= 5000
    deployment.assert_logged_exactly_once()


def test_packed_and_json_events_share_a_batch(deployment: Deployment) -> None:
    encoder = packed.Encoder(SCHEMA)
    header = [("content-type", packed.CONTENT_TYPE.encode())]
    for index in range(0, 400, 2):
        row = np.full(5, index, dtype=np.float32)
        value = encoder.encode_floats(f"e{index}", 10**12, row)
        deployment.produce("c", value, headers=header)
        features = {f"f{column}": index + 1.0 for column in range(5)}
        event = {"event_id": f"e{index + 1}", "features": features}
        deployment.produce("c", json.dumps(event).encode())
    deployment.flush()
    deployment.n_sent = 400
    deployment.start("score")
    deployment.start("log")
    deployment.wait_for_log()
    deployment.assert_logged_exactly_once()
    with connect(deployment.clickhouse) as client:
        rows = client.query("SELECT event_id, features[3] FROM predictions")
    assert all(int(event_id[1:]) == feature for event_id, feature in rows)


@pytest.mark.parametrize(
    ("damage", "expected"), [("truncate", "sha256"), ("remove", "model"), ("shape", "schema")]
)
def test_a_model_that_is_not_what_it_says_is_refused(
    deployment: Deployment, model: tuple[object, str], damage: str, expected: str
) -> None:
    import shutil

    from schemas.features import FeatureSchema
    from schemas.pipeline import Pipeline, write_pipeline

    source = deployment._store
    deployment._store = deployment.folder / "store"
    shutil.copytree(source / "models", deployment._store / "models")
    file = deployment._store / "models" / model[1] / "model.onnx"
    schema = SCHEMA
    if damage == "truncate":
        file.write_bytes(file.read_bytes()[:200])
    elif damage == "remove":
        shutil.rmtree(file.parent)
    else:
        schema = FeatureSchema.of_floats(["one", "two"])
    write_pipeline(deployment._store, Pipeline(name=deployment.name, schema=schema, model=model[1]))
    worker = deployment.start("score")
    assert worker.process.wait(PATIENCE_S) == 2
    said = worker.log_path.read_text()
    assert expected in said
    assert "Traceback" not in said
