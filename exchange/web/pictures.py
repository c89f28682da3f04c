"""Pictures of the console, drawn on the server as SVG with attributes alone; colours come from the console's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

import segno
from markupsafe import Markup
from starlette.requests import Request

_ROW: Final = 46
_WIDTH: Final = 640


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

    Parts of nothing are left out; what is said of each stands beside its band.
    """
    shown = [part for part in parts if part[2] > 0]
    total = sum(fen for _, _, fen, _ in shown) or 1
    height = max(_ROW * len(shown), _ROW) + 16
    left, right, at = 150.0, 330.0, 8.0
    drawn = [
        f"<rect class='flow-whole' x='{left - 14:.0f}' y='8' width='14' height='{height - 16}'/>",
        f"<text class='flow-label' x='{left - 24:.0f}' y='{height / 2 - 4:.0f}' text-anchor='end'>{escape(whole[0])}</text>",
        f"<text class='flow-sum' x='{left - 24:.0f}' y='{height / 2 + 15:.0f}' text-anchor='end'>{escape(whole[1])}</text>",
    ]
    for place, (label, amount, fen, kind) in enumerate(shown):
        tall = (height - 16) * fen / total
        middle = 8 + _ROW * place + (height - 16 - _ROW * len(shown)) / 2 + _ROW / 2
        thick = min(max(tall, 1.5), _ROW - 8)
        bend = (left + right) / 2
        drawn += [
            f"<path class='flow-{kind}' d='M{left:.0f} {at:.1f} C{bend:.0f} {at:.1f} {bend:.0f} {middle - thick / 2:.1f}"
            f" {right:.0f} {middle - thick / 2:.1f} V{middle + thick / 2:.1f} C{bend:.0f} {middle + thick / 2:.1f}"
            f" {bend:.0f} {at + max(tall, 1.5):.1f} {left:.0f} {at + max(tall, 1.5):.1f} Z'/>",
            f"<text class='flow-label' x='{right + 10:.0f}' y='{middle - 3:.1f}'>{escape(label)}</text>",
            f"<text class='flow-sum' x='{right + 10:.0f}' y='{middle + 15:.1f}'>{escape(amount)}</text>",
        ]
        at += tall
    said = escape(title, quote=True)
    return Markup(  # noqa: S704  # every text in it is escaped above
        f"<svg class='flow' viewBox='0 0 {_WIDTH} {height}' role='img' aria-label='{said}'>{''.join(drawn)}</svg>"
    )
