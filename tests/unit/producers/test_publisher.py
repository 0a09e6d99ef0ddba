"""What a publisher does when no broker answers."""

import time

import pytest

from producers.publisher import Publisher
from schemas.errors import DeliveryError, TransientError
from schemas.kafka_settings import KafkaSettings

NOBODY = KafkaSettings(bootstrap_servers="127.0.0.1:1")


def test_a_buffer_that_stays_full_ends_in_a_transient_error_after_the_stated_wait() -> None:
    publisher = Publisher(NOBODY, "t", max_buffered=3, buffer_timeout_s=0.4)
    for _ in range(3):
        publisher.publish("k", b"v")
    started = time.monotonic()
    with pytest.raises(TransientError, match=r"stayed full.*broker is up") as caught:
        publisher.publish("k", b"v")
    assert not isinstance(caught.value, DeliveryError)
    assert time.monotonic() - started > 0.35
    assert publisher.n_sent == publisher.n_outstanding == 3


def test_flush_says_how_many_messages_are_not_acknowledged() -> None:
    publisher = Publisher(NOBODY, "t")
    publisher.publish("k", b"v")
    with pytest.raises(DeliveryError, match="1 are not acknowledged yet"):
        publisher.flush(timeout_s=0.1)


def test_a_message_given_up_is_counted_and_its_error_kept() -> None:
    publisher = Publisher(NOBODY, "t", delivery_timeout_s=0.3)
    publisher.publish("k", b"v")
    with pytest.raises(DeliveryError, match=r"1 of 1 messages failed.*timed out"):
        publisher.flush()
    assert (publisher.n_failed, publisher.n_delivered) == (1, 0)
    assert publisher.first_error is not None


def test_an_error_inside_the_block_is_not_hidden_by_undelivered_messages() -> None:
    with pytest.raises(ZeroDivisionError), Publisher(NOBODY, "t") as publisher:  # noqa: PT012
        publisher.publish("k", b"v")
        raise ZeroDivisionError


def test_a_value_beyond_the_message_limit_is_refused_at_once() -> None:
    publisher = Publisher(NOBODY, "t")
    with pytest.raises(DeliveryError, match="cannot send"):
        publisher.publish("k", bytes(9 * 2**20))
    assert publisher.n_sent == 0
