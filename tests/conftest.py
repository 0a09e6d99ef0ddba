"""Real parts for tests, started once per session: brokers and a ClickHouse server."""

from pathlib import Path

import pytest

pytest_plugins = [
    "tests.fixtures.kafka",
    "tests.fixtures.clickhouse",
    "tests.fixtures.pipeline",
]

DEPLOYING = {"chaos", "e2e", "integration"}
"""Folders whose tests start workers: they mostly wait, one after another."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Halves for `pytest -n 2 --dist loadgroup`, each with servers of its own."""
    tests = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(tests).parts[0]
        half = "deploying" if folder in DEPLOYING else "others"
        item.add_marker(pytest.mark.xdist_group(half))
