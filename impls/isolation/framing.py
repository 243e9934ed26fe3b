"""Messages through a socket: the length in 4 bytes, then JSON. Python 3.9, and no NumPy."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from typing import Any

LONGEST = 1 << 28  # bytes that a message may have: what is no message claims more
AT_ONCE = 1 << 16  # bytes to ask for: nobody sends a second message before the first is answered
SOON = 300e-6  # seconds to look for a message without sleeping: to be woken takes about as long


def send(channel: socket.socket, message: Any) -> None:
    """Send one message: its length in 4 bytes, then JSON."""
    text = json.dumps(message).encode()
    channel.sendall(struct.pack("<I", len(text)) + text)


def missing(received: bytes) -> int:
    """Count the bytes to ask for next, at most; 0 where all of a message has arrived.

    Raises ValueError where it is none, or more than one.
    """
    if len(received) < 4:
        return AT_ONCE
    length = int(struct.unpack("<I", received[:4])[0])
    if length > LONGEST:
        raise ValueError(f"a message of {length} bytes: accepted are {LONGEST}")
    lacking = 4 + length - len(received)
    if lacking < 0:
        raise ValueError(f"{-lacking} bytes after a message of {length}")
    return lacking


def read(received: bytes) -> Any:
    """Read a message that has arrived, a dict. Raises ValueError where it is none."""
    message = json.loads(received[4:].decode())
    if not isinstance(message, dict):
        raise ValueError(f"{message!r} is no message")
    return message


def early(channel: socket.socket) -> bytes:
    """Give what has come, or comes soon; nothing where nothing does, or where the other side has closed the channel."""
    end = time.perf_counter() + SOON
    while time.perf_counter() < end:
        try:
            return channel.recv(AT_ONCE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            os.sched_yield()  # whoever has something to do goes first
    return b""


def receive(channel: socket.socket) -> Any:
    """Wait for one message; None where the other side has closed the channel. Raises ValueError where it is none."""
    try:
        received = early(channel)
        while lacking := missing(received):
            more = channel.recv(lacking)
            if not more:
                return None
            received += more
    except ConnectionError:  # it has ended, and left an answer unread
        return None
    return read(received)
