"""Raw records in, `float32[n, n_features]` out; bad rows are set aside, good rows go on."""

from inference.decode.batch import BatchDecoder
from inference.decode.types import Columns, Decoded, Rejected

__all__ = ["BatchDecoder", "Columns", "Decoded", "Rejected"]
