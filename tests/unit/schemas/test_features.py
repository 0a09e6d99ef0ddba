"""What a feature schema refuses, and what its hash depends on."""

import math

import msgspec
import pytest

from schemas.errors import ConfigurationError
from schemas.features import MAX_EXACT_INTEGER, MAX_FEATURES, Dtype, Feature, FeatureSchema


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"name": ""}, "needs a name"),
        ({"name": "a", "dtype": Dtype.CATEGORY}, "lists its categories"),
        ({"name": "a", "categories": ("x",)}, "lists its categories"),
        ({"name": "a", "dtype": Dtype.CATEGORY, "categories": ("x", "x")}, "listed twice"),
        ({"name": "a", "dtype": Dtype.INTEGER, "maximum": MAX_EXACT_INTEGER + 1}, "2^24"),
        ({"name": "a", "dtype": Dtype.INTEGER, "minimum": -MAX_EXACT_INTEGER - 1}, "2^24"),
        ({"name": "a", "minimum": 2, "maximum": 1}, "minimum is above maximum"),
        ({"name": "a", "minimum": math.nan}, "leave it out"),
        ({"name": "a", "maximum": math.inf}, "leave it out"),
    ],
)
def test_a_feature_that_cannot_work_is_refused(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint.replace("^", r"\^")):
        Feature(**fields)  # type: ignore[arg-type]


def test_a_misspelt_field_of_a_feature_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="minimun"):
        msgspec.json.decode('{"features": [{"name": "a", "minimun": 1}]}', type=FeatureSchema)


def test_a_schema_needs_features_with_different_names() -> None:
    with pytest.raises(ConfigurationError, match="0"):
        FeatureSchema(())
    with pytest.raises(ConfigurationError, match="twice: a"):
        FeatureSchema.of_floats(["a", "b", "a"])
    with pytest.raises(ConfigurationError, match=str(MAX_FEATURES)):
        FeatureSchema.of_floats([f"f{i}" for i in range(MAX_FEATURES + 1)])


def test_an_unbounded_integer_is_bounded_by_what_float32_holds() -> None:
    integer, number = Feature(name="a", dtype=Dtype.INTEGER), Feature(name="b")
    assert (integer.lowest, integer.highest) == (-MAX_EXACT_INTEGER, MAX_EXACT_INTEGER)
    assert (number.lowest, number.highest) == (-math.inf, math.inf)


@pytest.mark.parametrize("zero", [0, 0.0, -0.0])
def test_equal_schemas_have_equal_hashes_however_their_numbers_are_written(zero: float) -> None:
    schema = FeatureSchema((Feature(name="a", minimum=zero),))
    read_back = msgspec.json.decode(msgspec.json.encode(schema), type=FeatureSchema)
    assert schema == read_back
    assert schema.hash == read_back.hash == FeatureSchema((Feature(name="a", minimum=0),)).hash


@pytest.mark.parametrize(
    "other",
    [
        FeatureSchema.of_floats(["b", "a"]),
        FeatureSchema.of_floats(["a"]),
        FeatureSchema((Feature(name="a"), Feature(name="b", nullable=True))),
        FeatureSchema((Feature(name="a"), Feature(name="b", minimum=0))),
        FeatureSchema((Feature(name="a"), Feature(name="b", dtype=Dtype.INTEGER))),
    ],
)
def test_order_names_and_rules_change_the_hash(other: FeatureSchema) -> None:
    assert FeatureSchema.of_floats(["a", "b"]).hash != other.hash


def test_the_id_is_the_first_eight_bytes_of_the_hash() -> None:
    schema = FeatureSchema.of_floats(["a"])
    assert schema.id.to_bytes(8, "big").hex() == schema.hash[:16]
