"""What a stage must know of the consumer group it is in."""

from typing import Protocol

import faust
from faust.types import TP


class Membership(Protocol):
    """Which partitions are ours, and for how long."""

    def generation(self) -> int:
        """Another number after each assignment: batches of earlier ones are not ours any more."""
        ...

    def draining(self) -> bool:
        """Whether the app waits for what is in work, to stop or to give partitions back."""
        ...

    def owns(self, tp: TP) -> bool:
        """Whether the partition is assigned to us."""
        ...


class FaustMembership:
    """Faust suspends the flow before it waits for what is in work, and counts assignments."""

    def __init__(self, app: faust.App) -> None:
        self._app = app

    def generation(self) -> int:
        return int(self._app.consumer_generation_id)

    def draining(self) -> bool:
        return not self._app.flow_control.is_active()

    def owns(self, tp: TP) -> bool:
        return tp in self._app.consumer.assignment()
