"""Quix Streams as people write it: JSON in, a function with one ONNX call per event, JSON out.

Runs in a virtual environment of its own (tests/bench/quix_environment.py), since it pins an older
confluent-kafka.
"""

import time
from typing import Any

import numpy as np
from quixstreams import Application

from tests.bench.contenders.arguments import load_model, parse_arguments


def main() -> None:
    arguments = parse_arguments()
    model = load_model(arguments.model_dir)
    app = Application(
        broker_address=arguments.bootstrap,
        consumer_group=arguments.group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        state_dir=str(arguments.work_dir),
        loglevel="WARNING",
    )
    features = app.topic(arguments.input_topic, value_deserializer="json", key_deserializer="bytes")
    predictions = app.topic(arguments.output_topic, value_serializer="json", key_serializer="bytes")

    def score(event: dict[str, Any]) -> dict[str, Any]:
        values = event["features"]
        row = np.array([[values[name] for name in model.feature_names]], dtype=np.float32)
        value = float(model.session.run(["score"], {"features": row})[0][0, 0])
        return {
            "event_id": event["event_id"],
            "score": value,
            "decision": value >= model.threshold,
            "model_version": model.version,
            "event_time_ms": event["event_time_ms"],
            "scored_at_ms": int(time.time() * 1000),
        }

    app.dataframe(features).apply(score).to_topic(predictions)
    app.run()


if __name__ == "__main__":
    main()
