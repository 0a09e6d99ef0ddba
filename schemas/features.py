"""The feature schema: what a pipeline's events must contain, and how a value becomes a float32."""

import hashlib
import math
from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property

import msgspec

from schemas.errors import ConfigurationError

MAX_EXACT_INTEGER = 2**24
"""Features travel as float32, which holds every integer up to here and not every one beyond."""

MAX_FEATURES = 4096


class Dtype(StrEnum):
    FLOAT = "float"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORY = "category"


class Feature(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One input of the model: its name, type, allowed range and what a missing value means.

    `minimum` and `maximum` are inclusive; `None` means unbounded (an integer is always bounded by
    2**24). `nullable`: a missing or null value becomes NaN instead of a dead letter.
    `categories`: the known values of a category; it travels as its index here. With
    `unseen_allowed` an unknown value travels as -1 instead of being dead-lettered.
    """

    name: str
    dtype: Dtype = Dtype.FLOAT
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool = False
    categories: tuple[str, ...] = ()
    unseen_allowed: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigurationError("a feature needs a name")
        if not self.name.isprintable() or '"' in self.name or "\\" in self.name:
            raise ConfigurationError(
                f"feature {self.name!r}: quotes, backslashes and control characters need escapes in"
                " JSON, which the typed decoder cannot match; rename it"
            )
        if (self.dtype is Dtype.CATEGORY) != bool(self.categories):
            raise ConfigurationError(
                f"feature {self.name!r}: a category lists its categories, and only a category does"
            )
        if len(set(self.categories)) != len(self.categories):
            raise ConfigurationError(f"feature {self.name!r}: a category is listed twice")
        self._normalise_bound("minimum", self.minimum)
        self._normalise_bound("maximum", self.maximum)
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ConfigurationError(f"feature {self.name!r}: minimum is above maximum")

    def _normalise_bound(self, which: str, bound: float | None) -> None:
        """Refuse a bound that cannot work; store it as the float that JSON gives back.

        0, 0.0 and -0.0 are equal but differ in JSON, and so would the hashes of equal schemas.
        """
        if bound is None:
            return
        if not math.isfinite(bound):
            raise ConfigurationError(
                f"feature {self.name!r}: {which} is {bound}; leave it out for no bound"
            )
        if self.dtype is Dtype.INTEGER and abs(bound) > MAX_EXACT_INTEGER:
            raise ConfigurationError(
                f"feature {self.name!r}: integers beyond 2^24 = {MAX_EXACT_INTEGER} do not survive"
                f" float32, and the range reaches {bound:.0f}; scale it or send it as a category"
            )
        msgspec.structs.force_setattr(self, which, float(bound) + 0.0)

    @property
    def lowest(self) -> float:
        """The smallest allowed value, -inf when unbounded."""
        return self._bound(self.minimum, -1.0)

    @property
    def highest(self) -> float:
        """The largest allowed value, inf when unbounded."""
        return self._bound(self.maximum, 1.0)

    def _bound(self, given: float | None, sign: float) -> float:
        if given is not None:
            return given
        return sign * (MAX_EXACT_INTEGER if self.dtype is Dtype.INTEGER else float("inf"))


class FeatureSchema(
    msgspec.Struct, frozen=True, dict=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The ordered features of a pipeline; the order is the column order of every feature matrix."""

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.features) <= MAX_FEATURES:
            raise ConfigurationError(
                f"a feature schema has 1 to {MAX_FEATURES} features, this one {len(self.features)}"
            )
        if len(set(self.names)) != len(self.features):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise ConfigurationError(f"feature names are given twice: {', '.join(twice)}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def hash(self) -> str:
        """sha256 hex of the canonical JSON: equal exactly when the schemas are equal."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()

    @cached_property
    def id(self) -> int:
        """The first 8 bytes of `hash` as an unsigned integer; the packed codec carries it."""
        return int(self.hash[:16], 16)

    @classmethod
    def of_floats(cls, names: Sequence[str]) -> "FeatureSchema":
        """A schema of unbounded, non-null floats."""
        return cls(tuple(Feature(name=name) for name in names))
