"""The wire format over all its messages: what is written reads back, garbage is refused."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.local.broker.errors import MalformedError
from deploy.local.broker.protocol import primitives
from deploy.local.broker.protocol.messages import APIS
from deploy.local.broker.protocol.primitives import Kind
from deploy.local.broker.protocol.wire import Api, Field

# Lone surrogates have no UTF-8; everything else is a string.
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    primitives.BOOL: st.booleans(),
    primitives.INT8: st.integers(-(2**7), 2**7 - 1),
    primitives.INT16: st.integers(-(2**15), 2**15 - 1),
    primitives.INT32: st.integers(-(2**31), 2**31 - 1),
    primitives.INT64: st.integers(-(2**63), 2**63 - 1),
    primitives.UUID: st.binary(min_size=16, max_size=16),
    primitives.STRING: TEXT,
    primitives.BYTES: st.binary(max_size=12),
    primitives.RECORDS: st.none() | st.binary(max_size=200),
}
every_api = pytest.mark.parametrize("api", APIS.values(), ids=[api.name for api in APIS.values()])


def values_of(field: Field, version: int) -> st.SearchStrategy[Any]:
    kind = field.kind
    values = VALUES[kind] if isinstance(kind, Kind) else messages(kind, version)
    if field.many:
        values = st.lists(values, max_size=3)
    return st.none() | values if version >= field.nullable else values


def messages(fields: tuple[Field, ...], version: int) -> st.SearchStrategy[dict[str, Any]]:
    """Messages of one version; fields that it lacks are their defaults, as they read back."""
    return st.fixed_dictionaries(
        {
            field.name: values_of(field, version)
            if field.since <= version <= field.until
            else st.builds(field.absent)
            for field in fields
        }
    )


@every_api
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_every_message_reads_back_as_it_was_written(api: Api, data: st.DataObject) -> None:
    version = data.draw(st.integers(api.oldest, api.newest))
    request = data.draw(messages(api.request, version))
    assert api.decode_request(version, b"?" + api.encode_request(version, request), 1) == request
    response = data.draw(messages(api.response, version))
    written = b"".join(api.encode_response(version, response))
    assert api.decode_response(version, written) == response


@every_api
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_message_that_is_cut_short_is_malformed(api: Api, data: st.DataObject) -> None:
    version = data.draw(st.integers(api.oldest, api.newest))
    written = api.encode_request(version, data.draw(messages(api.request, version)))
    if written:
        with pytest.raises(MalformedError):
            api.decode_request(version, written[: data.draw(st.integers(0, len(written) - 1))])


@every_api
@given(data=st.data(), noise=st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_a_message_or_malformed(api: Api, data: st.DataObject, noise: bytes) -> None:
    """Noise, and messages with bytes of noise written over them; what reads can be written."""
    version = data.draw(st.integers(api.oldest, api.newest))
    written = bytearray(api.encode_request(version, data.draw(messages(api.request, version))))
    at = data.draw(st.integers(0, len(written)))
    written[at : at + data.draw(st.integers(0, 4))] = noise[:8]
    for body in (noise, bytes(written)):
        try:
            message = api.decode_request(version, body)
        except MalformedError:
            continue
        again = api.encode_request(version, message)
        assert api.decode_request(version, again) == message


@pytest.mark.parametrize("filler", [b"\x00", b"\x01", b"\x02", b"\x00\x01", b"\xff", b"\x01\x00"])
@every_api
def test_memory_for_a_message_is_bounded_whatever_it_says(api: Api, filler: bytes) -> None:
    """1 MB of each filler behind each length: no more than 40 MB (100,000 items of 400 bytes)."""
    fill = filler * (1_000_000 // len(filler))
    for version in {api.oldest, api.newest}:
        for head in (b"", b"\x00\x07\xa1\x20", b"\xc0\x84\x3d", b"\xff\xff\xff\xff\x07"):
            tracemalloc.start()
            try:
                api.decode_request(version, head + fill)
            except MalformedError:
                pass
            finally:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
            assert peak < 40_000_000


@every_api
def test_messages_are_plain_data(api: Api) -> None:
    """Nothing in a default is shared or special: an empty message writes and is JSON and bytes."""
    for version in range(api.oldest, api.newest + 1):
        body = b"".join(api.encode_response(version, {}))
        message = api.decode_response(version, body)
        assert json.loads(json.dumps(message, default=bytes.hex)).keys() == message.keys()
