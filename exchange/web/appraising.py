"""What an asset is worth, at the desk: a form that states what an appraisal rests on, and the reasoned report with its pictures."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import ValidationError
from starlette.responses import Response

from exchange import appraisal, catalogue, rulebook, valuation
from exchange.errors import Malformed, NotFound
from exchange.messages.assets import AppraisalMessage
from exchange.registration import register
from exchange.releases import measuring
from exchange.taxonomy import KINDS
from exchange.web.department import DEPARTMENT, own
from exchange.web.desk import FORM_LIMIT, DeskPage, Visit, desk_page
from exchange.web.pictures import mark
from pricing.appraisal import CostKind, attribute_words, distribution, read_report, tornado, words
from pricing.canonical import canonical
from pricing.errors import PricingError
from pricing.money import divide

GUIDELINE: Final = "中评协〔2023〕17号"
APPROACHES: Final = ("cost", "income", "market")
COMPARABLES: Final = 3
"""Comparables that the form takes; a form from a file has as many as it likes."""
YEARS: Final = 30
FORM_BYTES: Final = 1024 * 1024

ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = {
    "information": ("name", "structure", "dictionary", "scale", "period", "frequency", "storage"),
    "legal": (
        "authorizing_party", "right_holder", "right_path", "right_kind", "right_scope", "right_term", "right_limits",
    ),
    "value": ("region", "industry", "cost", "scenario", "quality", "scarcity"),
}  # fmt: skip
"""What the guideline wants to be known of an asset; the room refuses a report without one of them."""


@desk_page("/desk/assets/{asset}/appraise", roles=DEPARTMENT, takes_bytes=FORM_BYTES + FORM_LIMIT)
async def appraising(visit: Visit) -> Response:
    """A form of what an appraisal rests on, filled with what the exchange knows already."""
    found = await own(visit)
    dictionary, _ = await visit.read(catalogue.dictionary, found["card"]["id"], visit.caller)
    language, certificate = visit.t.language, found["certificate"]
    granted = (
        [] if certificate is None else (await visit.read(register.certificate, certificate["code"]))["rights"]
    )
    rights = [one["right"] for one in granted if one["active"] and one["holder"] == visit.caller.party]
    rules = await visit.read(rulebook.at, await visit.gate.now_us())
    return await visit.show(
        "desk/appraise.html",
        card=found["card"],
        ready=found["card"]["state"] == "registered" and found["product"] is not None,
        known=_known(visit, found, dictionary, rights),
        attributes={
            group: [(f"{group}.{name}", attribute_words(f"{group}.{name}", language)) for name in names]
            for group, names in ATTRIBUTES.items()
        },
        groups={group: attribute_words(group, language) for group in ATTRIBUTES},
        costs=[(kind.value, kind.words(language)) for kind in CostKind],
        comparables=range(1, COMPARABLES + 1),
        columns=dictionary["columns"],
        guideline=GUIDELINE,
        cite=rules.behind,
    )


def _known(
    visit: Visit, found: Mapping[str, Any], dictionary: Mapping[str, Any], rights: Sequence[str]
) -> dict[str, str]:
    """The attributes that stand on the record already, in the reader's words."""
    card, t = found["card"], visit.t
    columns = [one["name"] for one in dictionary["columns"]]
    days = card["update_days"]
    return {
        "information.name": card["title"],
        "information.structure": t("appraising.columns", count=len(columns)) if columns else "",
        "information.dictionary": ", ".join(columns)[:1000],
        "information.scale": t("appraising.rows", rows=t.number(dictionary["row_count"])) if columns else "",
        "information.frequency": t("catalogue.every", days=days) if days else "",
        "information.storage": "Parquet" if columns else "",
        "legal.authorizing_party": found["supplier_name"],
        "legal.right_holder": found["supplier_name"],
        "legal.right_kind": ", ".join(t.named("right", one) for one in rights),
        "value.industry": getattr(KINDS[card["kind"]], t.language) if card["kind"] in KINDS else card["kind"],
        "value.quality": t("appraising.measured"),
    }


