"""A small app on the batch transport for tests: writes a line for each batch, then acknowledges it.

python -m tests.integration.apps.batch_app SERVERS PIPELINE TOPIC OUT [--control TOPIC] [--slow S]
    [--crash-at N] [--worker-id ID] [--script pause|seek]

A script goes on when the test makes the file that it waits for: OUT's name, ending in .begin and
.resume.
"""

import argparse
import asyncio
import json
import logging
from pathlib import Path
from typing import Any

from faust.types import TP

from schemas.settings import load_settings
from stream_processors.apps import create_app
from stream_processors.run import run_worker
from stream_processors.transport import BatchSchema
from stream_processors.transport.budget import Limits
from stream_processors.transport.options import BatchOptions


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("servers", "pipeline", "topic", "out"):
        parser.add_argument(name)
    parser.add_argument("--control")
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--crash-at", type=int, default=-1)
    parser.add_argument("--worker-id", default="")
    parser.add_argument("--script", default="")
    parser.add_argument("--max-batch", type=int, default=500)
    arguments = parser.parse_args()
    logging.basicConfig(level="INFO")
    out = Path(arguments.out)
    settings = load_settings(
        pipeline=arguments.pipeline,
        data_dir=out.parent / "data",
        worker_id=arguments.worker_id,
        ready_file=out.with_suffix(".ready"),
        kafka={"bootstrap_servers": arguments.servers, "session_timeout_ms": 6000},
    )
    run_worker(lambda given: _app(given, arguments, out), settings)


def _app(settings: Any, arguments: argparse.Namespace, out: Path) -> Any:
    limits = Limits(max_events=2000, max_bytes=2**24, max_batch=arguments.max_batch)
    app = create_app(settings, "test", BatchOptions(kafka=settings.kafka, limits=limits))
    topic = app.topic(arguments.topic, schema=BatchSchema())

    def write(**fields: Any) -> None:
        with out.open("a") as file:
            file.write(json.dumps(fields) + "\n")

    @app.agent(topic, name="batches")
    async def batches(stream: Any) -> None:
        n_batches = 0
        async for batch in stream:
            n_batches += 1
            if n_batches == arguments.crash_at:
                error = RuntimeError("crash before acknowledge")
                await app.crash(error)
                raise error
            if arguments.slow:
                await asyncio.sleep(arguments.slow)
            offsets = [message.offset() for message in batch.messages]
            write(
                kind="batch",
                partition=batch.tp.partition,
                covers=[batch.covers_from, batch.covers_to],
                offsets=offsets,
                in_flight=app.consumer.in_flight,
            )

    if arguments.control:
        control = app.topic(arguments.control, value_type=bytes, value_serializer="raw")

        @app.agent(control, name="controls")
        async def controls(stream: Any) -> None:
            async for value in stream:
                write(kind="control", value=value.decode())

    async def told(suffix: str) -> None:
        while not out.with_suffix(suffix).exists():  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    if arguments.script:

        @app.task
        async def script() -> None:
            tp = TP(arguments.topic, 0)
            while tp not in app.consumer.assignment():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await told(".begin")
            if arguments.script == "pause":
                app.consumer.pause_partitions({tp})
                await asyncio.sleep(0.1)
                await app.consumer.n_waiting()  # answered behind the pause: what fetches has it
                write(kind="paused")
                await told(".resume")
                write(kind="resumed")
                app.consumer.resume_partitions({tp})
            else:
                write(kind="seek")
                await app.consumer.seek(tp, 0)

    return app


if __name__ == "__main__":
    main()
