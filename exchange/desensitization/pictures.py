"""The pictures of a report, as SVG inside the page: bars before and after, loss by column, loss against risk."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 760
_LABEL: Final = 210
_VALUE: Final = 96
_BAR: Final = _WIDTH - _LABEL - _VALUE


@dataclass(frozen=True, slots=True)
class Pair:
    """A share before and after, in parts per million; `note` says the two in words."""

    label: str
    before_ppm: int
    after_ppm: int


@dataclass(frozen=True, slots=True)
class Bar:
    """One column's loss, in parts per million, and what is done to it; a `gone` one was removed."""

    label: str
    what: str
    loss_ppm: int
    gone: bool


@dataclass(frozen=True, slots=True)
class Point:
    """One candidate: its mean risk in parts per million, its loss, and what is said of it at length."""

    risk_ppm: int
    loss: float
    label: str
    title: str
    efficient: bool
    chosen: bool


def percent(ppm: str | int) -> str:
    """Parts per million as percent, exactly: `31000` is `3.1 %`."""
    whole, rest = divmod(int(ppm), 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + " %"


def before_and_after(pairs: Sequence[Pair], title: str, before: str, after: str) -> str:
    """Two bars a risk on one scale from nothing to all."""
    step, top = 54, 30
    parts = [
        _key(_LABEL, 12, "before", before),
        _key(_LABEL + 30 + 13 * _units(before) / 1.7, 12, "after", after),
        *_scale(top, top + step * len(pairs) - 8),
    ]
    for row, pair in enumerate(pairs):
        y = top + row * step
        parts.append(_text(_LABEL - 12, y + 26, short(pair.label, 30), "label", "end", pair.label))
        for place, (kind, ppm) in enumerate((("before", pair.before_ppm), ("after", pair.after_ppm))):
            width = max(_BAR * ppm / 1_000_000, 1.5)
            parts.append(
                f"<rect class='{kind}' x='{_LABEL}' y='{y + 4 + 18 * place}' width='{width:.1f}' height='14' rx='2'/>"
            )
            parts.append(_text(_LABEL + width + 7, y + 15 + 18 * place, _brief(ppm), f"value {kind}-ink"))
    return _svg(top + step * len(pairs) + 14, title, parts)


def loss_by_column(bars: Sequence[Bar], title: str) -> str:
    """One bar a column, with what is done to it."""
    step, top = 34, 6
    parts = _scale(top, top + step * len(bars) - 4)
    for row, bar in enumerate(bars):
        y = top + row * step
        width = max(_BAR * bar.loss_ppm / 1_000_000, 1.5)
        parts.append(_text(_LABEL - 12, y + 14, short(bar.label, 26), "label", "end", bar.label))
        parts.append(_text(_LABEL - 12, y + 27, short(bar.what, 36), "small", "end", bar.what))
        kind = "gone" if bar.gone else "loss"
        parts.append(
            f"<rect class='{kind}' x='{_LABEL}' y='{y + 6}' width='{width:.1f}' height='17' rx='2'/>"
        )
        parts.append(_text(_LABEL + width + 7, y + 19, _brief(bar.loss_ppm), "value"))
    return _svg(top + step * len(bars) + 18, title, parts)


def loss_against_risk(points: Sequence[Point], title: str, risk: str, loss: str) -> str:
    """Candidates by mean risk (to the right more, by powers of ten) and loss (upwards more), the efficient ones joined."""
    left, right, top, bottom = 78, _WIDTH - 24, 34, 316
    seen = [max(point.risk_ppm, 1) for point in points]
    low, high = math.floor(math.log10(min(seen))), math.ceil(math.log10(max(seen)))
    high = max(high, low + 1)
    most = _round_up(max(point.loss for point in points)) or 1.0

    def x(ppm: float) -> float:
        return left + (right - left) * (math.log10(max(ppm, 1)) - low) / (high - low)

    def y(value: float) -> float:
        return bottom - (bottom - top) * value / most

    parts = []
    for power in range(low, high + 1):
        parts.append(_line(x(10**power), top, x(10**power), bottom))
        parts.append(_text(x(10**power), bottom + 18, percent(10**power), "small", "middle"))
    for quarter in range(5):
        value = most * quarter / 4
        parts.append(_line(left, y(value), right, y(value)))
        parts.append(_text(left - 8, y(value) + 4, f"{value:.4g}", "small", "end"))
    parts.append(_text(left, top - 16, f"↑ {loss}", "axis"))
    parts.append(_text(right, bottom + 40, f"{risk} →", "axis", "end"))
    best = sorted((point for point in points if point.efficient), key=lambda point: point.risk_ppm)
    way = " ".join(f"{x(point.risk_ppm):.1f},{y(point.loss):.1f}" for point in best)
    parts.append(f"<polyline class='way' points='{way}'/>")
    # Candidates that come to the same are one point; a label covers neither a point nor another label.
    spots: dict[tuple[float, float], list[Point]] = {}
    for point in sorted(points, key=lambda point: (not point.chosen, not point.efficient)):
        spots.setdefault((round(x(point.risk_ppm), 1), round(y(point.loss), 1)), []).append(point)
    boxes = [(at[0] - 7, at[1] - 7, at[0] + 7, at[1] + 7) for at in spots]
    for at, here in spots.items():
        first = here[0]
        kind = "best" if first.efficient else "other"
        title_of = escape("\n".join(point.title for point in here))
        ring = f"<circle class='ring' cx='{at[0]}' cy='{at[1]}' r='10'/>" if first.chosen else ""
        parts.append(
            f"<g><title>{title_of}</title>{ring}<circle class='{kind}' cx='{at[0]}' cy='{at[1]}' r='5.5'/></g>"
        )
        if first.chosen or first.efficient:
            parts += _placed(first, at, boxes, left, right)
    return _svg(bottom + 50, title, parts)


def short(text: str, units: int) -> str:
    """A text cut to so many half-widths, a Chinese character taking two."""
    if _units(text) <= units:
        return text
    cut = text
    while _units(cut) > units - 1:
        cut = cut[:-1]
    return f"{cut}…"


def _units(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


Box = tuple[float, float, float, float]


def _placed(point: Point, at: tuple[float, float], boxes: list[Box], left: float, right: float) -> list[str]:
    """The point's label beside it where there is room, or none."""
    width = 7.2 * _units(point.label)
    beside = ((12, -8), (12, 16), (-12 - width, 18), (-12 - width, -8), (-width / 2, -14), (-width / 2, 24))
    for away, down in beside:
        x, y = at[0] + away, at[1] + down
        box = (x, y - 12, x + width, y + 3)
        clear = all(
            box[2] < other[0] or other[2] < box[0] or box[3] < other[1] or other[3] < box[1]
            for other in boxes
        )
        if clear and left < box[0] and box[2] <= right + 20:
            boxes.append(box)
            return [_text(x, y, point.label, "label strong" if point.chosen else "label")]
    return []


def _scale(top: float, bottom: float) -> list[str]:
    parts = []
    for quarter in range(5):
        x = _LABEL + _BAR * quarter / 4
        parts.append(_line(x, top, x, bottom))
        parts.append(_text(x, bottom + 15, f"{25 * quarter} %", "small", "middle"))
    return parts


def _round_up(value: float) -> float:
    """The next 1, 2, 2.5, 4, 5, 6, 8 or 10 times a power of ten."""
    if value <= 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return float(
        next(digit * power for digit in (1, 2, 2.5, 4, 5, 6, 8, 10) if digit * power >= value * (1 - 1e-12))
    )


def _brief(ppm: int) -> str:
    """A share to three digits, which a bar does not show better."""
    share = ppm / 10_000
    if share == 0:
        return "0 %"
    if share < 0.01:
        return "< 0.01 %"
    return f"{share:.3g} %" if share < 100 else "100 %"


def _key(x: float, y: float, kind: str, said: str) -> str:
    return f"<rect class='{kind}' x='{x:.1f}' y='{y - 10}' width='12' height='12' rx='2'/>{_text(x + 18, y, said, 'label')}"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f"<line class='grid' x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}'/>"


def _text(x: float, y: float, said: str, kind: str, anchor: str = "start", whole: str = "") -> str:
    title = f"<title>{escape(whole)}</title>" if whole and whole != said else ""
    return f"<text class='{kind}' x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'>{title}{escape(said)}</text>"


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f"<svg viewBox='0 0 {_WIDTH} {height:.0f}' role='img' aria-label='{escape(title, quote=True)}'>"
        f"{''.join(parts)}</svg>"
    )
