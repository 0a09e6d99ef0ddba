"""What a scan or a monitor saw, written for programs (JSON) and for people (one HTML page)."""

from drift.report.machine import (
    FindingEntry,
    ReportDocument,
    json_schema,
    read_json,
    to_json,
)
from drift.report.page import to_html

__all__ = ["FindingEntry", "ReportDocument", "json_schema", "read_json", "to_html", "to_json"]
