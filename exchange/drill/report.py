"""What came of a drill: figures, judgement and timeline, as JSON and as one page in both languages that needs nothing else."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

import orjson

from exchange.drill.cases import Case
from exchange.drill.load import BIN_S
from exchange.drill.promises import Promises
from exchange.drill.scene import Say
from exchange.drill.stage import Language, Mark, Outage, Stage, Words, words

_W: Final = 960
_LEFT: Final = 62
_TOP: Final = 18
_PLOT: Final = 150
_COLOURS: Final = {"fault": "#b3261e", "detected": "#8a5a00", "recovered": "#1b6e3c", "note": "#5b6470"}
_WAIT, _ACTS, _INK, _FAINT = "#c2702f", "#1f6f8b", "#1b1f24", "#8a929c"

FIGURES: Final[dict[str, Words]] = {
    "kills": words("终止次数", "kills"),
    "answers_struck": words("受损应答", "answers struck"),
    "anchors": words("锚定数", "anchors"),
    "anchors_taken_back": words("被收回后补上的锚定", "anchors taken back and put again"),
    "gas_of_an_anchor": words("每次锚定燃料(gas)", "gas of an anchor"),
    "capacity_per_s": words("容量(笔/秒)", "capacity, acts a second"),
    "offered_per_s": words("涌入(笔/秒)", "offered, acts a second"),
    "goodput_per_s": words("有效吞吐(笔/秒)", "goodput, acts a second"),
    "goodput_ratio": words("有效吞吐/容量", "goodput of the capacity"),
    "p99_before_ms": words("此前 p99(毫秒)", "p99 before, ms"),
    "p99_during_ms": words("期间 p99(毫秒)", "p99 during, ms"),
    "back_to_normal_s": words("恢复正常(秒)", "back to normal, s"),
    "closed_late_us": words("截止迟于规定(微秒)", "closed late by, µs"),
    "settled_late_us": words("结算迟于截止(微秒)", "settled after the close, µs"),
    "recovered_after_room_ms": words("腾出空间后恢复(毫秒)", "recovered after room was made, ms"),
    "answered_503": words("503 应答", "answers of 503"),
    "restored_in_ms": words("恢复用时(毫秒)", "restored in, ms"),
    "restored_to_a_second_in_ms": words("恢复到指定时刻用时(毫秒)", "restored to a moment in, ms"),
    "entries_at_the_second": words("该时刻的条目数", "entries at that moment"),
    "found_by_client_ms": words("客户端发现用时(毫秒)", "found by a client in, ms"),
    "found_by_witness_ms": words("见证人发现用时(毫秒)", "found by the witness in, ms"),
    "found_by_audit_ms": words("审计发现用时(毫秒)", "found by an audit in, ms"),
    "found_by_audit_of_rows_ms": words("审计发现行改动用时(毫秒)", "an edited row found by an audit in, ms"),
}
"""What a case measures besides; a figure that is not named here is shown by its own name."""

_HEADS: Final = {
    "title": words("灾难恢复演练报告", "Report of a drill"),
    "kept": words("承诺得到遵守", "Every promise was kept"),
    "broken": words("承诺未得到遵守", "Not every promise was kept"),
    "does": words("演练内容", "What was done"),
    "promise": words("承诺", "What was promised"),
    "timeline": words("时间线:每秒确认的请求与等待时间", "Timeline: acts acknowledged a second, and how long they waited"),
    "acts": words("已确认/秒", "acknowledged a second"),
    "wait": words("p99 等待", "p99 wait"),
    "moments": words("经过", "What happened"),
    "figures": words("测得", "What was measured"),
    "acknowledged": words("已确认的请求", "acts acknowledged"),
    "lost": words("其中丢失", "of them lost"),
    "ghosts": words("无人请求却出现的条目", "entries that nobody asked for"),
    "unknown": words("未得到应答的请求", "acts without an answer"),
    "took_effect": words("其中查明已生效", "of them found to have taken effect"),
    "unresolved": words("其中未能查明", "of them not settled by a lookup"),
    "outage": words("最长中断(毫秒)", "longest outage, ms"),
    "objective": words("恢复时间目标", "Recovery time objective"),
    "complaints": words("未遵守之处", "What did not hold"),
    "machine": words("机器", "Machine"),
    "none": words("无", "none"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """One drill that was held, as its stage left it; times of day in microseconds since the epoch."""

    case: Case
    began_us: int
    ended_us: int
    clients: int
    marks: tuple[Mark, ...]
    outages: tuple[Outage, ...]
    bins: tuple[dict[str, Any], ...]
    figures: dict[str, int | float | str]
    complaints: tuple[Words, ...]
    promises: Promises | None

    @property
    def outage_ms(self) -> int:
        """The longest time from a fault to the next acknowledged act; 0 where there was none."""
        return max((outage.recovery_ms for outage in self.outages), default=0)

    @property
    def kept(self) -> bool:
        """Whether all that was promised for the case held."""
        in_time = not self.case.recovery_ms or self.outage_ms <= self.case.recovery_ms
        return self.promises is not None and self.promises.kept and not self.complaints and in_time

    def to_json(self) -> bytes:
        """All of it as canonical JSON, numbers as measured."""
        return orjson.dumps(
            {
                "case": self.case.name,
                "cause": self.case.cause,
                "does": dict(self.case.does),
                "promise": dict(self.case.promise),
                "recovery_objective_ms": self.case.recovery_ms,
                "kept": self.kept,
                "began_us": str(self.began_us),
                "ended_us": str(self.ended_us),
                "clients": self.clients,
                "machine": machine(),
                "promises": None if self.promises is None else asdict(self.promises),
                "outage_ms": self.outage_ms,
                "outages": [asdict(outage) for outage in self.outages],
                "figures": self.figures,
                "complaints": [dict(one) for one in self.complaints],
                "marks": [{"kind": m.kind, "at_s": round(m.at_s, 3), "words": dict(m.words)} for m in self.marks],
                "bins": list(self.bins),
            },
            option=orjson.OPT_SORT_KEYS,
        )  # fmt: skip

    def digest(self) -> str:
        """SHA-256 of the JSON, hexadecimal: what the entry of the log names."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def html(self) -> str:
        """The page: Chinese, then English; no script, font or link."""
        parts = [self._section(language) for language in ("zh", "en")]
        title = f"{_HEADS['title']['zh']} · {self.case.name}"
        return (
            f"<!doctype html><html lang='zh'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
            f"<title>{escape(title)}</title><style>{_STYLE}</style>{''.join(parts)}"
            f"<footer><code>sha256 {self.digest()}</code></footer></html>\n"
        )

    def _section(self, language: Language) -> str:
        def head(name: str) -> str:
            return escape(_HEADS[name][language])

        verdict = "kept" if self.kept else "broken"
        rows = [(_HEADS[name][language], value) for name, value in self._judgement()]
        rows += [
            (
                FIGURES.get(name, words(name, name))[language],
                f"{value:,}" if isinstance(value, int | float) else value,
            )
            for name, value in self.figures.items()
        ]
        measured = "".join(f"<tr><th>{escape(name)}<td>{escape(str(value))}" for name, value in rows)
        moments = "".join(
            f"<tr class='{mark.kind}'><td class='n'>{mark.at_s:.1f} s<td>{escape(mark.words[language])}"
            for mark in self.marks
        )
        wrong = [complaint[language] for complaint in self.complaints]
        wrong += [] if self.promises is None else list(self.promises.faults)
        complaints = "".join(f"<li>{escape(one)}" for one in wrong)
        objective = f"{self.case.recovery_ms:,} ms" if self.case.recovery_ms else head("none")
        return f"""
<section lang="{language}">
<h1>{head("title")} <small>{escape(self.case.name)}</small></h1>
<p class="verdict {verdict}">{head(verdict)}</p>
<dl><dt>{head("does")}<dd>{escape(self.case.does[language])}
<dt>{head("promise")}<dd>{escape(self.case.promise[language])}
<dt>{head("objective")}<dd>{objective}
<dt>{head("machine")}<dd>{escape(machine())}</dl>
<h2>{head("timeline")}</h2>{self.timeline(language)}
<div class="two"><div><h2>{head("figures")}</h2><table>{measured}</table></div>
<div><h2>{head("moments")}</h2><table>{moments}</table></div></div>
{f"<h2>{head('complaints')}</h2><ul>{complaints}</ul>" if complaints else ""}
</section>"""

    def _judgement(self) -> list[tuple[str, str]]:
        judged = self.promises
        if judged is None:
            return [("outage", f"{self.outage_ms:,}")]
        names = ("acknowledged", "lost", "ghosts", "unknown", "took_effect", "unresolved")
        return [*((name, f"{getattr(judged, name):,}") for name in names), ("outage", f"{self.outage_ms:,}")]

    def timeline(self, language: Language) -> str:
        """The picture: acts a second as bars, the wait as a line, faults and what followed as marks."""
        span = max(len(self.bins) * BIN_S, *(mark.at_s for mark in self.marks), 1.0)
        step_s = 1.0 if span > 30 else 2 * BIN_S
        steps = _steps(self.bins, step_s)
        most = max((rate for rate, _ in steps), default=0) or 1
        longest = max((wait for _, wait in steps), default=0.0) or 1.0

        def x(at_s: float) -> float:
            return _LEFT + (_W - _LEFT - 70) * at_s / span

        bottom = _TOP + _PLOT
        parts = []
        for outage in self.outages:
            left, right = x(outage.from_s), x(outage.to_s)
            parts.append(
                f"<rect x='{left:.1f}' y='{_TOP}' width='{max(right - left, 1):.1f}' height='{_PLOT}' fill='#b3261e' opacity='.12'/>"
            )
        width = max(x(step_s) - x(0.0) - 0.5, 0.6)
        for n, (rate, _) in enumerate(steps):
            height = _PLOT * rate / most
            parts.append(
                f"<rect x='{x(n * step_s):.1f}' y='{bottom - height:.1f}' width='{width:.1f}' height='{height:.1f}' fill='{_ACTS}' opacity='.75'/>"
            )
        points = " ".join(
            f"{x((n + 0.5) * step_s):.1f},{bottom - _PLOT * wait / longest:.1f}"
            for n, (rate, wait) in enumerate(steps)
            if rate
        )
        parts.append(f"<polyline points='{points}' fill='none' stroke='{_WAIT}' stroke-width='1.5'/>")
        parts.append(f"<line x1='{_LEFT}' y1='{bottom}' x2='{_W - 70}' y2='{bottom}' stroke='{_INK}'/>")
        for at_s in _ticks(span):
            parts.append(_text(x(at_s), bottom + 16, f"{at_s:g} s", anchor="middle", colour=_FAINT))
        parts.append(_text(_LEFT - 8, _TOP + 10, f"{most:,}", anchor="end", colour=_ACTS))
        parts.append(_text(_LEFT - 8, bottom, "0", anchor="end", colour=_ACTS))
        parts.append(_text(_W - 62, _TOP + 10, f"{longest:,.0f} ms", colour=_WAIT))
        shown = self.marks if len(self.marks) <= 12 else [m for m in self.marks if m.kind == "fault"]
        named = len(shown) <= 12
        for row, mark in enumerate(shown):
            colour, at = _COLOURS[mark.kind], x(mark.at_s)
            low = bottom + 30 + 17 * row if named else bottom + 6
            parts.append(
                f"<line x1='{at:.1f}' y1='{_TOP - 6}' x2='{at:.1f}' y2='{low:.1f}' stroke='{colour}' stroke-dasharray='3 3'/>"
            )
            if named:
                right = at > _W / 2
                parts.append(
                    _text(
                        at + (-6 if right else 6),
                        low + 4,
                        mark.words[language],
                        anchor="end" if right else "start",
                        colour=colour,
                    )
                )
        height = bottom + 40 + (17 * len(shown) if named else 0)
        legend = _text(_LEFT, 10, _HEADS["acts"][language], colour=_ACTS)
        legend += _text(_W - 70, 10, _HEADS["wait"][language], anchor="end", colour=_WAIT)
        return (
            f"<svg viewBox='0 0 {_W} {height:.0f}' role='img' aria-label='{escape(_HEADS['timeline'][language])}'>"
            f"{legend}{''.join(parts)}</svg>"
        )


