"""Watches predictions become readable: a process of its own that ends on SIGTERM and leaves a file.

`python -m tests.bench.observer --bootstrap ... --topic ... --stride 4 --out FILE.npz`
"""

import argparse
import signal
import time
from pathlib import Path
from types import FrameType

import msgspec
import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from tests.bench.events import STAMP_DIGITS
from tests.bench.readback import EventId

MAX_TAKEN = 2000


class Observer:
    """Compares the time at which `consume` returns a prediction with the stamp in its event id.

    Only each `stride`-th prediction is decoded: the observer shares its core with the broker.
    """

    def __init__(self, bootstrap: str, topic: str, n_partitions: int, stride: int) -> None:
        self._stride = stride
        self._stamps: list[int] = []
        self._seen: list[int] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "bench-observer",
                "enable.auto.commit": False,
                "fetch.queue.backoff.ms": 1,
            }
        )
        self._consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for partition in range(n_partitions)
            ]
        )
        self.stopped = False

    def run(self) -> None:
        decode, n_skip = msgspec.json.Decoder(EventId).decode, 0
        while not self.stopped:
            messages = self._consumer.consume(1, 0.05)
            if not messages:
                continue
            messages += self._consumer.consume(MAX_TAKEN - 1, 0)
            now = time.monotonic_ns()
            taken = messages[n_skip :: self._stride]
            n_skip = (n_skip - len(messages)) % self._stride
            for message in taken:
                if message.error():
                    continue
                self._stamps.append(int(decode(message.value() or b"").event_id[:STAMP_DIGITS]))
                self._seen.append(now)
        self._consumer.close()

    def write(self, path: Path) -> None:
        """Leave `stamp_ns` and `seen_ns`, int64[n], in an .npz file."""
        np.savez(path, stamp_ns=np.array(self._stamps), seen_ns=np.array(self._seen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    observer = Observer(given.bootstrap, given.topic, given.partitions, given.stride)

    def stop(_number: int, _frame: FrameType | None) -> None:
        observer.stopped = True

    signal.signal(signal.SIGTERM, stop)
    observer.run()
    observer.write(given.out)


if __name__ == "__main__":
    main()
