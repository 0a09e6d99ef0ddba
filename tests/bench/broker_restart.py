"""Memory of a broker that holds data, and how long it takes to come back with them."""

from tests.bench.broker_cases import Case
from tests.bench.broker_load import fill
from tests.bench.broker_nodes import BrokerNode
from tests.bench.processes import MIB


def measure_restart(node: BrokerNode, case: Case, fill_mib: int) -> dict[str, float]:
    """Start a new broker, fill it, stop and start it, kill and start it; raises RunFailed.

    Times are from the start of the process to its first answer.
    """
    figures = {"first_start_s": node.start()}
    with node.topic(case) as topic:
        fill(node.bootstrap, topic, case, fill_mib * MIB // case.value_bytes)
        figures["rss_mib"] = node.process.rss_mib()
        node.stop()
        figures["start_after_stop_s"] = node.start()
        # Something it has not put away when it is killed.
        fill(node.bootstrap, topic, case, 8 * MIB // case.value_bytes)
        node.kill()
        figures["start_after_kill_s"] = node.start()
    node.stop()
    return figures
