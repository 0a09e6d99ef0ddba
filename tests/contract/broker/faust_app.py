"""A stock Faust app: an agent that counts words in a table and sends each count on.

python -m tests.contract.broker.faust_app SERVERS NAME DATA_DIR
"""

import sys
from typing import Any

import faust


def create_app(servers: str, name: str, data_dir: str) -> faust.App:
    app = faust.App(
        name,
        broker=f"aiokafka://{servers}",
        store="memory://",
        datadir=data_dir,
        topic_partitions=2,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=0.5,
        broker_commit_interval=0.2,
        processing_guarantee="at_least_once",
    )
    words = app.topic(f"{name}-words", key_type=str, value_type=str, value_serializer="raw")
    counts = app.topic(f"{name}-counts", key_type=str, value_type=int)
    table = app.Table(f"{name}-table", default=int, partitions=2)

    @app.agent(words)
    async def count(stream: Any) -> None:
        async for word in stream:
            table[word] += 1
            await counts.send(key=word, value=table[word])

    return app


if __name__ == "__main__":
    app = create_app(*sys.argv[1:])
    sys.argv[1:] = ["worker", "--without-web", "--loglevel=INFO"]
    app.main()
