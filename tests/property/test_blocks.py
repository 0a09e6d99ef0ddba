"""Blocks of the log's writer: due by size or by age, whichever first, and nothing lost or moved."""

from hypothesis import given
from hypothesis import strategies as st

from storage.blocks import BlockBuilder

STEPS = st.lists(
    st.tuples(
        st.integers(0, 40),  # rows of the item, or none
        st.floats(0, 0.4, allow_nan=False),  # seconds until the next step
    ),
    max_size=60,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(STEPS, st.integers(1, 100), st.integers(1, 1500))
def test_a_block_is_due_exactly_when_it_is_full_or_its_first_item_is_old(
    steps: list[tuple[int, float]], max_rows: int, max_ms: int
) -> None:
    clock = Clock()
    builder: BlockBuilder[int] = BlockBuilder(max_rows, max_ms, clock)
    waiting: list[tuple[int, float]] = []
    for number, (n_rows, pause_s) in enumerate(steps):
        builder.add(number, n_rows, n_rows * 10)
        waiting.append((n_rows, clock.now))
        clock.now += pause_s
        full = sum(rows for rows, _ in waiting) >= max_rows
        old = clock.now >= waiting[0][1] + max_ms / 1000
        assert builder.due(clock.now) == (full or old)
        if builder.due(clock.now):
            builder.take()
            waiting = []
            assert not builder.due(clock.now + 1e9), "an empty block is never due"


@given(STEPS, st.integers(1, 100))
def test_taken_blocks_hold_every_item_once_in_order_and_within_the_bound(
    steps: list[tuple[int, float]], max_rows: int
) -> None:
    clock = Clock()
    builder: BlockBuilder[tuple[int, int]] = BlockBuilder(max_rows, 1000, clock)
    blocks = []
    for number, (n_rows, pause_s) in enumerate(steps):
        builder.add((number, n_rows), n_rows, n_rows * 10)
        clock.now += pause_s
        if builder.due(clock.now):
            blocks.append(builder.take())
    blocks.append(builder.take())
    assert [number for block in blocks for number, _ in block] == list(range(len(steps)))
    for block in blocks:
        assert sum(rows for _, rows in block[:-1]) < max_rows, "only the last item may exceed it"
    assert (len(builder), builder.n_rows, builder.n_bytes) == (0, 0, 0)


@given(STEPS)
def test_what_waits_is_counted(steps: list[tuple[int, float]]) -> None:
    builder: BlockBuilder[int] = BlockBuilder(10**9, 1000, Clock())
    for number, (n_rows, _) in enumerate(steps):
        builder.add(number, n_rows, n_rows * 10)
    n_total = sum(n_rows for n_rows, _ in steps)
    assert (len(builder), builder.n_rows, builder.n_bytes) == (len(steps), n_total, n_total * 10)


@given(st.floats(0, 3, allow_nan=False))
def test_the_wait_that_is_left_ends_when_the_block_is_due(waited_s: float) -> None:
    clock = Clock()
    builder: BlockBuilder[int] = BlockBuilder(100, 1000, clock)
    assert builder.due_in_s(clock.now) is None
    builder.add(1, 1, 1)
    left_s = builder.due_in_s(clock.now + waited_s)
    assert left_s is not None
    assert (left_s == 0) == builder.due(clock.now + waited_s)
    assert left_s <= 1.0
