"""Opening a partition's folder: what index files vouch for is taken, the rest read and checked."""

from pathlib import Path

import structlog

from deploy.local.broker.log.batches import (
    HEADER_SIZE,
    MAGIC,
    Batch,
    commits,
    crc_holds,
    read_header,
)
from deploy.local.broker.log.index import read_index
from deploy.local.broker.log.producers import Producers
from deploy.local.broker.log.segment import Segment
from deploy.local.broker.log.swap import finish_swaps

log = structlog.get_logger(__name__)

_CHUNK_BYTES = 4 * 1024 * 1024


def open_segments(directory: Path) -> tuple[list[Segment], Producers]:
    """The segments in the order of their offsets, none of them torn, and the producers' state.

    What a crash left behind the last whole batch of the last segment is cut off, with a warning.
    Damage in an earlier segment hides what follows it in that segment, with an error.
    """
    # Looked at once: a node may have a thousand partitions, and nearly all have no leftovers.
    suffixes = {path.suffix for path in directory.iterdir()}
    if not suffixes <= {".log", ".index", ""}:
        finish_swaps(directory)
        for leftover in directory.glob("*.tmp"):
            leftover.unlink()
    paths = sorted(directory.glob("*.log"))
    segments, producers = [], Producers()
    for path in paths:
        segment = Segment(path)
        known = read_index(segment.index_path)
        n_bytes = path.stat().st_size
        if known is not None and known.covers <= n_bytes:
            segment.adopt(known)
            producers = Producers.load(known.producers)
        elif known is not None:
            # It speaks of bytes that are gone; those appended next must not be taken for them.
            segment.index_path.unlink()
        if segment.size < n_bytes:
            _check(segment, producers, n_bytes, last=path == paths[-1])
        if path != paths[-1]:
            if segment.covered != segment.size:
                segment.save_index(producers.dump())
            segment.rest()
        segments.append(segment)
    return segments, producers


def known_segment(path: Path) -> Segment:
    """A segment of which the index file says all; raises OSError where it does not."""
    segment, known = Segment(path), read_index(path.with_suffix(".index"))
    if known is None or known.covers != path.stat().st_size:
        raise OSError(f"the index of {path.name} is damaged")
    segment.adopt(known)
    return segment


def _check(segment: Segment, producers: Producers, n_bytes: int, *, last: bool) -> None:
    """Read the batches that the index file does not cover."""
    # The times in the batches are the clients'; the file's bounds when they were written.
    written_ms = int(segment.path.stat().st_mtime * 1000)
    with segment.path.open("rb") as file:
        file.seek(segment.size)
        rest = file.read(_CHUNK_BYTES)
        while rest:
            taken = _take(segment, producers, rest, written_ms)
            if taken == 0 and len(rest) >= min(_whole(rest), n_bytes - segment.size):
                break
            rest = rest[taken:] + file.read(_CHUNK_BYTES)
    left = n_bytes - segment.size
    if left and last:
        log.warning("torn_tail_cut_off", segment=str(segment.path), bytes=left)
        with segment.path.open("r+b") as file:
            file.truncate(segment.size)
    elif left:
        log.error("segment_damaged", segment=str(segment.path), at=segment.size, bytes=left)


def _whole(data: bytes) -> int:
    """How many bytes the batch at the start of `data` claims to have."""
    return read_header(data).size if len(data) >= HEADER_SIZE else HEADER_SIZE


def _take(segment: Segment, producers: Producers, data: bytes, written_ms: int) -> int:
    """Count the sound batches at the start of `data`, and return how many bytes they have."""
    view, at = memoryview(data), 0
    while len(view) - at >= HEADER_SIZE:
        header = read_header(view, at)
        sound = (
            header.magic == MAGIC
            and header.base_offset >= segment.next_offset
            and header.last_delta >= 0
            and header.size >= HEADER_SIZE
        )
        if not sound or header.size > len(view) - at:
            break
        batch = Batch(header, view[at : at + header.size])
        if not crc_holds(batch.data, header):
            break
        segment.note(header, written_ms)
        if header.control:
            producers.end(header, commit=commits(batch), now_ms=written_ms)
        else:
            producers.record(header, written_ms)
        at += header.size
    return at
