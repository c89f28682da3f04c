"""Pictures of the console, drawn on the server as SVG with attributes alone; colours come from the console's tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import segno
from markupsafe import Markup
from starlette.requests import Request

from exchange.web.words import Words

_ROW: Final = 46
_WIDTH: Final = 420


def mark(request: Request, language: str, index: int | str) -> dict[str, str]:
    """What a printed paper leads to its proof by: the address at which the public log verifies its entry in the reader's
    browser, and the QR code of it (ISO/IEC 18004, error correction M).
    """
    address = f"{request.base_url}{language}/log?entry={index}#check"
    return {
        "address": address,
        "index": str(index),
        "picture": segno.make(address, error="m").svg_data_uri(scale=3, border=2),
    }


def money_flow(title: str, whole: tuple[str, str], parts: Sequence[tuple[str, str, int, str]]) -> Markup:
    """How one price is divided: a bar for the whole, and from it a band as wide as each part (label, amount, fen, kind).

    Parts of nothing are left out; what is said of each stands beside its band. Narrow enough to be read on a phone.
    """
    shown = [part for part in parts if part[2] > 0]
    total = sum(fen for _, _, fen, _ in shown) or 1
    tall = max(_ROW * len(shown), _ROW)
    left, right, top = 14.0, 120.0, 36.0
    at = top
    drawn = [
        f"<text class='flow-label' x='0' y='18'>{escape(whole[0])} <tspan class='flow-sum'>{escape(whole[1])}</tspan></text>",
        f"<rect class='flow-whole' x='0' y='{top:.0f}' width='{left:.0f}' height='{tall}'/>",
    ]
    for place, (label, amount, fen, kind) in enumerate(shown):
        wide = max(tall * fen / total, 1.5)
        middle = top + _ROW * place + _ROW / 2
        thick = min(wide, _ROW - 8)
        bend = (left + right) / 2
        drawn += [
            f"<path class='flow-{kind}' d='M{left:.0f} {at:.1f} C{bend:.0f} {at:.1f} {bend:.0f} {middle - thick / 2:.1f}"
            f" {right:.0f} {middle - thick / 2:.1f} V{middle + thick / 2:.1f} C{bend:.0f} {middle + thick / 2:.1f}"
            f" {bend:.0f} {at + wide:.1f} {left:.0f} {at + wide:.1f} Z'/>",
            f"<text class='flow-label' x='{right + 10:.0f}' y='{middle - 3:.1f}'>{escape(label)}</text>",
            f"<text class='flow-sum' x='{right + 10:.0f}' y='{middle + 16:.1f}'>{escape(amount)}</text>",
        ]
        at += tall * fen / total
    said = escape(title, quote=True)
    return Markup(  # noqa: S704  # every text in it is escaped above
        f"<svg class='flow' viewBox='0 0 {_WIDTH} {top + tall + 4:.0f}' role='img' aria-label='{said}'>{''.join(drawn)}</svg>"
    )


def division(t: Words, said: Mapping[str, int]) -> Markup:
    """Where a price goes (`price_fen`, `buyer_fee_fen`, `seller_fee_fen`, `tax_fen`); with `shares_fen` also what of it the
    operator's holders have, else the seller's side is one.
    """
    fee = said["buyer_fee_fen"] + said["seller_fee_fen"]
    rest = said["price_fen"] - said["seller_fee_fen"] - said["tax_fen"]
    if "shares_fen" in said:
        rows = [("department", rest - said["shares_fen"]), ("shares", said["shares_fen"])]
    else:
        rows = [("side", rest)]
    rows += [("tax", said["tax_fen"]), ("fee", fee)]
    return money_flow(
        t.named("flow", "title"),
        (t.named("flow", "paid"), t.yuan(said["price_fen"] + said["buyer_fee_fen"])),
        [(t.named("flow", kind), t.yuan(fen), fen, kind) for kind, fen in rows],
    )


_RADIUS: Final = 92
_MIDDLE: Final = (180, 132)


def radar(said: str, axes: Sequence[tuple[str, int | None]]) -> Markup:
    """Scores in parts per million around a middle, the first on top: what has none keeps its axis, dashed, and no point."""

    def at(place: int, share: float) -> tuple[float, float]:
        angle = 2 * math.pi * place / len(axes) - math.pi / 2
        return _MIDDLE[0] + share * _RADIUS * math.cos(angle), _MIDDLE[1] + share * _RADIUS * math.sin(angle)

    def outline(points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)

    drawn = [
        f"<polygon class='radar-ring' points='{outline([at(place, ring / 4) for place in range(len(axes))])}'/>"
        for ring in range(1, 5)
    ]
    dots = []
    for place, (label, ppm) in enumerate(axes):
        x, y = at(place, 1)
        drawn.append(
            f"<line class='{'radar-axis' if ppm is not None else 'radar-none'}' x1='{_MIDDLE[0]}' y1='{_MIDDLE[1]}'"
            f" x2='{x:.1f}' y2='{y:.1f}'/>"
        )
        x, y = at(place, 1.16)
        anchor = "middle" if abs(x - _MIDDLE[0]) < 1 else "start" if x > _MIDDLE[0] else "end"
        drawn.append(f"<text x='{x:.1f}' y='{y + 5:.1f}' text-anchor='{anchor}'>{escape(label)}</text>")
        if ppm is not None:
            dots.append(at(place, ppm / 1_000_000))
    drawn.append(f"<polygon class='radar-area' points='{outline(dots)}'/>")
    drawn += [f"<circle class='radar-dot' cx='{x:.1f}' cy='{y:.1f}' r='3.5'/>" for x, y in dots]
    named = escape(said, quote=True)
    return Markup(  # noqa: S704  # every text in it is escaped
        f"<svg class='radar' viewBox='0 0 {2 * _MIDDLE[0]} {2 * _MIDDLE[1]}' role='img' aria-label='{named}'>{''.join(drawn)}</svg>"
    )


def used_of(said: str, quota: int, used: int, settled: int) -> Markup:
    """A quota as a bar: what of it was charged by a statement, what was used since, and the rest."""
    charged, open_ = 1000 * settled / quota, 1000 * (used - settled) / quota
    return Markup(  # noqa: S704  # the one text in it is escaped
        f"<svg class='quota' viewBox='0 0 1000 16' preserveAspectRatio='none' role='img' aria-label='{escape(said, quote=True)}'>"
        "<rect class='quota-rest' width='1000' height='16'/>"
        f"<rect class='quota-charged' width='{charged:.1f}' height='16'/>"
        f"<rect class='quota-open' x='{charged:.1f}' width='{open_:.1f}' height='16'/></svg>"
    )


_BOX: Final = (196, 40)
_COLUMNS: Final = (4, 262, 520)
_LETTERS: Final = 22
"""Half-width letters of a title that its box has room for; a Chinese character takes two."""


@dataclass(frozen=True, slots=True)
class Kin:
    """An asset in a picture of descent: what it is called, how it is related, and the path of its page."""

    title: str
    relation: str
    path: str


def descent(said: str, title: str, parents: Sequence[Kin], children: Sequence[Kin]) -> Markup:
    """What an asset was made of, to its left, and what was made of it, to its right; each leads to its page."""
    rows = max(len(parents), len(children), 1)
    height = rows * _ROW + 12
    wide = _BOX[0]
    middle = height / 2
    drawn = [_box(_COLUMNS[1], middle, Kin(title, "", ""))]
    for column, kin in ((0, parents), (2, children)):
        for place, one in enumerate(kin):
            y = middle + (place - (len(kin) - 1) / 2) * _ROW
            start, end = (
                (_COLUMNS[0] + wide, _COLUMNS[1]) if column == 0 else (_COLUMNS[1] + wide, _COLUMNS[2])
            )
            from_y, to_y = (y, middle) if column == 0 else (middle, y)
            bend = (start + end) / 2
            drawn += [
                f"<path class='kin-line' d='M{start} {from_y:.1f} C{bend:.0f} {from_y:.1f} {bend:.0f} {to_y:.1f} {end} {to_y:.1f}'/>",
                _box(_COLUMNS[column], y, one),
            ]
    named = escape(said, quote=True)
    return Markup(  # noqa: S704  # every text in it is escaped
        f"<svg class='kin' viewBox='0 0 {_COLUMNS[2] + wide + 4} {height}' role='group' aria-label='{named}'>{''.join(drawn)}</svg>"
    )


def _box(x: int, middle: float, one: Kin) -> str:
    wide, tall = _BOX
    itself = not one.path
    lines = [
        f"<rect class='{'kin-self' if itself else 'kin-box'}' x='{x}' y='{middle - tall / 2:.1f}' width='{wide}'"
        f" height='{tall}' rx='4'/>",
        f"<text class='kin-title' x='{x + 10}' y='{middle + (5 if itself else -2):.1f}'>{escape(_short(one.title))}</text>",
    ]
    if itself:
        return "".join(lines)
    lines.append(
        f"<text class='kin-relation' x='{x + 10}' y='{middle + 14:.1f}'>{escape(one.relation)}</text>"
    )
    whole = f"<title>{escape(one.title)}</title>"
    return f"<a href='{escape(one.path, quote=True)}'>{whole}{''.join(lines)}</a>"


def _short(title: str) -> str:
    room = 0
    for place, letter in enumerate(title):
        room += 1 if letter < "\u2e80" else 2
        if room > _LETTERS:
            return f"{title[:place]}…"
    return title
