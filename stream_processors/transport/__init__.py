"""A Faust transport that delivers whole fetched runs of records as one Faust event per partition.

librdkafka is the data plane (it fetches), aiokafka the control plane (group membership, assignment,
commits, and every topic that is not a batch topic). `Transport` is registered as the `batch://`
scheme. A topic is a batch topic when it is declared with `schema=BatchSchema()`:

    app = faust.App("score", broker="batch://127.0.0.1:9092")
    events = app.topic("fraud.features", schema=BatchSchema())

    @app.agent(events)
    async def score(stream):
        async for batch in stream:          # a RawBatch; acknowledged when the body is done
            ...

How it keeps its promises is docs/decisions/0001-batch-transport.md.
"""

from stream_processors.transport.batch import BatchSchema, RawBatch
from stream_processors.transport.driver import Transport

__all__ = ["BatchSchema", "RawBatch", "Transport"]
