"""Decoding many at once equals decoding each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.decode.texts import decode_all


@given(st.lists(st.binary(max_size=8)))
def test_it_equals_decoding_each_and_replacing_what_is_broken(texts: list[bytes]) -> None:
    assert decode_all(texts, errors="replace") == [
        text.decode("utf-8", "replace") for text in texts
    ]


@given(st.lists(st.text(max_size=8)))
def test_text_comes_back(texts: list[str]) -> None:
    assert decode_all([text.encode() for text in texts]) == texts


def test_broken_text_is_an_error_unless_it_is_replaced() -> None:
    with pytest.raises(UnicodeDecodeError):
        decode_all([b"good", b"\xe2\x82", b"good"])
