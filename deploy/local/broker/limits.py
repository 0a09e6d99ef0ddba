"""Bounds: what clients together may make the broker hold."""

from dataclasses import dataclass

MiB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes; `memory` is for requests and responses of all connections together."""

    connections: int = 1000
    request: int = 100 * MiB
    memory: int = 512 * MiB
    fetch_response: int = 32 * MiB
    idle_s: float = 600.0


@dataclass(slots=True)
class Budget:
    """Bytes in use of `limit`, counted by those who hold them."""

    limit: int
    used: int = 0

    @property
    def left(self) -> int:
        return max(self.limit - self.used, 0)
