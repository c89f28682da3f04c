"""Pictures of a report as SVG: the tornado of what moves the value, and the distribution of its range.

One file without script, font or link, so that it can lie beside the report for as long as the report.
"""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape

from pricing.appraisal.report import Report
from pricing.appraisal.words import figure_words, swing_bounds
from pricing.errors import AppraisalError
from pricing.money import Language, fen_in_words
from pricing.monte_carlo import Spread

BARS_MOST: Final = 20
"""The widest figures; what comes after them moves little."""

_WIDTH: Final = 960
_LEFT: Final = 360
_RIGHT: Final = 60
_ROW: Final = 40
_FONT: Final = (
    "font-family='system-ui, &quot;Noto Sans CJK SC&quot;, &quot;Microsoft YaHei&quot;, sans-serif'"
)
_LOW, _HIGH, _INK, _FAINT = "#c2702f", "#1f6f8b", "#1b1f24", "#8a929c"


def tornado(report: Report, language: Language) -> str:
    """A bar for each uncertain figure from the value at its low bound to that at its high one, the widest on top."""
    _require_range(report)
    zh = language == "zh"
    swings = report.sensitivity[:BARS_MOST]
    approaches = {each.approach.approach: each.approach for each in report.valued}
    ends = [report.value_fen, *(each.at_low_fen for each in swings), *(each.at_high_fen for each in swings)]
    least, most = min(ends), max(ends)
    height = 110 + _ROW * len(swings) + 40

    def x(fen: int) -> int:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (fen - least) // max(most - least, 1)

    title = "敏感性:各参数单独变动时的评估价值" if zh else "Sensitivity: the value when one figure moves"
    parts = [_text(24, 36, title, size=20, weight=600)]
    centre = x(report.value_fen)
    low_words, high_words = ("取下限", "取上限") if zh else ("at the low bound", "at the high bound")
    for left, colour, said in ((24, _LOW, low_words), (190, _HIGH, high_words)):
        parts.append(_box(left, 54, 14, 14, colour))
        parts.append(_text(left + 20, 66, said, size=13))
    for row, swing in enumerate(swings):
        top = 92 + _ROW * row
        name = figure_words(swing.parameter, approaches, language)
        parts.append(_text(_LEFT - 14, top + 13, _short(name, 46), size=13, anchor="end"))
        bounds = _short(swing_bounds(swing, language), 58)
        parts.append(_text(_LEFT - 14, top + 28, bounds, size=11, anchor="end", colour=_FAINT))
        for fen, colour in ((swing.at_low_fen, _LOW), (swing.at_high_fen, _HIGH)):
            start, end = sorted((x(fen), centre))
            parts.append(_box(start, top + 4, max(end - start, 1), 22, colour))
    bottom = height - 40
    parts.append(_line(centre, 84, centre, bottom))
    parts += _axis(least, most, report.value_fen, centre, bottom + 24, language)
    return _svg(height, title, parts)


def distribution(report: Report, language: Language) -> str:
    """The drawn values in forty bins, with P5, P50 and P95, and the stated value as a line."""
    spread = _require_range(report)
    zh = language == "zh"
    height, top, bottom, left = 440, 110, 360, 60
    title = (
        f"评估价值的分布({spread.draws:,} 次抽样)"
        if zh
        else f"Distribution of the value ({spread.draws:,} draws)"
    )
    parts = [_text(24, 36, title, size=20, weight=600)]
    width = _WIDTH - left - _RIGHT
    least, span = spread.least_fen, spread.bin_fen * len(spread.bins)

    def x(fen: int) -> int:
        return left + width * (fen - least) // span

    tallest = max(spread.bins)
    for i, count in enumerate(spread.bins):
        start, end = left + width * i // len(spread.bins), left + width * (i + 1) // len(spread.bins)
        tall = (bottom - top) * count // tallest
        within = spread.p5_fen <= least + spread.bin_fen * i + spread.bin_fen // 2 <= spread.p95_fen
        parts.append(
            _box(start, bottom - tall, max(end - start - 1, 1), tall, _HIGH if within else "#b9cdd6")
        )
    parts.append(_line(left, bottom, left + width, bottom))
    for name, fen, height_of_name in (
        ("P5", spread.p5_fen, 84),
        ("P50", spread.p50_fen, 64),
        ("P95", spread.p95_fen, 84),
    ):
        parts.append(_line(x(fen), height_of_name + 6, x(fen), bottom))
        parts.append(
            _text(x(fen), height_of_name, f"{name} {fen_in_words(fen, language)}", size=13, anchor="middle")
        )
    stated = min(max(x(report.value_fen), left), left + width)
    parts.append(_line(stated, top, stated, bottom + 8, colour=_LOW))
    said = fen_in_words(report.value_fen, language)
    label = f"评估结论 {said}" if zh else f"value {said}"
    parts.append(_text(stated, bottom + 26, label, size=13, anchor="middle", colour=_LOW, weight=600))
    for fen, anchor, at in ((least, "start", left), (spread.most_fen, "end", left + width)):
        said = fen_in_words(fen, language)
        parts.append(_text(at, bottom + 52, said, size=11, anchor=anchor, colour=_FAINT))
    return _svg(height, title, parts)


def _require_range(report: Report) -> Spread:
    if report.spread is None:
        raise AppraisalError(
            field="uncertain",
            rule="without uncertain figures there is no range to draw",
            remedy="say which figures may lie elsewhere, and between which bounds",
        )
    return report.spread


def _axis(least: int, most: int, value: int, centre: int, y: int, language: Language) -> list[str]:
    """Both ends and the stated value, which yields nothing to an end that is close to it."""
    parts = [
        _text(centre, y, fen_in_words(value, language), size=13, anchor="middle", weight=600),
    ]
    for fen, anchor, at in ((least, "start", _LEFT), (most, "end", _WIDTH - _RIGHT)):
        if abs(at - centre) > 190:
            parts.append(_text(at, y, fen_in_words(fen, language), size=11, anchor=anchor, colour=_FAINT))
    return parts


def _short(text: str, most: int) -> str:
    """A label cut to the room it has; a Chinese sign takes the room of two."""
    room = 0
    for position, sign in enumerate(text):
        room += 2 if ord(sign) > 0x2E7F else 1
        if room > most:
            return text[: position - 1] + "…"
    return text


def _text(
    x: int,
    y: int,
    text: str,
    *,
    size: int,
    anchor: str = "start",
    colour: str = _INK,
    weight: int = 400,
) -> str:
    return (
        f"<text x='{x}' y='{y}' font-size='{size}' text-anchor='{anchor}' fill='{colour}' "
        f"font-weight='{weight}'>{escape(text)}</text>"
    )


def _box(x: int, y: int, width: int, height: int, colour: str) -> str:
    return f"<rect x='{x}' y='{y}' width='{width}' height='{height}' fill='{colour}'/>"


def _line(x1: int, y1: int, x2: int, y2: int, *, colour: str = _INK) -> str:
    return f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' stroke='{colour}'/>"


def _svg(height: int, title: str, parts: list[str]) -> str:
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' width='{_WIDTH}' "
            f"height='{height}' role='img' {_FONT}>",
            f"<title>{escape(title)}</title>",
            f"<rect width='{_WIDTH}' height='{height}' fill='#ffffff'/>",
            *parts,
            "</svg>\n",
        ]
    )
