"""Named crash points: unknown names are refused, and only the armed passage kills."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from exchange.crash import CrashPoint, arm, reach
from exchange.errors import Misconfigured


@pytest.mark.parametrize(
    "setting", ["", "gate", "gate.nowhere", "gate.decided:0", "gate.decided:-1", "gate.decided:x"]
)
def test_a_point_that_does_not_exist_is_refused_with_those_that_do(setting: str) -> None:
    with pytest.raises(Misconfigured) as unknown:
        arm(setting)
    assert unknown.value.field == "EXCHANGE_CRASH_AT"
    for name in get_args(CrashPoint):
        assert name in str(unknown.value.remedy)


def test_nothing_happens_where_nothing_is_armed() -> None:
    for name in get_args(CrashPoint):
        reach(name)


@pytest.mark.parametrize(("setting", "passages"), [("gate.decided", 0), ("gate.decided:3", 2)])
def test_the_armed_passage_kills_as_kill_9_does(setting: str, passages: int) -> None:
    code = (
        "from exchange.crash import arm, reach\n"
        f"arm({setting!r})\n"
        "for n in range(5):\n"
        "    reach('gate.after_head')\n"
        "    reach('gate.decided')\n"
        "    print(n, flush=True)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert child.returncode == -9, child.stderr
    assert child.stdout.split() == [str(n) for n in range(passages)]
