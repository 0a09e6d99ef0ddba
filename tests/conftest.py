"""Real parts for tests, started once per session: brokers and a ClickHouse server.

Hypothesis without clocks: a machine may be busy, and a slow example is no wrong one.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.fixtures.kafka",
    "tests.fixtures.clickhouse",
    "tests.fixtures.pipeline",
]

settings.register_profile("thalweg", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("thalweg")

DEPLOYING = {"chaos", "e2e", "integration"}
"""Folders whose tests start workers: they mostly wait, one after another."""


@pytest.hookimpl(tryfirst=True)  # before xdist, which names the groups then
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Halves for `pytest -n 2 --dist loadgroup`, each with servers of its own."""
    tests = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(tests).parts[0]
        half = "deploying" if folder in DEPLOYING else "others"
        item.add_marker(pytest.mark.xdist_group(half))
