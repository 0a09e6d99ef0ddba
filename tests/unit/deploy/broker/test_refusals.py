"""Garbage at any rate fills no log."""

from structlog.testing import capture_logs

from deploy.local.broker.refusals import Refusals


def test_ten_lines_a_second_and_then_a_count() -> None:
    now = 100.0
    refusals = Refusals(lambda: now)

    with capture_logs() as lines:
        for number in range(25):
            refusals.note("10.0.0.1", f"reason {number}")
        now += 1.5
        refusals.tick()
        refusals.note("10.0.0.1", "later")

    events = [line["event"] for line in lines]
    assert events == ["request_refused"] * 10 + ["more_requests_refused", "request_refused"]
    assert lines[10]["n"] == 15
