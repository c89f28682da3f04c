"""What a sandbox's registrar does: two of its people lead applications to their public notice, whose end the clock brings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from exchange.client import Exchange
from exchange.errors import Unavailable

CONCLUDED_WITHIN_S = 30.0
LOOK_S = 0.05


class Registrar(NamedTuple):
    """The two people without whom nothing is registered."""

    clerk: Exchange
    reviewer: Exchange


def registered(
    applications: Sequence[tuple[Exchange, str]], registrar: Registrar, move_to: Callable[[int], object]
) -> list[str]:
    """Have assets registered by the whole procedure, each for its applicant; returns their codes. Their notices run together."""
    names, ends_us = [], 0
    for applicant, asset in applications:
        name = applicant.apply(asset).outcome["application"]
        registrar.clerk.accept(name)
        ends_us = max(ends_us, int(registrar.reviewer.review(name).outcome["ends_us"]))
        names.append(name)
    concluded(names, ends_us, registrar, move_to)
    return [applicant.asset(asset).asset.code or "" for applicant, asset in applications]


def concluded(
    names: Sequence[str], ends_us: int, registrar: Registrar, move_to: Callable[[int], object]
) -> None:
    """Let the sandbox's time pass to the end of the notices, as many working days on as the rulebook says, and wait for
    what they announce; Unavailable where it does not come.
    """
    move_to(ends_us)
    deadline = time.monotonic() + CONCLUDED_WITHIN_S
    while any(registrar.clerk.application(name).state != "concluded" for name in names):
        if time.monotonic() > deadline:
            raise Unavailable(
                "sandbox.registration",
                "the notices have ended and there is no code",
                remedy="see what the exchange says in its own log",
            )
        time.sleep(LOOK_S)


def clock_of(administrator: Exchange) -> Callable[[int], None]:
    """Moves a sandbox's clock forward to a moment; nothing where that has passed."""

    def move_to(time_us: int) -> None:
        left_us = time_us - administrator.market().now_us
        if left_us > 0:
            administrator.move_clock(left_us)

    return move_to
