import json
import math
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from drift.findings import Level, Subject
from drift.report import json_schema, read_json, to_json
from tests.unit.drift.reports import finding, hostile, one_shifted, report, result, still

GOLDEN = Path(__file__).parent / "golden" / "scan_report.json"
ENTRY_KEYS = [
    *("row", "kind", "name", "detector", "statistic", "threshold", "p_value", "effect"),
    *("change_point_row", "level", "n_reference", "n_window", "sentence"),
]


def small_report():
    """Findings out of order, one of each level, with numbers that JSON has no word for."""
    columns = still(n_windows=3, n_columns=1).columns
    unknown = result(math.nan, 1.0, "e-SR", math.inf, 200.0)
    return report(
        columns,
        found=[
            finding(
                8000,
                "auc",
                subject=Subject.QUALITY,
                level=Level.NOTICE,
                result=unknown,
                change_point_row=None,
            ),
            finding(7000, "merchant «A»"),
        ],
        warnings=("labels are few",),
    )


def test_the_document_is_the_golden_one():
    assert to_json(small_report()) == GOLDEN.read_bytes()


def test_a_reader_gets_back_what_was_found():
    document = read_json(to_json(one_shifted()))
    found = one_shifted()
    assert (document.rows, document.reference_rows) == (45_000, 5000)
    assert (document.window_rows, document.windows, document.arl0) == (1000, 40, 200.0)
    assert document.stated_false_notices == 0.2
    assert len(document.notices) == len(found.findings) > len(document.alerts) > 0
    assert [each for each in document.notices if each.level is Level.ALERT] == list(document.alerts)
    assert document.warnings == found.warnings


def test_every_finding_has_exactly_the_keys_that_are_promised():
    document = json.loads(to_json(one_shifted()))
    assert document["notices"]
    for entry in document["notices"] + document["alerts"]:
        assert list(entry) == ENTRY_KEYS


def test_findings_are_in_row_order():
    rows = [each.row for each in read_json(to_json(small_report())).notices]
    assert rows == [7000, 8000]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_number_that_json_does_not_have_is_written(bad):
    odd = finding(result=result(bad, bad, "e-SR", bad, bad), change_point_row=None)
    written = to_json(replace(report(still().columns, found=[odd]), arl0=bad))

    def refuse(constant):
        raise AssertionError(f"{constant} in JSON")

    document = json.loads(written, parse_constant=refuse)
    entry = document["notices"][0]
    assert [entry[key] for key in ENTRY_KEYS[4:9]] == [None] * 5
    assert document["arl0"] is None


def test_numbers_of_numpy_are_written_as_plain_ones():
    odd = finding(np.int64(7000), result=result(np.float64(0.25)), change_point_row=np.int64(6000))
    entry = read_json(to_json(report(still().columns, found=[odd]))).notices[0]
    assert (entry.row, entry.effect, entry.change_point_row) == (7000, 0.25, 6000)


def test_names_of_undecodable_bytes_are_written_as_utf8():
    document = read_json(to_json(hostile()))
    assert "a lone \ufffd surrogate" in {each.name for each in document.notices}
    assert "a lone \ufffd surrogate" in document.warnings


@pytest.mark.parametrize("make", [still, one_shifted, hostile, small_report])
def test_the_document_fits_its_schema(make):
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(to_json(make())))


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"rows": "many"}', b"\xff\xfe"])
def test_what_is_not_a_report_is_refused_in_words(data):
    with pytest.raises(ValueError, match="not the report of a drift scan"):
        read_json(data)