@appraising.on("appraise")
async def appraise(visit: Visit) -> Response:
    """Count the quality of the file, compute the value, and keep the report: from the form, or from one in a file."""
    asset = visit.request.path_params["asset"]
    chosen = await visit.file("form")
    dictionary, _ = await visit.read(catalogue.dictionary, asset, visit.caller)
    said = await visit.document("form") if chosen else _said(visit, dictionary["columns"])
    try:
        message = AppraisalMessage.model_validate(said)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        place = ".".join(str(one) for one in first["loc"])
        raise Malformed(
            "appraisal.form",
            f"{place}: {first['msg']}",
            field="form" if chosen else place,
            rule="a form such as docs/appraisal.json",
            remedy="correct it there, and choose the file again",
        ) from None
    act = await valuation.asked(
        visit.gate,
        visit.request.app.state.vault,
        measuring(visit.request.app.state),
        visit.caller,
        asset=asset,
        message=message,
    )
    reply = await visit.perform(appraisal.appraise, act)
    return visit.done("appraised", reply, to=f"/desk/assets/{asset}/appraisal")


def _said(visit: Visit, columns: list[dict[str, Any]]) -> dict[str, Any]:
    """What the form states, as the API would be told it; each column is declared by the type that was measured."""
    chosen = [name for name in APPROACHES if name in visit.form.getlist("approach")]
    if not chosen:
        raise Malformed(
            "appraisal.approach",
            "no approach is chosen",
            field="approach",
            rule=GUIDELINE,
            remedy="choose one",
        )
    alone = len(chosen) == 1
    weights = {name: 1_000_000 if alone else _ppm(visit, f"{name}_weight") for name in chosen}
    make = {"cost": _cost, "income": _income, "market": _market}
    approaches = [
        {**make[name](visit), "reason": visit.text(f"{name}_reason"), "weight_ppm": str(weights[name])}
        for name in chosen
    ]
    return {
        "purpose": visit.text("purpose", at_most=200),
        "valued_on": visit.text("valued_on", at_most=10),
        "approaches": approaches,
        "weighting_reason": "" if alone else visit.text("weighting_reason"),
        "uncertain": _uncertain(visit, approaches) if visit.text("spread", needed=False) else [],
        **{
            group: {name: visit.text(f"{group}.{name}", needed=False) for name in names}
            for group, names in ATTRIBUTES.items()
        },
        "quality": {"columns": [{"name": one["name"], "kind": _kind(one["type"])} for one in columns]},
    }


def _cost(visit: Visit) -> dict[str, Any]:
    items = [
        {
            "kind": kind.value,
            "amount_fen": str(visit.fen(f"amount_{kind.value}")),
            "description": kind.words(visit.t.language),
            "source": visit.text(f"source_{kind.value}", at_most=200),
        }
        for kind in CostKind
        if visit.text(f"amount_{kind.value}", needed=False)
    ]
    return {
        "approach": "cost",
        "items": items,
        "profit_rate_ppm": str(_ppm(visit, "profit_rate")),
        "profit_source": visit.text("profit_source", at_most=200),
        "weights_reason": visit.text("weights_reason", at_most=500),
    }


def _income(visit: Visit) -> dict[str, Any]:
    amounts = re.split(r"[\s;，；、]+", visit.text("amounts"))
    fen = [_yuan(one) for one in amounts if one]
    return {
        "approach": "direct",
        "stream": visit.text("stream", at_most=200),
        "amounts_fen": [str(one) for one in fen],
        "amounts_source": visit.text("amounts_source", at_most=200),
        "discount_rate_ppm": str(_ppm(visit, "discount_rate")),
        "discount_source": visit.text("discount_source", at_most=200),
        "tax_rate_ppm": str(_ppm(visit, "tax_rate")),
    }


def _yuan(said: str) -> int:
    """Yuan of one year as fen; Malformed at the field for what is no amount."""
    if not re.fullmatch(r"[0-9]{1,13}(\.[0-9]{1,2})?", said, re.ASCII):
        raise Malformed(
            "form.field",
            said[:40],
            field="amounts",
            rule="amounts in yuan, one a year, with spaces between",
            remedy="write them as 12000 13000.50",
        )
    yuan, _, rest = said.partition(".")
    return int(yuan) * 100 + int(rest.ljust(2, "0"))


