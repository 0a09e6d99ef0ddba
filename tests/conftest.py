"""Real parts for tests, started once per session: brokers and a ClickHouse server.

Hypothesis without clocks: a machine may be busy, and a slow example is no wrong one.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = [
    "tests.fixtures.kafka",
    "tests.fixtures.clickhouse",
    "tests.fixtures.pipeline",
]

settings.register_profile("thalweg", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("thalweg")

WITH_BROKERS = ("tests/chaos/", "tests/contract/", "tests/e2e/", "tests/integration/")


class Halves(LoadScopeScheduling):
    """For two processes: tests with real brokers mostly wait, one after another; beside them those
    that only compute. (`--dist loadgroup` would do, but see docs/surprises.md.)
    """

    def _split_scope(self, nodeid: str) -> str:
        return "with brokers" if nodeid.startswith(WITH_BROKERS) else "the others"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Halves:
    return Halves(config, log)
