"""Labelled files of each format: the schema they suggest, their matrix, and what is refused."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from producers.files import count_rows, file_columns, infer_schema, load_matrix, missing_columns
from schemas.errors import ConfigurationError
from schemas.features import Dtype, Feature, FeatureSchema
from schemas.pipeline import ColumnMapping

LABEL = ColumnMapping(label="y")
Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def write_parquet(path: Path, **columns: object) -> Path:
    parquet.write_table(pa.table(columns), path, row_group_size=2)
    return path


def test_numbers_become_floats_words_booleans_and_texts_categories(write: Write) -> None:
    path = write("f.csv", "n,x,flag,shop,y\n1,2.5,true,b,0\n2,-1e3,FALSE,a,1\n")
    assert infer_schema(path, LABEL) == FeatureSchema(
        (
            Feature(name="n"),
            Feature(name="x"),
            Feature(name="flag", dtype=Dtype.BOOLEAN),
            Feature(name="shop", dtype=Dtype.CATEGORY, categories=("a", "b"), unseen_allowed=True),
        )
    )


def test_the_three_formats_suggest_the_same_schema_and_matrix(write: Write, tmp_path: Path) -> None:
    files = [
        write("f.csv", "a,b,c,y\n1,true,u,0\n,false,v,1\n"),
        write(
            "f.jsonl",
            '{"a":1,"b":true,"c":"u","y":0}\n\n{"a":null,"b":false,"c":"v","y":1}\n',
        ),
        write_parquet(
            tmp_path / "f.parquet", a=[1.0, None], b=[True, False], c=["u", "v"], y=[0, 1]
        ),
    ]
    schemas = [infer_schema(path, LABEL) for path in files]
    assert schemas[0] == schemas[1] == schemas[2]
    for path in files:
        matrix, labels = load_matrix(path, schemas[0], LABEL)
        np.testing.assert_array_equal(matrix, np.array([[1, 1, 0], [np.nan, 0, 1]], np.float32))
        assert labels.tolist() == [0, 1]
        assert count_rows(path) == 2
        assert file_columns(path) == ["a", "b", "c", "y"]


def test_mapped_columns_are_no_features(write: Write) -> None:
    path = write("f.csv", "id,who,when,a,y\n1,2,3,4,0\n")
    mapping = ColumnMapping(label="y", entity="who", event_id="id", time="when")
    assert infer_schema(path, mapping).names == ("a",)


def test_the_time_can_stay_a_feature_in_its_place(write: Write) -> None:
    path = write("f.csv", "b,when,a,y\n1,2.5,3,0\n")
    mapping = ColumnMapping(label="y", time="when", time_is_feature=True)
    schema = infer_schema(path, mapping)
    assert schema.names == ("b", "when", "a")
    assert load_matrix(path, schema, mapping)[0].tolist() == [[1, 2.5, 3]]


@pytest.mark.parametrize(
    ("cell", "reason"), [("2013-09-01", "text"), ("1378000000", "integers beyond 2\\^24")]
)
def test_a_time_that_cannot_be_a_feature_is_refused_as_one(
    write: Write, cell: str, reason: str
) -> None:
    path = write("f.csv", f"when,a,y\n{cell},1,0\n")
    assert infer_schema(path, ColumnMapping(label="y", time="when")).names == ("a",)
    with pytest.raises(ConfigurationError, match=f"time column 'when' .*{reason}"):
        infer_schema(path, ColumnMapping(label="y", time="when", time_is_feature=True))


@pytest.mark.parametrize("time_is_feature", [False, True])
def test_a_time_column_that_is_not_there_is_refused(write: Write, time_is_feature: bool) -> None:
    mapping = ColumnMapping(label="y", time="when", time_is_feature=time_is_feature)
    with pytest.raises(ConfigurationError, match="no column 'when'"):
        infer_schema(write("f.csv", "a,y\n1,0\n"), mapping)


def test_an_unnamed_first_column_of_row_numbers_is_left_out(write: Write) -> None:
    rows = "".join(f"{n},{n * 0.5},0\n" for n in range(20_000))
    assert infer_schema(write("f.csv", f",a,y\n{rows}"), LABEL).names == ("a",)


def test_an_unnamed_column_of_anything_else_is_refused(write: Write) -> None:
    with pytest.raises(ConfigurationError, match="column 1 has no name"):
        infer_schema(write("f.csv", ",a,y\n1,1,0\n2,2,1\n"), LABEL)


def test_a_row_index_with_a_name_is_a_feature_like_any_other(write: Write) -> None:
    assert infer_schema(write("f.csv", "n,a,y\n0,1,0\n1,2,1\n"), LABEL).names == ("n", "a")


def test_integers_beyond_float32_are_refused_and_the_message_names_the_column(
    write: Write,
) -> None:
    assert infer_schema(write("fits.csv", "card,y\n-16777216,0\n16777216,1\n"), LABEL)
    for name, content in (
        ("f.csv", "card,y\n1,0\n-16777217,1\n"),
        ("f.jsonl", '{"card":16777217,"y":0}\n'),
    ):
        with pytest.raises(ConfigurationError, match=r"'card'.*2\^24.*entity"):
            infer_schema(write(name, content), LABEL)


def test_large_numbers_with_fractions_are_floats(write: Write) -> None:
    path = write("f.csv", "a,y\n123456789,0\n123456789.5,1\n")
    assert infer_schema(path, LABEL).features[0].dtype is Dtype.FLOAT


def test_a_thousand_distinct_texts_are_a_category_and_one_more_is_refused(write: Write) -> None:
    rows = [f"t{n},0\n" for n in range(1001)]
    fits = infer_schema(write("f.csv", "a,y\n" + "".join(rows[:1000])), LABEL)
    assert len(fits.features[0].categories) == 1000
    with pytest.raises(ConfigurationError, match="'a' holds text, such as 't0'"):
        infer_schema(write("g.csv", "a,y\n" + "".join(rows)), LABEL)


def test_one_odd_cell_among_many_numbers_is_shown(write: Write) -> None:
    rows = "".join(f"{n},0\n" for n in range(5000))
    with pytest.raises(ConfigurationError, match="such as 'oops'"):
        infer_schema(write("f.csv", f"a,y\n{rows}oops,1\n"), LABEL)


def test_a_later_file_with_other_categories_still_fits(write: Write) -> None:
    schema = infer_schema(write("f.csv", "shop,y\na,0\nb,1\n"), LABEL)
    matrix, _ = load_matrix(write("g.csv", "shop,y\nb,0\nzzz,1\n"), schema, LABEL)
    assert matrix.tolist() == [[1.0], [-1.0]]


def test_the_matrix_holds_float32_of_what_the_text_says(write: Write) -> None:
    texts = ["0.1", "-3.71667065648705", "1e-40", "16777216", "3.4028235e38", "0.43601325996511103"]
    path = write("f.csv", "a,y\n" + "".join(f"{text},1\n" for text in texts))
    matrix, _ = load_matrix(path, FeatureSchema.of_floats(["a"]), LABEL)
    np.testing.assert_array_equal(matrix[:, 0], np.array([np.float32(text) for text in texts]))


def test_more_rows_than_a_batch_keep_their_order(write: Write, tmp_path: Path) -> None:
    n = 20_001
    paths = [
        write("f.csv", "a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(n))),
        write("f.jsonl", "".join(f'{{"a":{i},"y":{i % 2}}}\n' for i in range(n))),
        tmp_path / "f.parquet",
    ]
    parquet.write_table(pa.table({"a": range(n), "y": [i % 2 for i in range(n)]}), paths[2])
    for path in paths:
        matrix, labels = load_matrix(path, FeatureSchema.of_floats(["a"]), LABEL)
        np.testing.assert_array_equal(matrix[:, 0], np.arange(n, dtype=np.float32))
        np.testing.assert_array_equal(labels, np.arange(n) % 2)


def test_parquet_types_of_data_frames_are_understood(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "f.parquet",
        price=pa.array([Decimal("1.25"), None]),
        hole=pa.array([1.5, float("nan")]),
        shop=pa.array(["u", "v"]).dictionary_encode(),
        at=pa.array([datetime(2013, 9, 1, tzinfo=UTC), None], pa.timestamp("ns", "UTC")),
        y=[True, False],
    )
    mapping = ColumnMapping(label="y", time="at")
    schema = infer_schema(path, mapping)
    assert [feature.nullable for feature in schema.features] == [True, True, False]
    matrix, labels = load_matrix(path, schema, mapping)
    np.testing.assert_array_equal(
        matrix, np.array([[1.25, 1.5, 0], [np.nan, np.nan, 1]], np.float32)
    )
    assert labels.tolist() == [1, 0]


def test_csv_dialects_are_understood(write: Write) -> None:
    for name, content in (
        ("semicolon.csv", "a;b;y\n1;x;0\n"),
        ("tab.tsv", "a\tb\ty\n1\tx\t0\n"),
        ("bom.csv", b"\xef\xbb\xbfa,b,y\r\n1,x,0\r\n"),
        ("quoted.csv", '"a","b","y"\n1,"x",0\n'),
    ):
        path = write(name, content)
        assert file_columns(path) == ["a", "b", "y"]
        assert infer_schema(path, LABEL).features[1].categories == ("x",)


def test_missing_columns_are_named_in_schema_order(write: Write) -> None:
    path = write("f.csv", "b,y\n1,0\n")
    assert missing_columns(path, FeatureSchema.of_floats(["c", "b", "a"])) == ["c", "a"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("short.csv", "a,b,y\n1,2,0\n1,0\n", "Row #3: Expected 3 columns, got 2"),
        ("long.csv", "a,y\n1,0\n1,0,1\n", "Expected 2 columns, got 3"),
        ("empty.csv", "", "is empty"),
        ("header.csv", "a,y\n", "has no rows"),
        ("nolabel.csv", "a,b\n1,2\n", "no column 'y'; its columns are a, b"),
        ("twice.csv", "a,a,y\n1,2,0\n", "column 'a' is there twice"),
        ("latin.csv", b"a,y\n\xe9,0\n", "cannot be read .*UTF8"),
        ("table.xlsx", "x", "cannot read .xlsx; convert it to one of .csv"),
        ("torn.parquet", b"PAR1xxxxxx", "torn.parquet cannot be read"),
        ("broken.jsonl", '{"a":1,"y":0}\n{"a":1,\n', "line 2 is not a JSON object"),
        ("list.jsonl", "[1, 2]\n", "line 1 is not a JSON object"),
        ("label.csv", "a,y\n1,0\n1,2\n", "row 2, column 'y': the label '2' is neither 0 nor 1"),
        ("infinite.csv", "a,y\n1,0\ninf,1\n", "row 2, column 'a': 'inf' is no float"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_to_do(
    write: Write, name: str, content: str | bytes, message: str
) -> None:
    path = write(name, content)
    with pytest.raises(ConfigurationError, match=message):
        load_matrix(path, infer_schema(path, LABEL), LABEL)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        file_columns(tmp_path / "nothing.csv")


def test_training_without_a_label_column_is_refused(write: Write) -> None:
    with pytest.raises(ConfigurationError, match="name the label column"):
        load_matrix(write("f.csv", "a\n1\n"), FeatureSchema.of_floats(["a"]), ColumnMapping())


def test_a_missing_value_where_none_is_allowed_is_refused_for_training(write: Write) -> None:
    with pytest.raises(ConfigurationError, match="row 2, column 'a': None"):
        load_matrix(write("f.csv", "a,y\n1,0\n,1\n"), FeatureSchema.of_floats(["a"]), LABEL)