def hold(case: Case, *, clients: int, acts: int, say: Say, clock_us: Callable[[], int]) -> Report:
    """Play a case on a market of its own, which is gone afterwards, and give what came of it.

    `clients` act at once; so many `acts` are acknowledged before each fault, and again after it. Missing where this
    machine lacks what the case takes, Misconfigured where it could not be played to its end.
    """
    began_us = clock_us()
    with tempfile.TemporaryDirectory(prefix="exchange-drill-report-") as folder:
        stage = Stage(Path(folder), say, clients, acts)
        case.play(stage)
        return Report(
            case, began_us, clock_us(), clients, tuple(stage.marks), tuple(stage.outages()), tuple(stage.bins),
            stage.figures, tuple(stage.complaints), stage.promises,
        )  # fmt: skip


def machine() -> str:
    """What a drill was held on, as far as it bears on its figures; no name of the machine."""
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU, Python {platform.python_version()}"
    )


def _steps(bins: Sequence[dict[str, Any]], step_s: float) -> list[tuple[int, float]]:
    """Acts acknowledged a second and the worst p99 wait in ms, step by step."""
    width = round(step_s / BIN_S)
    return [
        (
            round(sum(line["acknowledged"] for line in bins[n : n + width]) / step_s),
            max((line["p99_ms"] for line in bins[n : n + width]), default=0.0),
        )
        for n in range(0, len(bins), width)
    ]


