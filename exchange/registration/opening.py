"""How far an asset is opened, and on which conditions: declared, then narrowed by what is assessed, never widened. Pure.

An asset is closed until an assessment was kept, and again whenever one is refused. From then on its attribute is the
narrower one of what the department declared and of what grade and declarations allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast, get_args

from exchange.desensitization.grade import Opening
from exchange.errors import Unprocessable
from exchange.rulebook import Rulebook

OPENINGS: tuple[Opening, ...] = get_args(Opening)
"""From the widest to the narrowest."""

REASON_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Declared:
    """What a department says of an asset: how far it is to be opened, and for whom where that is on conditions.

    Without purposes any use will do; `qualified` asks for a qualification that was reviewed. Without either the condition
    is what holds for every sale: an organisation that was admitted, under the licence that it buys.
    """

    opening: Opening
    reason: str
    purposes: tuple[str, ...]
    qualified: bool


def narrowest(*openings: Opening) -> Opening:
    """The one that lets the fewest in."""
    return max(openings, key=OPENINGS.index)


def declared(
    opening: str | None, reason: str, purposes: tuple[str, ...], *, qualified: bool, rules: Rulebook
) -> Declared:
    """What is declared, by default as the market's model has it; to be opened wider than that takes a reason.

    Unprocessable, naming the field, for an attribute or a purpose that is none, and where the reason is missing.
    """
    usual = cast(Opening, rules.word("model.opening_default"))  # the rulebook is held to these three
    said = next((one for one in OPENINGS if one == (opening or usual)), None)
    if said is None:
        raise Unprocessable(
            "asset.opening",
            f"no opening attribute {opening!r}",
            field="opening",
            rule=f"one of {', '.join(OPENINGS)}",
            remedy="name one of them, or leave it out",
        )
    if len(reason) > REASON_CHARACTERS or (narrowest(said, usual) != said and not reason.strip()):
        raise Unprocessable(
            "asset.opening_reason",
            f"{said} is wider than {usual}, with a reason of {len(reason)} characters",
            field="opening_reason",
            rule=f"{usual} unless it is planned otherwise, with a reason of at most {REASON_CHARACTERS} characters "
            f"({rules.cite('asset.opening_reason')})",
            remedy=f"say why it is to be opened wider, or declare it {usual}",
        )
    known = rules.words("opening.purposes")
    if len(set(purposes)) != len(purposes) or not set(purposes) <= set(known):
        raise Unprocessable(
            "asset.purposes",
            ", ".join(purposes),
            field="purposes",
            rule=f"some of {', '.join(known)}, each once ({rules.cite('asset.purposes')})",
            remedy="name known purposes, or none where any will do",
        )
    return Declared(said, reason, purposes, qualified)
