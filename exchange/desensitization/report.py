"""A scan's report for people: one page in Chinese and in English that needs nothing else, with pictures."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any, Final, Literal

from exchange.desensitization.detection.findings import KINDS
from exchange.desensitization.pictures import (
    Bar,
    Pair,
    Point,
    before_and_after,
    loss_against_risk,
    loss_by_column,
    percent,
)
from exchange.desensitization.policy.requirements import LOSSES, MODELS

Language = Literal["zh", "en"]

_WORDS: Final[Mapping[str, Mapping[Language, str]]] = tomllib.loads(
    resources.files("exchange.desensitization").joinpath("words.toml").read_text(encoding="utf-8")
)


def word(name: str, language: Language) -> str:
    """A word of the report in a language."""
    return _WORDS[name][language]


def technique_words(technique: Mapping[str, Any], language: Language) -> str:
    """A technique of a policy (as JSON) in words, with the level of what it generalizes to."""
    said = word(technique["name"], language)
    hierarchy, level = technique.get("hierarchy"), int(technique.get("level", 0))
    if hierarchy is None or level == 0:
        return said
    steps = {"interval": "widths", "date": "steps", "prefix": "keep"}.get(hierarchy["kind"])
    if steps is None or level > len(hierarchy[steps]):
        return said
    at = hierarchy[steps][level - 1]
    match hierarchy["kind"]:
        case "interval":
            detail = word("width", language).format(width=at)
        case "date":
            detail = word(at, language)
        case _:
            detail = word("first_characters", language).format(keep=at)
    return f"{said}{'：' if language == 'zh' else ': '}{detail}"


def model_name(model: Mapping[str, Any], language: Language) -> str:
    """A privacy model of a policy (as JSON) by its name."""
    return MODELS[model["model"]][language == "en"]


def bounds(model: Mapping[str, Any], language: Language) -> str:
    """What a privacy model of a policy (as JSON) asks for."""
    said = []
    for name, value in model.items():
        match name:
            case "model" | "column":
                continue
            case "distance":
                said.append(word(f"distance_{value['kind']}", language))
            case "at_most_ppm":
                said.append(f"≤ {percent(value)}")
            case "enhanced":
                said += ["enhanced"] if value else []
            case "estimator":
                said += [] if value == "shannon" else [value]
            case _:
                said.append(f"{name} = {value}")
    return ", ".join(said)


def html(report: Mapping[str, Any]) -> str:
    """The page of a report (the object that `department.scan` makes): Chinese, then English; no script, font or link.

    Whatever a column is called, nothing in it is markup.
    """
    return (
        "<!doctype html><html lang='zh'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'><meta name='color-scheme' content='light dark'>"
        f"<title>{word('title', 'zh')} · {word('title', 'en')}</title><style>{_STYLE}</style></head><body>"
        "<nav><a href='#zh'>中文</a><a href='#en'>English</a></nav>"
        f"{_Page(report, 'zh').whole()}{_Page(report, 'en').whole()}</body></html>\n"
    )


def article(report: Mapping[str, Any], language: Language) -> str:
    """One language's half of the page as an `article` with one `h1`, for a page that has the styles.

    The report may be anybody's: no text in it is markup, as in it the signs of markup are shown by their full-width forms.
    ValueError where it is no report of a scan.
    """
    try:
        return _Page(_plain(report), language).whole()
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise ValueError(f"no report of a scan: {error!r}") from error


_MARKUP: Final = str.maketrans("<>&\"'", "＜＞＆＂＇")


def _plain(said: Any) -> Any:
    if isinstance(said, str):
        return said.translate(_MARKUP)
    if isinstance(said, Mapping):
        return {str(name).translate(_MARKUP): _plain(value) for name, value in said.items()}
    return [_plain(one) for one in said] if isinstance(said, list) else said


class _Page:
    """One language's half of the page."""

    def __init__(self, report: Mapping[str, Any], language: Language) -> None:
        self.report = report
        self.language = language
        self.policy = report["policy"]
        self.asked = self.policy["requirements"]
        self.techniques = {column["name"]: column["technique"] for column in self.policy["columns"]}
        self.findings = {finding["column"]: finding for finding in report["findings"]}

    def word(self, name: str) -> str:
        return escape(word(name, self.language))

    def whole(self) -> str:
        parts = [
            f"<article id='{self.language}' lang='{'zh-CN' if self.language == 'zh' else 'en'}'>",
            f"<header><h1>{self.word('title')}</h1><p class='hint'>{self.word('promise')}</p></header>",
            self._warnings(),
            self._facts(),
            *(self._risk() if not self.policy["exempt_from_k"] else []),
            *self._models(),
            *self._losses(),
            *self._frontier(),
            *self._columns(),
            *self._grading(),
            *self._indices(),
            *self._ending(),
            "</article>",
        ]
        return "".join(parts)

    def _warnings(self) -> str:
        found = []
        biometric = [name for name, finding in self.findings.items() if finding["kind"] == "biometric"]
        if biometric:
            found.append(f"<p class='alarm'>{self.word('biometric')} {_names(biometric)}</p>")
        if self.policy["exempt_from_k"]:
            found.append(f"<p class='notice'>{self.word('exempt')}</p>")
        return "".join(found)

    def _facts(self) -> str:
        report = self.report
        before, after = report["before"], report["after"]
        facts = [
            (self.word("rows"), f"{int(report['raw']['rows']):,}"),
            (self.word("columns_number"), str(len(report["columns"]))),
            (self.word("persons"), self.word("yes" if report["about_persons"] else "no")),
            (self.word("grade"), self.word(report["grade"])),
        ]
        if not self.policy["exempt_from_k"]:
            facts += [
                (
                    self.word("highest_risk"),
                    f"<s>{_brief(before['prosecutor_ppm'])}</s> → <b>{_brief(after['prosecutor_ppm'])}</b>",
                ),
                ("k", f"<s>{before['k']}</s> → <b>{after['k']}</b>"),
            ]
        facts.append(
            (
                self.word("dropped"),
                f"{int(report['suppressed_rows']):,} <small>({_brief(report['row_suppression_ppm'])})</small>",
            )
        )
        said = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
        return f"<dl class='facts'>{said}</dl>"

    def _risk(self) -> list[str]:
        before, after = self.report["before"], self.report["after"]
        shares = [
            name
            for name in ("prosecutor_ppm", "marketer_ppm", "uniqueness_ppm", "population_uniqueness_ppm")
            if name in before
        ]
        picture = before_and_after(
            [Pair(word(name, self.language), int(before[name]), int(after[name])) for name in shares],
            word("risk", self.language),
            word("before", self.language),
            word("after", self.language),
        )
        rows: list[Sequence[str]] = [
            (self.word("quasi"), _names(before["quasi_identifiers"]), _names(after["quasi_identifiers"])),
            (self.word("rows"), f"{int(before['rows']):,}", f"{int(after['rows']):,}"),
            (self.word("classes"), f"{int(before['classes']):,}", f"{int(after['classes']):,}"),
            (self.word("k"), before["k"], after["k"]),
        ]
        rows += [
            (f"{self.word('l')}: {escape(name)}", before["l"].get(name, "–"), after["l"].get(name, "–"))
            for name in {**before["l"], **after["l"]}
        ]
        rows += [
            (self.word(name), percent(before[name]), percent(after[name]))
            for name in (*shares, "journalist_ppm")
            if name in before
        ]
        heads = ["", self.word("before"), self.word("after")]
        betrayed = list(self._disclosure(before.get("disclosure", {}), after.get("disclosure", {})))
        return [
            f"<h2>{self.word('risk')}</h2><p class='hint'>{self.word('risk_hint')}</p>",
            _figure(picture),
            _table(heads, rows, "figures"),
            f"<details><summary>{self.word('disclosure')}</summary>{_table(heads, betrayed, 'figures')}</details>"
            if betrayed
            else "",
        ]

    def _disclosure(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[Sequence[str]]:
        """The other models' figures of each sensitive column."""
        for column in {**before, **after}:
            for name in _FIGURES:
                pair = [_figure_of(name, found.get(column, {}).get(name)) for found in (before, after)]
                if pair != ["–", "–"]:
                    yield f"{self.word(name)}: {escape(column)}", *pair

    def _models(self) -> list[str]:
        if self.policy["exempt_from_k"]:
            return []
        after = self.report["after"]
        rows: list[Sequence[str]] = [
            ("k", "–", f"≥ {self.asked['k']}", after["k"]),
            *(("l", escape(name), f"≥ {self.asked['l']}", least) for name, least in after["l"].items()),
            (
                self.word("dropped"),
                "–",
                f"≤ {percent(self.asked['suppression_limit_ppm'])}",
                percent(self.report["row_suppression_ppm"]),
            ),
        ]
        rows += [
            (
                escape(model_name(measure["model"], self.language)),
                escape(measure["column"] or "–"),
                escape(bounds(measure["model"], self.language)),
                _found(measure),
            )
            for measure in self.report["privacy"]
        ]
        heads = ("", self.word("column"), self.word("asked"), self.word("found_worst"))
        return [f"<h2>{self.word('models')}</h2>", _table(heads, rows, "figures")]

    def _losses(self) -> list[str]:
        bars = [
            Bar(
                name,
                technique_words(technique, self.language),
                int(self.report["loss_ppm"][name]),
                technique["name"] == "suppress",
            )
            for name, technique in self.techniques.items()
        ]
        found = [
            f"<h2>{self.word('loss_by_column')}</h2><p class='hint'>{self.word('loss_hint')}</p>",
            _figure(loss_by_column(bars, word("loss_by_column", self.language))),
        ]
        utility = self.report.get("utility")
        if utility is not None and not self.policy["exempt_from_k"]:
            zh, en = LOSSES[utility["loss"]["name"]]
            called = zh if self.language == "zh" else en
            found.append(
                f"<p class='hint'>{self.word('chosen_loss')}: {escape(called)} = "
                f"<b>{escape(', '.join(utility['value']))}</b></p>"
            )
        return found

    def _frontier(self) -> list[str]:
        candidates = self.report["frontier"]
        if len(candidates) < 2:  # one point draws no picture
            return []
        limits = {one["suppression_limit_ppm"] for one in candidates}
        asked = (self.asked["k"], self.asked["suppression_limit_ppm"])
        points = []
        for one in candidates:
            chosen = (one["k"], one["suppression_limit_ppm"]) == asked
            label = f"k = {one['k']}"
            if len(limits) > 1:
                label += f", ≤ {percent(one['suppression_limit_ppm'])}"
            title = (
                f"k = {one['k']}, {word('suppress_up_to', self.language)} {percent(one['suppression_limit_ppm'])}; "
                f"{word('loss', self.language)} {one['loss'][0]}; "
                f"{word('mean_risk', self.language)} {percent(one['marketer_ppm'])}"
            )
            points.append(
                Point(int(one["marketer_ppm"]), float(one["loss"][0]), label, title, one["efficient"], chosen)
            )
        picture = loss_against_risk(
            points,
            word("frontier", self.language),
            word("mean_risk", self.language),
            word("loss", self.language),
        )
        rows = [
            (
                f"<b>{one['k']}</b>" if (one["k"], one["suppression_limit_ppm"]) == asked else one["k"],
                percent(one["suppression_limit_ppm"]),
                f"{float(one['loss'][0]):.4g}",
                _brief(one["marketer_ppm"]),
                _brief(one["prosecutor_ppm"]),
                f"{int(one['suppressed_rows']):,}",
                "✓" if one["efficient"] else "",
            )
            for one in candidates
        ]
        heads = (
            "suppress_up_to", "loss", "mean_risk", "highest_risk", "dropped", "efficient",
        )  # fmt: skip
        return [
            f"<h2>{self.word('frontier')}</h2><p class='hint'>{self.word('frontier_hint')}</p>",
            _figure(picture),
            f"<details{' open' if len(rows) <= _FEW else ''}><summary>{self.word('all_candidates')} ({len(rows)})</summary>",
            _table(["k", *(self.word(name) for name in heads)], rows, "figures"),
            "</details>",
        ]

    def _columns(self) -> list[str]:
        rows = []
        for column in self.report["columns"]:
            name = column["name"]
            finding = self.findings.get(name)
            kind = KINDS[finding["kind"]] if finding else KINDS["none"]
            forms = (
                " ".join(f"<code>{escape(sample)}</code>" for sample in finding["samples"]) if finding else ""
            )
            becomes = " ".join(f"<code>{escape(sample)}</code>" for sample in column["becomes"]) or "–"
            rows.append(
                (
                    f"<b>{escape(name)}</b>",
                    escape(kind.zh if self.language == "zh" else kind.en) if finding else "–",
                    f"<small>{escape(self._evidence(finding))}</small>" if finding else "",
                    f"<span class='role {column['role']}'>{self.word(column['role'])}</span>",
                    escape(technique_words(self.techniques[name], self.language)),
                    f"{forms} → {becomes}" if forms else becomes,
                    _brief(self.report["loss_ppm"][name]),
                )
            )
        heads = ("column", "found", "evidence", "role", "done", "from_to", "loss")
        return [
            f"<h2>{self.word('columns')}</h2>",
            _table([self.word(name) for name in heads], rows, "wide"),
        ]

    def _evidence(self, finding: Mapping[str, Any]) -> str:
        parts = [word(finding["by"].replace(" ", "_"), self.language)]
        if "values" in finding["by"]:
            parts.append(f"{finding['checked']} {word('of', self.language)} {finding['matched']}")
        if finding["chance_ppm"] is not None:
            chance = percent(finding["chance_ppm"])
            parts.append(f"{word('chance', self.language)} {chance}, p ≤ 10^{finding['p_exponent']}")
        return ("；" if self.language == "zh" else "; ").join([*parts, finding["source"]])

    def _grading(self) -> list[str]:
        zh = self.language == "zh"
        rows = [
            (
                escape(factor["zh"] if zh else word(factor["factor"], "en")),
                self.word(f"by_{factor['by']}"),
                escape(factor["found_zh"] if zh else factor["found"])
                or f"<span class='faint'>{self.word('to_declare')}</span>",
            )
            for factor in self.report["factors"]
        ]
        found = [
            f"<h2>{self.word('grading')}</h2>",
            f"<p><span class='grade {self.report['grade']}'>{self.word(self.report['grade'])}</span> "
            f"<small class='faint'>GB/T 43697-2024 · {escape(self.report['grading'])}</small></p>",
            _table([self.word(name) for name in ("factor", "by", "found")], rows),
            f"<h3>{self.word('screening')}</h3>",
        ]
        screened = self.report["screened"]
        if not screened:
            return [*found, f"<p class='hint'>{self.word('screening_none')}</p>"]
        signs = [
            (
                escape(one["sign_zh"] if zh else one["sign"]),
                f"<b>{escape(one['column'])}</b>",
                self.word("in_header")
                if one["values"] == "0"
                else self.word("in_values").format(values=one["values"]),
                f"<span class='{'alarm' if one['certain'] else 'notice'} tag'>"
                f"{self.word('certain' if one['certain'] else 'question')}</span>",
                f"<small>{escape(one['source'])}</small>",
            )
            for one in screened
        ]
        heads = ("sign", "column", "where", "certain", "source")
        return [
            *found,
            f"<p class='hint'>{self.word('screening_hint')}</p>",
            _table([self.word(name) if name != "certain" else "" for name in heads], signs),
        ]

    def _indices(self) -> list[str]:
        indices = self.report.get("indices")
        if indices is None:
            return []
        names = ("reversibility_ppm", "deviation_ppm", "loss_ppm", "complexity_ppm")
        rows = [
            (f"<b>{called}</b>", *(_brief(index[name]) for name in names))
            for called, index in (
                (self.word("overall"), indices["overall"]),
                *((escape(column), index) for column, index in indices["columns"].items()),
            )
        ]
        return [
            f"<h2>{self.word('indices')}</h2><p class='hint'>{self.word('indices_hint')}</p>",
            _table([self.word("column"), *(self.word(name) for name in names)], rows, "figures"),
        ]

    def _ending(self) -> list[str]:
        raw = escape("原始文件" if self.language == "zh" else "RAW")
        here = escape("本目录" if self.language == "zh" else "THIS_DIRECTORY")
        return [
            f"<h2>{self.word('next')}</h2><p>{self.word('how')}</p>",
            f"<pre tabindex='0'>exchange desensitize apply {raw} --policy {here}/policy.json \\\n"
            f"    --authorization AUTH.json --vkey KEY --out {here}</pre>",
            f"<p>{self.word('how_again')} <code>exchange desensitize scan {raw} --policy policy.json --out {here}</code></p>",
            f"<footer><dl><dt>{self.word('raw_digest')}</dt><dd><code>{escape(self.report['raw']['digest'])}</code></dd>"
            f"<dt>{self.word('policy_digest')}</dt><dd><code>{escape(self.report['policy_digest'])}</code></dd>"
            f"<dt>{self.word('engine')}</dt><dd>{escape(self.report['engine'])}</dd></dl></footer>",
        ]


_FIGURES: Final = (
    "entropy_l_micro", "recursive_c_micro", "t_equal_ppm", "t_ordered_ppm", "t_hierarchical_ppm", "beta_micro",
    "delta_micro",
)  # fmt: skip


_FEW: Final = 8
"""So many candidates are shown without being asked for."""


def _figure_of(name: str, said: str | None) -> str:
    """A figure of disclosure as the plain number that its model is stated in."""
    return "–" if said is None else f"{int(said) / 1_000_000:.4g}"


def _found(measure: Mapping[str, Any]) -> str:
    """What was found of a model, in percent where it bounds a share of rows."""
    if "at_most_ppm" in measure["model"]:
        return _brief(str(round(float(measure["found"]) * 1_000_000)))
    return escape(measure["found"])


def _brief(ppm: str) -> str:
    share = int(ppm) / 10_000
    if share == 0 or share >= 100:
        return f"{share:.0f} %"
    return "< 0.01 %" if share < 0.01 else f"{share:.3g} %"


def _names(columns: Sequence[str]) -> str:
    return escape(", ".join(columns)) or "–"


def _figure(picture: str) -> str:
    return f"<figure tabindex='0'>{picture}</figure>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    head = "".join(f"<th scope='col'>{name}</th>" for name in header)
    body = "".join(
        f"<tr><th scope='row'>{row[0]}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>"
        for row in rows
    )
    return f"<div class='scroll' tabindex='0'><table class='{kind}'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


_STYLE: Final = (
    resources.files("exchange.desensitization").joinpath("report.css").read_text(encoding="utf-8").strip()
)
