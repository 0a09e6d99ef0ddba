"""Values against the feature schema, for a whole matrix at once."""

import numpy as np
import numpy.typing as npt

from inference.decode.types import Matrix, Parsed, Rejected
from schemas.errors import Reason
from schemas.features import Dtype, Feature, FeatureSchema

_LARGEST = np.finfo(np.float32).max


class ValueChecks:
    """Range, finiteness and integrality. Bounds are compared as float32, as the values travel."""

    def __init__(self, schema: FeatureSchema) -> None:
        self._features = schema.features
        bounds = [_bounds(feature) for feature in schema.features]
        # Unbounded ends at the largest float32, so infinity is outside of every range.
        with np.errstate(over="ignore"):
            self._lowest = np.array([low for low, _ in bounds], dtype=np.float32).clip(-_LARGEST)
            self._highest = np.array([high for _, high in bounds], dtype=np.float32).clip(
                None, _LARGEST
            )
        self._nullable = np.array([feature.nullable for feature in schema.features])
        self._whole = np.flatnonzero(
            [feature.dtype is not Dtype.FLOAT for feature in schema.features]
        )
        self._only_finite = bool(
            (self._lowest == -_LARGEST).all() and (self._highest == _LARGEST).all()
        )

    def check(self, parsed: Parsed, *, infinite: Reason) -> Parsed:
        """`parsed` without rows that hold a bad value; `infinite` is the reason for an infinity."""
        matrix = parsed.features
        # A sum is finite only if every term is: infinities and NaN never cancel to a number.
        if self._only_finite and not len(self._whole):
            with np.errstate(all="ignore"):
                if np.isfinite(matrix.sum()):
                    return parsed
        bad = self._bad(matrix)
        if not bad.any():
            return parsed
        bad_rows: npt.NDArray[np.bool_] = np.any(bad, axis=1)
        rejections = []
        for at in np.flatnonzero(bad_rows).tolist():
            column = int(bad[at].argmax())
            reason, explanation = self._explain(column, float(matrix[at, column]), infinite)
            rejections.append(Rejected(int(parsed.rows[at]), reason, explanation))
        return parsed.keep(~bad_rows, rejections)

    def _bad(self, matrix: Matrix) -> npt.NDArray[np.bool_]:
        good = (matrix >= self._lowest) & (matrix <= self._highest)  # false for NaN
        if len(self._whole):
            whole = matrix[:, self._whole]
            good[:, self._whole] &= whole == np.rint(whole)
        if self._nullable.any():
            good |= np.isnan(matrix) & self._nullable
        return ~good

    def _explain(self, column: int, value: float, infinite: Reason) -> tuple[Reason, str]:
        feature, name = self._features[column], f"feature {self._features[column].name!r}"
        if np.isnan(value):
            return Reason.NOT_FINITE, f"{name} is NaN, and it is not nullable"
        if np.isinf(value):
            return infinite, f"{name} is {value:g} as float32, expected a finite number"
        if feature.dtype is Dtype.CATEGORY:
            return (
                Reason.UNKNOWN_CATEGORY,
                f"{name} is {value:g}, not an index of its {len(feature.categories)} categories",
            )
        low, high = float(self._lowest[column]), float(self._highest[column])
        if low <= value <= high:
            expected = "an integer" if feature.dtype is Dtype.INTEGER else "0 or 1"
            return Reason.WRONG_TYPE, f"{name} is {value:g}, expected {expected}"
        return Reason.OUT_OF_RANGE, f"{name} is {value:.9g}, outside [{low:.9g}, {high:.9g}]"


def _bounds(feature: Feature) -> tuple[float, float]:
    if feature.dtype is Dtype.BOOLEAN:
        return 0.0, 1.0
    if feature.dtype is Dtype.CATEGORY:
        return (-1.0 if feature.unseen_allowed else 0.0), len(feature.categories) - 1.0
    return feature.lowest, feature.highest
