"""Whatever bytes arrive: decode never raises, answers for each row once, spares the neighbours."""

import random

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.codecs import packed
from tests.unit.inference.events import (
    GOOD_ROW,
    PACKED,
    columns,
    decoder,
    json_event,
    packed_event,
)

DECODER = decoder()
SEEDS = [
    json_event(time=5),
    json_event(age_days=None, channel="?"),
    json_event("ü" * 10, amount=0),
    packed_event(time=5),
    packed_event("é"),
    b'{"event_id":"a","features":{"amount":1e400}}',
    b"[[[[[[",
    b'{"a":"\\ud800\\u0000"}',
]
INSERTS = [
    b"{",
    b'"',
    b"\\u",
    b"\\ud800",
    b"9" * 400,
    b"e9",
    b"-",
    b"\xff",
    b"null",
    b"[" * 50,
    b"\0",
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["amount", "event_id", "features", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
feature_values = st.one_of(json_values, st.sampled_from(["food", "web", 3, 2**24, 1e38, True]))
json_events = st.builds(
    lambda event_id, time, changes: json_event(event_id, time=time, **changes),
    json_values | st.text(min_size=1, max_size=130),
    json_values | st.integers(-(2**65), 2**65),
    st.dictionaries(
        st.sampled_from(["amount", "n items", "online", "class", "age_days", "channel"]),
        feature_values,
        max_size=3,
    ),
)
packed_events = st.builds(
    lambda event_id, time, row: packed_event(event_id, time=time, row=row),
    st.text(max_size=30),
    st.integers(-(2**63), 2**63 - 1),
    st.lists(st.floats(width=32), min_size=6, max_size=6),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good or odd payload, damaged in up to four places."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    rng = random.Random(draw(st.integers(0, 2**32)))
    for _ in range(rng.randrange(5)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                data[at : at + 1] = bytes((rng.randrange(256),))
            case 1:
                del data[at : at + rng.randrange(20)]
            case 2:
                data[at:at] = rng.choice(INSERTS)
            case _:
                data = data[:at] + data[rng.randrange(len(data) + 1) :]
    return bytes(data)


payloads = st.one_of(mutated(), json_events, packed_events, st.binary(max_size=200), st.none())
content_types = st.sampled_from([None, b"application/json", PACKED, b"text/csv", b""])


@given(st.lists(st.tuples(payloads, content_types), max_size=12))
def test_every_row_is_answered_for_once_and_good_neighbours_are_untouched(
    records: list[tuple[bytes | None, bytes | None]],
) -> None:
    values: list[bytes | None] = []
    types: list[bytes | None] = []
    for value, content_type in records:  # a good row of each format around every odd one
        values += [json_event("j"), value, packed_event("p")]
        types += [None, content_type, PACKED]
    decoded = DECODER.decode(columns(values, types))

    rejected = [each.row for each in decoded.rejections]
    rows = decoded.rows.tolist()
    assert rejected == sorted(rejected)
    assert rows == sorted(rows)
    assert sorted(rows + rejected) == list(range(len(values)))
    assert len(rows) == len(decoded.features) == len(decoded.event_ids) == len(decoded.entities)
    for row, features, event_id in zip(rows, decoded.features, decoded.event_ids, strict=True):
        assert 1 <= len(event_id.encode()) <= packed.MAX_EVENT_ID_BYTES
        if row % 3 != 1:
            assert features.tolist() == GOOD_ROW
            assert event_id == ("j" if row % 3 == 0 else "p")
    assert not set(rejected) & {row for row in range(len(values)) if row % 3 != 1}
    assert (decoded.event_times_ms > 0).all()
    assert np.isfinite(np.delete(decoded.features, 4, axis=1)).all()
    for each in decoded.rejections:
        assert len(each.explanation.encode()) < 1000


@given(st.lists(st.tuples(payloads, content_types), min_size=1, max_size=8))
def test_a_row_decodes_the_same_alone_as_in_any_company(
    records: list[tuple[bytes | None, bytes | None]],
) -> None:
    values = [value for value, _ in records]
    types = [content_type for _, content_type in records]
    together = DECODER.decode(columns(values, types))
    good = {
        row: (features.tobytes(), event_id)
        for row, features, event_id in zip(
            together.rows.tolist(), together.features, together.event_ids, strict=True
        )
    }
    bad = {each.row: (each.reason, each.explanation) for each in together.rejections}
    for row, (value, content_type) in enumerate(records):
        alone = DECODER.decode(columns([value], [content_type]))
        if row in good:
            assert (alone.features[0].tobytes(), alone.event_ids[0]) == good[row]
        else:
            (rejected,) = alone.rejections
            assert (rejected.reason, rejected.explanation) == bad[row]


def test_a_json_event_is_good_exactly_when_a_plain_reading_says_so() -> None:
    """The typed path against an untyped decoder on many random feature values."""
    rng = random.Random(7)
    choices = [0, 1, -1, 0.5, 12.0, 1000, 1001, 2**24, 2**24 + 1, 1e39, True, "web", "fuel", None]
    values, expected = [], []
    for _ in range(2000):
        changes = {
            name: rng.choice(choices)
            for name in rng.sample(["amount", "n items", "online", "age_days"], 2)
        }
        values.append(json_event(**changes))
        expected.append(_plainly_good(msgspec.json.decode(values[-1])["features"]))
    decoded = DECODER.decode(columns(list(values)))
    assert decoded.rows.tolist() == [row for row, good in enumerate(expected) if good]
    assert 100 < len(decoded.rows) < 1900


def _plainly_good(features: dict[str, object]) -> bool:
    def number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    amount, items, online, age = (
        features[name] for name in ("amount", "n items", "online", "age_days")
    )
    return (
        (number(amount) and 0 <= amount <= 1000)  # type: ignore[operator]
        and (number(items) and abs(items) <= 2**24 and items == int(items))  # type: ignore
        and isinstance(online, bool)
        and (age is None or (number(age) and abs(age) < 3.4e38))  # type: ignore
    )
