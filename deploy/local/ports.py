"""Ports on loopback: find free ones, and say clearly when a wanted one is taken."""

import socket

from schemas.errors import ConfigurationError

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now; connections of the past do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def refuse_taken(port: int, owner: str, setting: str) -> None:
    """Raise ConfigurationError when another program listens on `port`."""
    if not is_free(port):
        raise ConfigurationError(
            f"port {port} for {owner} is taken by another program: stop that, or set {setting}"
            " to a free one"
        )
