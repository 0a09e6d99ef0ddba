"""Compressed records: what clients write is read, and a small batch cannot become a large one."""

import tracemalloc

import cramjam
import pytest
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.log.batches import records_of
from deploy.local.broker.log.compression import MAX_BYTES, decompress

CODECS = {1: gzip_encode, 2: snappy_encode, 3: lz4_encode, 4: zstd_encode}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("plain", [b"x", bytes(1 << 20), bytes(range(256)) * 4000])
def test_what_was_compressed_reads_as_it_was(codec: int, plain: bytes) -> None:
    assert decompress(codec, CODECS[codec](plain)) == plain


@pytest.mark.parametrize("codec", [0, *CODECS])
def test_records_keep_their_offsets_times_and_headers(codec: int) -> None:
    builder = DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, 1 << 20)
    for number in range(3):
        builder.append(number, 1000 + number, b"k", b"v" * 100, [("h", b"x")])
    records = list(records_of(bytes(builder.build())))
    assert [(each.offset, each.timestamp) for each in records] == [(0, 1000), (1, 1001), (2, 1002)]
    assert all(each.headers == [("h", b"x")] for each in records)


@pytest.mark.parametrize("codec", [1, 3, 4])
def test_a_batch_that_would_fill_the_memory_is_refused(codec: int) -> None:
    builder = DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, 1 << 30)
    builder.append(0, 0, None, bytes(MAX_BYTES + 1), [])
    bomb = bytes(builder.build())
    del builder
    assert len(bomb) < MAX_BYTES / 100
    tracemalloc.start()
    try:
        with pytest.raises(RefusedError) as refused:
            list(records_of(bomb))
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BYTES
    finally:
        tracemalloc.stop()
    assert refused.value.code == Code.INVALID_RECORD


@pytest.mark.parametrize("codec", [*CODECS, 5, 7])
def test_garbage_is_refused(codec: int) -> None:
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 20)
    builder.append(0, 0, None, b"no such compression", [])
    batch = bytearray(builder.build())
    batch[22] |= codec
    with pytest.raises(RefusedError) as refused:
        list(records_of(batch))
    assert refused.value.code == Code.INVALID_RECORD


def test_concatenated_frames_are_read_whole() -> None:
    """librdkafka and Java write one frame, but the formats allow several."""
    frames = bytes(cramjam.zstd.compress(b"ab")) + bytes(cramjam.zstd.compress(b"cd"))
    assert decompress(4, frames) == b"abcd"
