"""Whatever bytes clients send, the embedded broker goes on, within its memory, for all others.

FUZZ_REQUESTS is how many requests are sent (100,000, about half a minute).
"""

import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from deploy.local.broker.protocol.messages.data import API_VERSIONS
from deploy.local.broker.protocol.wire import Api
from deploy.local.embedded import EmbeddedBroker
from tests.deployment import PATIENCE_S
from tests.fixtures.fuzz import TOPICS, Fuzzer, asked
from tests.fixtures.ports import reserved_port

N_REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "100000"))
SEED = 20_260_401
# It has 35 MiB when it starts.
MAX_RSS_MIB = 128
BYSTANDER = "bystander"
N_PARTITIONS = 4
# A stall that time-outs of clients would feel (Java's request.timeout.ms is the shortest: 30 s);
# a loaded machine shows a hundredth of it.
MAX_LATENCY_S = 30.0
_PLAIN = re.compile(r"\x1b\[[0-9;]*m")


class Process:
    """The broker as a process of its own, and how much memory it has had."""

    def __init__(self, directory: Path, port: int) -> None:
        self.broker = EmbeddedBroker(directory / "data", port)
        self.log = directory / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.peak_rss = 0

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.broker.command(), stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while not self.broker.healthy():
            assert self.alive(), self.log.read_text()
            assert time.monotonic() < deadline, "the broker did not start"
            time.sleep(0.05)

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def measure(self) -> None:
        assert self.alive(), f"the broker died:\n{self.log.read_text()[-5000:]}"
        assert self._process is not None
        self.peak_rss = max(self.peak_rss, psutil.Process(self._process.pid).memory_info().rss)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE_S)
            self._process = None


class Bystander:
    """A client that has nothing to do with it all: numbers in, the same numbers out."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._stop = threading.Event()
        self.acknowledged: list[int] = []
        self.failures: list[str] = []
        self.read: dict[int, list[int]] = {index: [] for index in range(N_PARTITIONS)}
        self.slowest_s = 0.0
        self._threads = [threading.Thread(target=self._write), threading.Thread(target=self._read)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Deliver what is on its way, read what was acknowledged, and end."""
        self._stop.set()
        for thread in self._threads:
            thread.join(3 * PATIENCE_S)
            assert not thread.is_alive()

    def n_read(self) -> int:
        return sum(map(len, self.read.values()))

    def _write(self) -> None:
        producer = Producer(
            {"bootstrap.servers": self._servers, "enable.idempotence": True, "linger.ms": 1}
        )
        number = 0
        while not self._stop.is_set():
            producer.produce(
                BYSTANDER,
                str(number),
                partition=number % N_PARTITIONS,
                on_delivery=self._delivered(number, time.monotonic()),
            )
            number += 1
            producer.poll(0.005)
        left = producer.flush(PATIENCE_S)
        if left:
            self.failures.append(f"{left} not delivered")

    def _delivered(self, number: int, since: float):  # type: ignore[no-untyped-def]
        def report(error: KafkaError | None, _: Message) -> None:
            self.slowest_s = max(self.slowest_s, time.monotonic() - since)
            if error is None:
                self.acknowledged.append(number)
            else:
                self.failures.append(str(error))

        return report

    def _read(self) -> None:
        options = {
            "bootstrap.servers": self._servers,
            "group.id": "bystanders",
            "auto.offset.reset": "earliest",
            "auto.commit.interval.ms": 500,
        }
        with closing(Consumer(options)) as consumer:
            consumer.subscribe([BYSTANDER])
            deadline = None
            while deadline is None or time.monotonic() < deadline:
                if deadline is None and self._stop.is_set() and not self._threads[0].is_alive():
                    deadline = time.monotonic() + PATIENCE_S
                for message in consumer.consume(500, 0.1):
                    if message.error() is not None:
                        self.failures.append(str(message.error()))
                    else:
                        self.read[message.partition()].append(int(message.value()))
                if deadline is not None and self.n_read() >= len(self.acknowledged):
                    return


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, reserved_port())
    process.start()
    yield process
    process.stop(signal.SIGKILL)


def send_run(port: int, run: list[bytes]) -> int:
    """Send requests over a connection of their own; how many answers came back, each whole."""
    received = bytearray()
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"".join(run))
        connection.shutdown(socket.SHUT_WR)
        while chunk := connection.recv(1 << 16):
            received += chunk
    sent = dict(filter(None, (asked(frame[4:]) for frame in run)))
    return sum(check_answer(answer, sent) for answer in frames(bytes(received)))


