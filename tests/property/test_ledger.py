"""What may be committed: never past a run that is not done, and in the end everything."""

from hypothesis import given
from hypothesis import strategies as st

from stream_processors.transport.ledger import Ledger


def _nothing() -> None:
    pass


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.data())
def test_commits_never_pass_an_unfinished_run_and_end_at_the_last_one(
    lengths: list[int], data: st.DataObject
) -> None:
    ledger, runs, at = Ledger(), [], data.draw(st.integers(0, 1000))
    for length in lengths:
        runs.append((at, at + length))
        at += length
    waiting, open_, committed = list(runs), [], runs[0][0]
    unfinished = {start for start, _ in runs}
    while waiting or open_:
        if waiting and (not open_ or data.draw(st.booleans())):
            start, stop = waiting.pop(0)
            ledger.open(start, stop, _nothing)
            open_.append(start)
        else:
            start = open_.pop(data.draw(st.integers(0, len(open_) - 1)))
            ledger.add(start)
            unfinished.discard(start)
        offset = ledger.advance()
        if offset is not None:
            assert offset > committed
            committed = offset
        assert committed <= min(unfinished, default=runs[-1][1])
        assert committed == min([*unfinished, runs[-1][1]])
    assert committed == runs[-1][1]
    assert len(ledger) == 0


def test_a_run_gives_its_lease_back_once_however_often_it_is_acknowledged() -> None:
    ledger, released = Ledger(), []
    ledger.open(5, 9, lambda: released.append(5))
    ledger.add(5)
    ledger.add(5)
    assert released == [5]


def test_acknowledging_what_was_never_entered_changes_nothing() -> None:
    ledger = Ledger()
    ledger.open(5, 9, _nothing)
    ledger.add(4)
    assert ledger.advance() is None
    assert 4 not in ledger
