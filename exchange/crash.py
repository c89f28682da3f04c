"""Named points at which a drill may kill the process, so that every step of a write is seen to fail once."""

from __future__ import annotations

import os
import signal
from typing import Literal, get_args

from exchange.errors import Misconfigured

CrashPoint = Literal[
    "gate.before_head",
    "gate.after_head",
    "gate.decided",
    "gate.before_commit",
    "gate.after_commit",
    "gate.before_answer",
    "worker.before_close",
    "worker.before_settle",
    "worker.before_default",
    "worker.before_cancel",
    "worker.before_divide",
    "worker.before_release",
    "worker.before_anchor",
    "worker.after_anchor",
    "recall.before_commit",
]

_armed: dict[str, int] = {}


def arm(setting: str) -> None:
    """Arm one point: `NAME` kills at the first passage, `NAME:7` at the seventh. For drills alone."""
    name, _, count = setting.partition(":")
    if name not in get_args(CrashPoint) or not (count or "1").isdecimal() or int(count or "1") < 1:
        raise Misconfigured(
            "setting.crash_at",
            f"no crash point {setting!r}",
            field="EXCHANGE_CRASH_AT",
            rule="NAME or NAME:COUNT",
            remedy=f"use one of {', '.join(get_args(CrashPoint))}",
        )
    _armed[name] = int(count or "1")


def reach(point: CrashPoint) -> None:
    """End this process as `kill -9` would, where the point is armed and its count is reached."""
    if not _armed:
        return
    left = _armed.get(point)
    if left is None:
        return
    _armed[point] = left - 1
    if left == 1:
        os.kill(os.getpid(), signal.SIGKILL)
