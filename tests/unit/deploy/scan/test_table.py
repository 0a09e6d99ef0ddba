"""What a scan makes of files: text is a category, gaps are missing, the unusable is said."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from deploy.scan.table import Roles, read_table
from schemas.errors import ConfigurationError


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_numbers_texts_truths_and_gaps(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", "a,b,c\n1,x,true\n,y,false\n2.5,,true\n")

    table = read_table(path, Roles())

    assert [(spec.name, spec.categories) for spec in table.specs] == [
        ("a", ()),
        ("b", ("x", "y")),
        ("c", ()),
    ]
    np.testing.assert_array_equal(
        table.matrix, np.array([[1, 0, 1], [np.nan, 1, 0], [2.5, np.nan, 1]], dtype=np.float32)
    )


def test_text_far_down_a_column_of_numbers_makes_it_a_category(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7},{i}\n" for i in range(300_000)) + "seven,1\n"
    path = write(tmp_path / "f.csv", "a,b\n" + rows)

    table = read_table(path, Roles())

    assert table.specs[0].categories == ("0", "1", "2", "3", "4", "5", "6", "seven")
    assert table.specs[1].categories == ()
    assert len(table) == 300_001


def test_identifiers_dates_and_row_numbers_are_no_features(tmp_path: Path) -> None:
    rows = "".join(f"{i},user-{i},2024-01-{1 + i % 28:02d},{i % 5}\n" for i in range(1_500))
    path = write(tmp_path / "f.csv", ",id,day,x\n" + rows)

    table = read_table(path, Roles())

    assert [spec.name for spec in table.specs] == ["x"]
    assert [warning.split(" was")[0] for warning in table.warnings] == [
        "column 'id'",
        "column 'day'",
    ]


def test_roles_leave_the_features(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", "t,who,x,y,s\n2,b,1,1,0.9\n1,a,2,0,0.1\n3,b,3,,0.5\n")

    table = read_table(path, Roles(label="y", score="s", entity="who", time="t"))

    assert [spec.name for spec in table.specs] == ["x"]
    assert table.matrix[:, 0].tolist() == [2, 1, 3]
    assert table.labels is not None
    assert table.labels.tolist() == [0, 1, -1]
    assert table.scores is not None
    np.testing.assert_allclose(table.scores, [0.1, 0.9, 0.5], rtol=1e-6)
    assert table.entities is not None
    assert table.entities.tolist() == [0, 1, 1]
    assert table.times_ms is not None
    assert table.times_ms.tolist() == [1000, 2000, 3000]
    assert "put in order" in table.warnings[0]


def test_parquet_reads_as_csv_does(tmp_path: Path) -> None:
    columns = {"x": [1.0, None, 3.0], "kind": ["a", "b", None], "day": [1, 2, 3]}
    parquet.write_table(pa.table(columns), tmp_path / "f.parquet")
    write(tmp_path / "f.csv", "x,kind,day\n1,a,1\n,b,2\n3,,3\n")

    one, other = (read_table(tmp_path / f"f.{kind}", Roles()) for kind in ("parquet", "csv"))

    assert one.specs == other.specs
    np.testing.assert_array_equal(one.matrix, other.matrix)


@pytest.mark.parametrize(
    ("name", "text", "roles", "says"),
    [
        ("f.csv", "a\n1\n", Roles(label="y"), r"no column 'y' \(--label\); its columns are a"),
        ("f.csv", "a,y\n1,maybe\n", Roles(label="y"), "row 1: the label 'maybe' is neither"),
        ("f.csv", "a,s\n1,high\n", Roles(score="s"), "score column 's' holds no numbers"),
        ("f.csv", "a,t\n1,soon\n", Roles(time="t"), "neither numbers nor times"),
        ("f.csv", "a,t\n1,1\n2,\n", Roles(time="t"), "has 1 gaps"),
        ("f.csv", "a\n", Roles(), "has no rows"),
        ("f.csv", "a,b\n1\n", Roles(), "cannot be read"),
        ("f.parquet", "no", Roles(), "cannot be read"),
        ("f.xlsx", "no", Roles(), "convert it to CSV or Parquet"),
    ],
)
def test_a_file_that_cannot_be_used_gets_a_sentence(
    tmp_path: Path, name: str, text: str, roles: Roles, says: str
) -> None:
    path = write(tmp_path / name, text)

    with pytest.raises(ConfigurationError, match=says):
        read_table(path, roles)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        read_table(tmp_path / "none.csv", Roles())
