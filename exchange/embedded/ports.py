"""The port of a cluster: the one it had, or a free one."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from exchange.errors import Misconfigured

_PORTS: Final = range(20_000, 32_000)  # below the range from which Linux hands out ports by itself


def free_ports(folder: Path) -> Iterator[int]:
    """The port used last when it is free, then free ones from a place that this folder's name decides."""
    start = int.from_bytes(hashlib.sha256(bytes(folder)).digest()[:4]) % len(_PORTS)
    kept = folder / "port"
    candidates = [int(kept.read_text())] if kept.exists() else []
    candidates += [_PORTS[(start + step) % len(_PORTS)] for step in range(64)]
    return (port for port in candidates if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server does it, so that a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def no_port(folder: Path) -> Misconfigured:
    return Misconfigured(
        "database.no_port",
        f"no port of 127.0.0.1 is free for the database in {folder}",
        field="EXCHANGE_DATA_DIR",
        rule=f"the database listens on one port between {_PORTS[0]} and {_PORTS[-1]}",
        remedy="stop what listens there (`ss -ltnp` shows it), or set EXCHANGE_DATABASE_URL",
    )
