"""Whether a broker serves requests, whatever broker it is."""

import socket
import struct


def answers(host: str, port: int, timeout_s: float = 1.0) -> bool:
    """Whether a broker there answers an ApiVersions request.

    An open port is not enough: Kafka binds it seconds before it serves requests.
    """
    body = struct.pack(">hhih", 18, 0, 1, -1)  # ApiVersions v0, correlation 1, no client id
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(struct.pack(">i", len(body)) + body)
            reply = connection.recv(8, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(reply) == 8 and struct.unpack(">ii", reply)[1] == 1
