"""Real parts for tests, started once per session: brokers and a ClickHouse server.

Hypothesis without clocks: a machine may be busy, and a slow example is no wrong one.
"""

from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.fixtures.kafka",
    "tests.fixtures.clickhouse",
    "tests.fixtures.pipeline",
]

settings.register_profile("thalweg", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("thalweg")
