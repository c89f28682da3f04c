"""Which processes live in a cluster, told by where they work and by what the server wrote down."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

POLL_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class PidFile:
    """What a server wrote into `postmaster.pid`: it is ready when the last line says so."""

    pid: int
    port: int
    status: str

    @classmethod
    def read(cls, data: Path) -> PidFile | None:
        try:
            lines = (data / "postmaster.pid").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return None
        if not lines or not lines[0].isdecimal():
            return None
        port = int(lines[3]) if len(lines) > 3 and lines[3].isdecimal() else 0
        return cls(int(lines[0]), port, lines[7].strip() if len(lines) > 7 else "starting")


def works_in(pid: int, data: Path) -> bool:
    """Whether this process lives and works in this cluster. A zombie has no working directory any more, and
    whoever got the number of a dead server has another one.
    """
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def wait_until_empty(data: Path) -> None:
    """Wait until no process works in this cluster; one that does not notice in ten seconds is killed."""
    deadline = time.monotonic() + 10.0
    while inhabitants := [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal() and works_in(int(entry.name), data)
    ]:
        if time.monotonic() > deadline:
            for pid in inhabitants:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S)
