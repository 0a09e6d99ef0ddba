"""Faust as people write it: JSON, a Record model, one ONNX call and one send per event."""

import time

import faust
import numpy as np

from tests.bench.contenders.arguments import Arguments, load_model, parse_arguments


class FeatureEvent(faust.Record, serializer="json"):
    event_id: str
    features: dict[str, float]
    event_time_ms: int


class Prediction(faust.Record, serializer="json"):
    event_id: str
    score: float
    decision: bool
    model_version: str
    event_time_ms: int
    scored_at_ms: int


def make_app(arguments: Arguments) -> faust.App:
    app = faust.App(
        arguments.group,
        broker=f"kafka://{arguments.bootstrap}",
        datadir=str(arguments.work_dir),
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
    )
    features = app.topic(arguments.input_topic, key_type=bytes, value_type=FeatureEvent)
    predictions = app.topic(arguments.output_topic, key_type=bytes, value_type=Prediction)
    model = load_model(arguments.model_dir)

    @app.agent(features)
    async def score(events: faust.StreamT[FeatureEvent]) -> None:
        async for key, event in events.items():
            row = np.array([[event.features[n] for n in model.feature_names]], dtype=np.float32)
            value = float(model.session.run(["score"], {"features": row})[0][0, 0])
            prediction = Prediction(
                event_id=event.event_id,
                score=value,
                decision=value >= model.threshold,
                model_version=model.version,
                event_time_ms=event.event_time_ms,
                scored_at_ms=int(time.time() * 1000),
            )
            await predictions.send(key=key, value=prediction)

    return app


def main() -> None:
    arguments = parse_arguments()
    faust.Worker(make_app(arguments), loglevel="WARN").execute_from_commandline()


if __name__ == "__main__":
    main()
