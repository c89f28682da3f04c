"""What an administrator sends about a drill that was held."""

from __future__ import annotations

from typing import Literal

from exchange.messages.shapes import Digest, Identifier, Message, Whole

Cause = Literal["power", "surge", "attack", "unforeseen"]
"""The four causes that an operator plans for."""


class DrillMessage(Message):
    """One drill, as its report has it; `report` is the SHA-256 of that report."""

    case: Identifier
    cause: Cause
    kept: bool
    began_us: Whole
    ended_us: Whole
    acknowledged: Whole
    lost: Whole
    ghosts: Whole
    outage_ms: Whole
    report: Digest
