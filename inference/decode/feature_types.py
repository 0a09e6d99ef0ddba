"""The feature schema as msgspec types, so that JSON is parsed straight into numbers."""

import enum
from collections.abc import Callable
from typing import Annotated, Generic, TypeVar, cast

import msgspec
from msgspec import Meta

from schemas.codecs.packed import MAX_EVENT_ID_BYTES
from schemas.features import MAX_EXACT_INTEGER, Dtype, Feature, FeatureSchema

FeaturesT = TypeVar("FeaturesT")

# Beyond this a JSON number need not be an exact millisecond; it is the year 287,396.
_LATEST_MS = 2**53
_Integer = Annotated[int, Meta(ge=-MAX_EXACT_INTEGER, le=MAX_EXACT_INTEGER)]
# 3.0 is the number 3 in JSON, and some writers know no other way to say it.
_IntegralFloat = Annotated[
    float, Meta(ge=-MAX_EXACT_INTEGER, le=MAX_EXACT_INTEGER, multiple_of=1.0)
]
EventId = Annotated[str, Meta(min_length=1, max_length=MAX_EVENT_ID_BYTES)]
EventTime = Annotated[int, Meta(gt=0, le=_LATEST_MS)] | None


class JsonEvent(msgspec.Struct, Generic[FeaturesT], gc=False):
    """`schemas.events.FeatureEvent` with one schema's features as a struct; others are skipped."""

    event_id: EventId
    features: FeaturesT
    event_time_ms: EventTime = None


class _Category(float, enum.Enum):
    """Members are floats, the category's index; msgspec finds them by name: no second look-up."""

    def __new__(cls, code: float, name: str) -> "_Category":
        member = float.__new__(cls, code)
        member._value_ = name
        return member


class _OpenCategory(_Category):
    """A category that takes any string; the unknown ones are -1."""

    @classmethod
    def _missing_(cls, value: object) -> "_Category | None":
        return next(iter(cls)) if isinstance(value, str) else None


def feature_type(feature: Feature) -> object:
    """The type msgspec decodes this feature's JSON value to; every instance converts to float."""
    kind = _plain_type(feature)
    return kind | None if feature.nullable else kind  # type: ignore[operator]


def features_struct(schema: FeatureSchema) -> type[msgspec.Struct]:
    """A struct of the schema's features, in its order; a nullable one that is missing is NaN."""
    fields: list[tuple[str, object] | tuple[str, object, object]] = []
    names = {f"f{index}": feature.name for index, feature in enumerate(schema.features)}
    for field, feature in zip(names, schema.features, strict=True):
        if feature.nullable:
            fields.append((field, feature_type(feature), float("nan")))
        else:
            fields.append((field, feature_type(feature)))
    # kw_only: a field without default may follow one with.
    define = cast("Callable[..., type[msgspec.Struct]]", msgspec.defstruct)
    return define("Features", fields, rename=names, kw_only=True, gc=False)


def _plain_type(feature: Feature) -> object:
    if feature.dtype is Dtype.BOOLEAN:
        return bool
    if feature.dtype is Dtype.INTEGER:
        return _Integer | _IntegralFloat
    if feature.dtype is Dtype.CATEGORY:
        return _category_type(feature)
    return float


def _category_type(feature: Feature) -> object:
    members: list[tuple[str, tuple[float, str]]] = [
        (f"c{code}", (float(code), name)) for code, name in enumerate(feature.categories)
    ]
    # Calling an Enum class makes a new one, which mypy takes for a member's construction.
    closed = cast("Callable[..., object]", _Category)
    opened = cast("Callable[..., object]", _OpenCategory)
    if not feature.unseen_allowed:
        return closed("Category", members)
    unseen = "\0" * (1 + max(map(len, feature.categories)))  # longer than, so equal to, no category
    return opened("OpenCategory", [("unseen", (-1.0, unseen)), *members])