def _market(visit: Visit) -> dict[str, Any]:
    given = [n for n in range(1, COMPARABLES + 1) if visit.text(f"value_{n}", needed=False)]
    parts = divide(1_000_000, [1] * len(given)) if given else ()
    return {
        "approach": "market",
        "comparables": [
            {
                "part": visit.t("appraising.whole"),
                "value_fen": str(visit.fen(f"value_{n}")),
                "source": visit.text(f"source_{n}", at_most=200),
                "reason": visit.text(f"comparable_{n}", at_most=500),
                "quality_ppm": str(_ppm(visit, f"quality_{n}")),
                "weight_ppm": str(part),
            }
            for n, part in zip(given, parts, strict=True)
        ],
    }


def _uncertain(visit: Visit, approaches: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Each amount may lie so many per cent lower or higher: from that come a range and its pictures."""
    spread_ppm, reason = _ppm(visit, "spread"), visit.text("spread_reason", at_most=500)
    figures: list[tuple[str, int, str]] = []
    for one in approaches:
        for n, item in enumerate(one.get("items", ())):
            figures.append((f"cost.items[{n}].amount_fen", int(item["amount_fen"]), item["source"]))
        for n, fen in enumerate(one.get("amounts_fen", ())):
            figures.append((f"direct.amounts_fen[{n}]", int(fen), one["amounts_source"]))
        for n, each in enumerate(one.get("comparables", ())):
            figures.append((f"market.comparables[{n}].value_fen", int(each["value_fen"]), each["source"]))
    return [
        {
            "parameter": name,
            "low": str(fen * max(0, 1_000_000 - spread_ppm) // 1_000_000),
            "high": str(-(-fen * (1_000_000 + spread_ppm) // 1_000_000)),
            "reason": reason,
            "source": source,
        }
        for name, fen, source in figures
        if fen
    ]


def _ppm(visit: Visit, name: str) -> int:
    """Per cent with at most four decimals, as parts per million."""
    millionths = visit.millionths(name)
    if millionths % 100:
        raise Malformed(
            "form.field", name, field=name, rule="per cent, four decimals at most", remedy="write it as 6.5"
        )
    return millionths // 100


def _kind(measured: str) -> str:
    """How a rule of quality calls a column's type as it was measured (Arrow's name). Pure."""
    for pattern, kind in (
        ("u?int", "integer"), ("float|double|half|decimal", "number"), ("bool", "boolean"), ("date", "date"),
        ("timestamp", "time"),
    ):  # fmt: skip
        if re.match(pattern, measured):
            return kind
    return "text"


@desk_page("/desk/assets/{asset}/appraisal", roles=DEPARTMENT)
async def appraised(visit: Visit) -> Response:
    """The newest appraisal in words: its figures, reasons and sources, step by step; where it has a range, in pictures."""
    found = await visit.read(catalogue.dossier, visit.request.path_params["asset"], visit.caller)
    if not found["appraisals"]:
        raise NotFound("appraisal.unknown", "no appraisal was made yet", field="asset")
    newest = found["appraisals"][-1]
    try:
        said, drawn = await asyncio.to_thread(_told, newest["report"], visit.t.language)
    except PricingError:  # not written by this version
        said, drawn = None, []
    return await visit.show(
        "desk/appraisal.html",
        card=found["asset"],
        paper=newest,
        told=said,
        drawn=drawn,
        mark=mark(visit.request, visit.t.language, newest["log_index"]),
    )


def _told(paper: Mapping[str, Any], language: Literal["zh", "en"]) -> tuple[str, list[str]]:
    """An appraisal in words and pictures (as data addresses), once its value was computed again from its inputs."""
    report = read_report(canonical(dict(paper)))
    drawn = [] if report.spread is None else [tornado(report, language), distribution(report, language)]
    return words(report, language), [
        f"data:image/svg+xml;base64,{b64encode(one.encode()).decode()}" for one in drawn
    ]


PAGES: Final[tuple[DeskPage, ...]] = (appraising, appraised)