def frames(received: bytes) -> Iterator[bytes]:
    """The whole frames; a connection that is cut may cut the last one."""
    while len(received) >= 4:
        (length,) = struct.unpack_from(">i", received)
        if len(received) < 4 + length:
            return
        yield received[4 : 4 + length]
        received = received[4 + length :]


def check_answer(answer: bytes, sent: dict[int, tuple[Api, int]]) -> bool:
    """An answer is to a request of this connection, and what its version says."""
    api, version = sent[struct.unpack_from(">i", answer)[0]]
    tags = version >= api.flexible and api is not API_VERSIONS
    message = api.decode_response(version, answer, 5 if tags else 4)
    assert b"".join(api.encode_response(version, message)) == answer[5 if tags else 4 :]
    return True


def create_topics(servers: str, topics: list[NewTopic]) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    for future in admin.create_topics(topics).values():
        future.result(PATIENCE_S)


@pytest.mark.timeout(1200)
def test_mutated_requests_harm_neither_the_broker_nor_other_clients(process: Process) -> None:
    servers = process.broker.bootstrap_servers
    create_topics(servers, [NewTopic(BYSTANDER, N_PARTITIONS, 1)])
    create_topics(servers, [NewTopic(topic, 2, 1) for topic in TOPICS])
    bystander = Bystander(servers)
    n_sent = n_answered = 0
    with bystander:
        for run in Fuzzer(SEED).runs():
            n_answered += send_run(process.broker.port, run)
            n_sent += len(run)
            process.measure()
            if n_sent >= N_REQUESTS:
                break
    process.measure()

    print(f"{n_answered} of {n_sent} answered, {len(bystander.acknowledged)} of the bystander's,")
    print(f"{bystander.slowest_s:.2f} s the slowest, {process.peak_rss >> 20} MiB at most")
    assert n_answered > n_sent / 4, f"{n_answered} of {n_sent} requests were served"
    assert process.peak_rss < MAX_RSS_MIB << 20, f"{process.peak_rss >> 20} MiB"
    check_bystander(bystander)
    check_log(process.log)
    check_new_topic(servers)
    process.stop()
    process.start()
    check_kept(servers, bystander)
    check_log(process.log)


def check_bystander(bystander: Bystander) -> None:
    assert not bystander.failures
    assert bystander.slowest_s < MAX_LATENCY_S
    assert len(bystander.acknowledged) > 50
    for partition, numbers in bystander.read.items():
        assert numbers == [n for n in bystander.acknowledged if n % N_PARTITIONS == partition]


def check_log(log: Path) -> None:
    """Refusals are warnings; nothing else is to be complained about."""
    lines = _PLAIN.sub("", log.read_text()).splitlines()
    bad = [line for line in lines if re.search(r"Traceback|\[(error|critical) *\]|Error:", line)]
    assert not bad, "\n".join(bad[:20])
    warned = {line.split("]", 1)[1].split()[0] for line in lines if "[warning" in line}
    assert warned <= {"request_refused", "more_requests_refused"}


def check_new_topic(servers: str) -> None:
    create_topics(servers, [NewTopic("afterwards", 1, 1)])
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True})
    for number in range(100):
        producer.produce("afterwards", str(number))
    assert producer.flush(PATIENCE_S) == 0
    assert read_all(servers, "afterwards", 100) == [str(n).encode() for n in range(100)]


def check_kept(servers: str, bystander: Bystander) -> None:
    """After a restart on the same data: all that was acknowledged, once."""
    values = read_all(servers, BYSTANDER, len(bystander.acknowledged))
    assert sorted(map(int, values)) == sorted(bystander.acknowledged)


def read_all(servers: str, topic: str, count: int) -> list[bytes]:
    options = {"bootstrap.servers": servers, "group.id": f"all-{topic}"}
    with closing(Consumer({**options, "auto.offset.reset": "earliest"})) as consumer:
        consumer.subscribe([topic])
        values: list[bytes] = []
        deadline = time.monotonic() + PATIENCE_S
        while len(values) < count and time.monotonic() < deadline:
            messages = consumer.consume(1000, 0.5)
            values += [message.value() for message in messages if message.error() is None]
    return values