def _ticks(span_s: float) -> list[float]:
    step = next((s for s in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if span_s / s <= 12), 1_200)
    return [n * step for n in range(int(span_s // step) + 1)]


def _text(x: float, y: float, said: str, *, anchor: str = "start", colour: str = _INK) -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' font-size='12' text-anchor='{anchor}' fill='{colour}'>{escape(said)}</text>"


_STYLE: Final = (
    "body{font:16px/1.5 system-ui,'Noto Sans CJK SC','Microsoft YaHei',sans-serif;color:#1b1f24;background:#fff;"
    "max-width:62rem;margin:2rem auto;padding:0 1rem}section+section{border-top:1px solid #d5d9de;margin-top:3rem;padding-top:1rem}"
    "h1{font-size:1.6rem;margin:.5rem 0}h1 small{color:#5b6470;font-weight:400}h2{font-size:1.05rem;margin:1.5rem 0 .4rem}"
    ".verdict{display:inline-block;padding:.2rem .7rem;border-radius:.3rem;font-weight:600}.kept{background:#dff3e4;color:#124d29}"
    ".broken{background:#fbe3e1;color:#8c1d18}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dt{color:#5b6470}dd{margin:0}"
    "table{border-collapse:collapse;width:100%;font-size:.92rem}th{text-align:left;font-weight:400;color:#5b6470}"
    "td,th{padding:.25rem .6rem .25rem 0;border-bottom:1px solid #eceff2;vertical-align:top}td:last-child{font-variant-numeric:tabular-nums}"
    ".n{white-space:nowrap;color:#5b6470}tr.fault td:last-child{color:#b3261e}tr.recovered td:last-child{color:#1b6e3c}"
    "svg{width:100%;height:auto}.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:0 2rem}"
    "footer{margin-top:2rem;color:#5b6470;overflow-wrap:anywhere}@media print{body{margin:0}}"
)
