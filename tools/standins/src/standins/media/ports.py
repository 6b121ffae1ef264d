"""Free loopback ports. Another process may take one before its user binds it, so starters try again with new ones."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A TCP (or UDP) port on 127.0.0.1 that nobody is bound to at this moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def free_tcp_and_udp_port() -> int:
    """One number that is free for both TCP and UDP on 127.0.0.1 (SIP listens on both)."""
    for _attempt in range(50):
        port = free_port(socket.SOCK_STREAM)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError("no port is free for both TCP and UDP on 127.0.0.1")
