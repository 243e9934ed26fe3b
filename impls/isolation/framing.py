"""Messages through a socket: the length in 4 bytes, then JSON. Python 3.9, and no NumPy."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

LONGEST = 1 << 28  # bytes that a message may have: what is no message claims more


def send(channel: socket.socket, message: Any) -> None:
    """Send one message: its length in 4 bytes, then JSON."""
    text = json.dumps(message).encode()
    channel.sendall(struct.pack("<I", len(text)) + text)


def missing(received: bytes) -> int:
    """Count the bytes to ask for next: a message's length, then what it lacks, or 0 where all of it has arrived.

    Raises ValueError where it is none.
    """
    if len(received) < 4:
        return 4 - len(received)
    length = int(struct.unpack("<I", received[:4])[0])
    if length > LONGEST:
        raise ValueError(f"a message of {length} bytes: accepted are {LONGEST}")
    return 4 + length - len(received)


def read(received: bytes) -> Any:
    """Read a message that has arrived, a dict. Raises ValueError where it is none."""
    message = json.loads(received[4:].decode())
    if not isinstance(message, dict):
        raise ValueError(f"{message!r} is no message")
    return message


def receive(channel: socket.socket) -> Any:
    """Wait for one message; None where the other side has closed the channel. Raises ValueError where it is none."""
    received = b""
    while lacking := missing(received):
        more = channel.recv(lacking)
        if not more:
            return None
        received += more
    return read(received)
