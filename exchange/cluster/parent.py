"""The parent of one machine of a drill: whatever its program leaves behind becomes its child, and is reaped.

Patroni starts PostgreSQL so that it outlives Patroni, as a child of process 1. Where that one reaps nobody, a killed
server stays a zombie, which the next server takes for a living one. Run as a file of its own, without the rest:

    python parent.py UID GID PROGRAM ARGUMENT …

It prints the program's process id, goes on until all its children are gone, and ends them when its standard input does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h


def children(pid: int) -> list[int]:
    """The processes whose parent is `pid`; Linux alone says so in this file."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    # One after the other, until nobody is left: who is killed leaves children of its own to this process.
    while found := children(os.getpid()):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def main(uid: str, gid: str, *command: str) -> None:
    """Start the program as that account and stay until nobody of its family is left."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    as_root = os.geteuid() == 0
    program = subprocess.Popen(
        command,
        user=int(uid) if as_root else None,
        group=int(gid) if as_root else None,
        extra_groups=[] if as_root else None,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        umask=0o077,
    )
    print(program.pid, flush=True)
    threading.Thread(target=_end_with_input, daemon=True).start()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
