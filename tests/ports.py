"""A port that nobody listens on, for a server that has to be told its port, or for a client that is to find nobody."""

import socket
from random import randrange

LENT = 32768
"""From here on Linux lends ports to clients (net.ipv4.ip_local_port_range): one could have it when a server starts again."""


def free_port() -> int:
    """A port of this machine that is free, and that nobody takes who does not ask for it by number."""
    while True:
        port = randrange(20_000, LENT)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
