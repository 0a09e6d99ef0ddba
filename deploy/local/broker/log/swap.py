"""How a compacted segment takes the place of those it was made from, whole or not at all.

    {base}.cleaned, {base}.cleaned-index     being written; a start deletes them
    {base}-{through}.swap                    complete: it stands for all segments from `base` up
                                             to, not including, `through`
    {base}.log, {base}.index                 in place

The rename to .swap decides. Every step after it may be done again: a start that finds a .swap
goes on where the last process died. A .cleaned-index beside a .swap has yet to be put in place.
"""

from pathlib import Path

from deploy.local.broker.log.segment import log_path


def cleaned_path(directory: Path, base_offset: int) -> Path:
    return directory / f"{base_offset:020d}.cleaned"


def cleaned_index_path(directory: Path, base_offset: int) -> Path:
    return directory / f"{base_offset:020d}.cleaned-index"


def commit_swap(directory: Path, base_offset: int, through: int) -> None:
    """Put the cleaned segment in place of the segments in [base_offset, through)."""
    swap = directory / f"{base_offset:020d}-{through:020d}.swap"
    cleaned_path(directory, base_offset).rename(swap)
    _finish(swap)


def discard(directory: Path, base_offset: int) -> None:
    """Delete a cleaned segment that is not wanted after all."""
    cleaned_path(directory, base_offset).unlink(missing_ok=True)
    cleaned_index_path(directory, base_offset).unlink(missing_ok=True)


def finish_swaps(directory: Path) -> None:
    """Complete the swaps that were decided, undo those that were not."""
    for swap in sorted(directory.glob("*.swap")):
        _finish(swap)
    for leftover in [*directory.glob("*.cleaned"), *directory.glob("*.cleaned-index")]:
        leftover.unlink()


def _finish(swap: Path) -> None:
    base, through = (int(number) for number in swap.stem.split("-"))
    for path in sorted(swap.parent.glob("*.log")):
        if base < int(path.stem) < through:
            path.unlink()
            path.with_suffix(".index").unlink(missing_ok=True)
    target = log_path(swap.parent, base)
    index = cleaned_index_path(swap.parent, base)
    # The index first: the old log with the new index is not seen while the .swap is there.
    if index.exists():
        index.replace(target.with_suffix(".index"))
    swap.replace(target)
