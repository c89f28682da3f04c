"""The console's two languages say the same things, all of them, and numbers, money and times as their readers do."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import exchange
from exchange import statistics
from exchange.anchoring import Trouble
from exchange.authorization import Stand
from exchange.catalogue import LIMITS
from exchange.credentials import SCOPES
from exchange.desensitization.grade import GRADES, Degree, Harmed
from exchange.health import LAYERS, State
from exchange.parties import DUTIES, ROLES
from exchange.registration.compliance import CONCLUSIONS as FINDINGS
from exchange.registration.path import STATES as PATH_STATES
from exchange.registration.path import STEPS
from exchange.registration.procedure import ACTS
from exchange.registration.rights import RIGHTS
from exchange.rulebook import load
from exchange.tenders import FACTS
from exchange.web import DESKS, openings
from exchange.web.console import SEARCHED
from exchange.web.department import DECLARED, STAGES
from exchange.web.desk import HEADINGS
from exchange.web.enterprise import LINK_S
from exchange.web.words import LANGUAGES, Language, iso, preferred, words
from pricing.auctions import Reason

WEB = Path(exchange.__file__).parent / "web"
ROOMS = Path(exchange.__file__).parent

# Families are looked up by a value of the market's; the rest is named in full by templates and scripts.
STATES = {
    "announced",
    "open",
    "offered",
    "sold",
    "settled",
    "failed",
    "halted",
    "drawing",
    "cancelled",
    "annulled",
    "defaulted",
    "ended",
    "pending",
    "confirmed",
    "final",
    "refused",
}
STANDINGS = {
    *("valid", "expired", "cancelled", "revoked"),  # a certificate's
    *("noticed", "concluded", "rejected", "withdrawn"),  # of a notice that everybody can see
    *("open", "dismissed", "upheld"),  # an objection's
}
FAMILIES = (
    "axis",
    "state",
    "grant",
    "reason",
    "kind",
    "subject",
    "trouble",
    "act",
    "right",
    "standing",
    "grade",
    "step",
    "finding",
    "facet",
    "facet_opening",
    "facet_price",
    "facet_freshness",
    "type",
    # of the pages of who signed in
    "accessed",
    "change_state",
    "duty",
    "duty_text",
    "account_code",
    "component",
    "paid_to",
    "job_name",
    "layer_name",
    "layer_state",
    "layer_text",
    "member",
    "paper",
    "paper_state",
    "probe",
    "channel",
    "looked",
    "standing_of",
    "desk",
    "desk_heading",
    "done",
    "key_state",
    "refusal",
    "role",
    "scope",
    "counted_by",
    "mode",
    # of a department's pages
    "answer",
    "approach",
    "approval_state",
    "compared",
    "declared",
    "degree",
    "flow",
    "kin",
    "harmed",
    "path_state",
    "purpose",
    "release_state",
    "stage",
    "stand",
    "stand_text",
    "todo",
    "todo_by",
    # of an enterprise's pages
    "acceptance",
    "accessed_by",
    "booking",
    "date",
    "deal_state",
    "deposit",
    "ground",
    "had_by",
    "hook_state",
    "link_span",
    "move",
    "payout",
    "side",
    # of what is charged by use
    "per",
    "sold_by",
    "counted_in",
    "pays",
    "criterion",
    "subscription_state",
    "statement_state",
    "recognised",
    # of complaints
    "topic",
    # of contracts
    "contract_state",
    # of tenders
    "envelope",
    "bid_fact",
    "tenderer_state",
    "host_next",
    "protest_decision",
    "remedy",
    "tender_stage",
    "complaint_state",
    # of public notices
    "objection_decision",
    # of the rulebook
    "rule",
    "rule_part",
    "rule_word",
)
REFUSED_HERE = re.compile(r'ProofError\("(\w+)"')


def texts(folder: str, *endings: str) -> Iterator[str]:
    for path in sorted((WEB / folder).rglob("*")):
        if path.suffix in endings and "vendor" not in path.parts:
            yield path.read_text("utf-8")


def named() -> set[str]:
    """Every key that a template, a page or a script names."""
    found: set[str] = set()
    for text in (*texts("templates", ".html"), *texts("", ".py")):
        found |= set(re.findall(r"""\bt\(["']([a-z_.]+)["'](?! ~)""", text))
    found = {key for key in found if key.partition(".")[0] not in FAMILIES}
    found.add("rules.own")  # by `Words.clause`
    found |= {f"asset.{said}_{name}" for said in ("states", "lacks") for name in LIMITS}
    for text in texts("static", ".js"):
        found |= set(re.findall(r'\bword\("([a-z_.0-9]+)"', text))
        found |= set(re.findall(r'\? "(chart\.[a-z_]+)" : "(?:chart\.[a-z_]+)"', text))
        found |= set(re.findall(r'\? "(?:chart\.[a-z_]+)" : "(chart\.[a-z_]+)"', text))
        found |= {f"proof.{code}" for code in REFUSED_HERE.findall(text)}
        found |= {
            f"proof.{code}"
            for code in re.findall(r'code = "(bad_\w+)"|, "(bad_\w+)"\)', text)
            for code in code
            if code
        }
    return found


def test_a_clause_is_cited_in_its_own_words_and_the_venues_own_rule_in_the_readers() -> None:
    rules = load("cn-venue")
    law, own = "auction.deposit_at_least_ppm", "auction.resume_within_days"
    assert words("zh").clause(rules[law]) == "法释〔2016〕18号 第十七条"
    assert words("en").clause(rules[own]) == words("en")("rules.own")
    cited = words("zh").cited((rules[law], rules["auction.deposit_at_most_ppm"], rules[own]))
    assert re.findall(r'href="([^"]+)"', cited) == [f"/zh/rules#{law}", f"/zh/rules#{own}"]  # a clause once
    assert "竞买保证金不低于起拍价的 5 %；竞买保证金不高于起拍价的 20 %" in cited


def test_a_rule_is_said_with_its_figure_in_the_readers_units() -> None:
    rules = load("cn-venue")
    for name, zh, en in (
        ("auction.open_at_least_us", "竞价至少开放1天", "An auction is open for at least 1 day"),
        ("related.control_at_least_ppm", "持股 50.0001 % 即为控制", "A share of 50.0001 % is control"),
        (
            "surveillance.cancelled_at_least_fen",
            "当日撤销金额达到 ¥10,000,000.00",
            "An amount of ¥10,000,000.00 cancelled in a day",
        ),
        ("auction.late_bid_allowed", "截止之后出价：否", "Bids after the close: no"),
        (
            "registration.permitted_rights",
            "可以许可的权利：使用权、经营权",
            "Rights that may be permitted: right to use, right to operate",
        ),
    ):
        assert (words("zh").rule(rules[name]), words("en").rule(rules[name])) == (zh, en)
    assert words("en").rule(replace(rules["auction.late_bid_allowed"], name="own.rule")) == "own.rule"


def kinds_logged() -> set[str]:
    """Every kind of entry that a room records."""
    pattern = re.compile(r'(?:Record|refusal)\(\s*"([a-z_]+)"|^    kind = "([a-z_]+)"', re.MULTILINE)
    found = set()
    for path in ROOMS.rglob("*.py"):
        found |= {one or other for one, other in pattern.findall(path.read_text("utf-8"))}
    return found


def jobs_worked() -> set[str]:
    """Every job that a worker does: by the name that it is begun under, else by its own."""
    worker = (ROOMS / "worker.py").read_text("utf-8")
    started = worker[worker.index("async def start(") : worker.index("async def stop(")]
    named = set(re.findall(r"self\.([a-z_]+), name=", started))
    return set(re.findall(r'name="([a-z_]+)"', started)) | (
        set(re.findall(r"self\.([a-z][a-z_]*)(?=[,)])", started)) - named
    )


def words_listed() -> set[str]:
    """Every word that a rule of either profile lists or is."""
    return {
        word
        for profile in ("cn-venue", "generic")
        for rule in load(profile).rules.values()
        if isinstance(rule.value, str | tuple)
        for word in (rule.value if isinstance(rule.value, tuple) else (rule.value,))
    }


def subjects_told() -> set[str]:
    """Every subject under which the reference tells operations."""
    return {
        subject
        for path in (ROOMS / "api").rglob("*.py")
        for subject in re.findall(r'tags=\["([a-z ]+)"\]', path.read_text("utf-8"))
    }


def test_both_languages_have_the_same_keys_and_the_same_places_to_fill() -> None:
    zh, en = words("zh").texts, words("en").texts
    assert set(zh) == set(en)
    for key in zh:
        places = [
            {name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (zh[key], en[key])
        ]
        assert places[0] == places[1], key
        assert zh[key].strip()
        assert en[key].strip()


def test_no_text_is_missing_and_none_is_left_over() -> None:
    keys = {key for key in words("zh").texts if key.partition(".")[0] not in FAMILIES}
    assert named() == keys


def test_whatever_the_market_can_say_has_a_word() -> None:
    known = words("zh").texts
    assert {key.removeprefix("state.") for key in known if key.startswith("state.")} == STATES
    assert {key.removeprefix("grant.") for key in known if key.startswith("grant.")} == {
        "exclusive",
        "licence",
    }
    # A final anchor taken back is an event, which no page shows as what is amiss now.
    assert {key.removeprefix("trouble.") for key in known if key.startswith("trouble.")} == set(
        get_args(Trouble)
    ) - {"taken_back"}
    reasons = {reason.value for reason in Reason} | {
        "above_limit",
        "expired",
        "halted",
        "stopped",
        "suspended",
        "unsigned",
    }
    facets = {key.removeprefix("facet.") for key in known if key.startswith("facet.")}
    assert facets == set(SEARCHED)
    assert {key.removeprefix("reason.") for key in known if key.startswith("reason.")} == reasons
    assert {key.removeprefix("kind.") for key in known if key.startswith("kind.")} == kinds_logged()
    for family, values in (
        ("act", ACTS),
        ("right", RIGHTS),
        ("grade", GRADES),
        ("step", (*STEPS, "applied", "accepted", "reviewed")),
        ("standing", STANDINGS),
        ("finding", FINDINGS),
        ("desk", {page.nav for page in DESKS if page.nav is not None}),
        ("desk_heading", HEADINGS),
        ("role", ROLES),
        ("scope", SCOPES),
        ("duty", DUTIES),
        ("duty_text", DUTIES),
        ("layer_name", LAYERS),
        ("declared", DECLARED),
        ("degree", get_args(Degree)),
        ("harmed", get_args(Harmed)),
        ("purpose", load("cn-venue").words("opening.purposes")),
        ("path_state", PATH_STATES),
        ("stage", STAGES),
        ("stand", get_args(Stand)),
        ("stand_text", {*get_args(Stand)} - {"you"}),
        ("todo", (*PATH_STATES, "listed")),
        ("todo_by", (*PATH_STATES, "listed")),
        ("layer_text", LAYERS),
        ("layer_state", get_args(State)),
        ("counted_by", statistics.FACETS),
        ("mode", ("fixed", "auction", "negotiated", "metered", "tender")),
        ("facet_price", ("free", "fixed", "auction", "negotiated", "metered", "tender", "unlisted")),
        ("rule", load("cn-venue").rules),
        ("rule_part", {name.partition(".")[0] for name in load("cn-venue").rules}),
        ("rule_word", {"true", "false", *words_listed()}),
        ("job_name", jobs_worked()),
        ("subject", subjects_told()),
        ("paper", load("cn-venue").words("parties.document_kinds")),
        ("ground", load("cn-venue").words("acceptance.grounds")),
        ("link_span", LINK_S),
        ("bid_fact", FACTS),
        ("tender_stage", openings.STAGES),
        ("topic", load("cn-venue").words("complaint.topics")),
    ):
        said = {key.removeprefix(f"{family}.") for key in known if key.startswith(f"{family}.")}
        assert said == set(values), family


def test_every_page_of_the_navigation_stands_under_one_heading() -> None:
    headed = [word for words in HEADINGS.values() for word in words]
    assert len(headed) == len(set(headed))
    assert set(headed) == {page.nav for page in DESKS if page.hall == "exchange" and page.nav is not None}


def test_chinese_text_is_chinese_and_uses_chinese_punctuation() -> None:
    for key, text in words("zh").texts.items():
        assert re.search("[\u4e00-\u9fff]", text), key
        assert not re.search("[\u4e00-\u9fff][,;:?!(]|[,;:?!)][\u4e00-\u9fff]", text), key
    for key, text in words("en").texts.items():
        assert not re.search("[\u4e00-\u9fff\uff0c]", text), key


@pytest.mark.parametrize("language", LANGUAGES)
@given(fen=st.integers(0, 2**63 - 1))
def test_money_is_exact_at_any_size(language: Language, fen: int) -> None:
    told = words(language).money(fen)
    assert words(language).yuan(-fen - 1) == f"−¥{words(language).money(fen + 1)}"
    assert fen == int(told.replace(",", "").replace(".", ""))
    assert re.fullmatch(r"\d{1,3}(,\d{3})*\.\d\d", told)


@pytest.mark.parametrize("language", LANGUAGES)
@given(millionths=st.integers(0, 2**63 - 1))
def test_a_unit_price_is_exact_to_six_decimals_and_says_no_more_than_it_has(
    language: Language, millionths: int
) -> None:
    told, price = words(language).decimal(millionths), words(language).decimal(millionths, places=2)
    for said in (told, price):
        whole, _, part = said.replace(",", "").partition(".")
        assert int(whole) * 1_000_000 + int(part.ljust(6, "0")) == millionths
    assert not re.search(r"\.\d*0$|\.$", told)
    assert re.fullmatch(r"\d{1,3}(,\d{3})*\.\d{2,6}", price)


def test_times_and_spans_are_told_as_the_language_does() -> None:
    at_us = 1_790_000_000_123_456
    assert words("zh").instant(at_us) == "2026年9月21日 22:13:20 UTC+8"
    assert words("en").instant(at_us) == "Sep 21, 2026, 22:13:20 UTC+8"
    assert iso(at_us) == "2026-09-21T14:13:20.123Z"
    assert words("en").span(300_000_000) == "5 minutes"
    assert words("zh").span(300_000_000) == "5分钟"
    assert words("en").span(5_400_000_000) == "90 minutes"
    assert words("en").number("1234567") == "1,234,567"


def test_an_unknown_text_is_a_defect_and_an_unknown_value_stands_for_itself() -> None:
    with pytest.raises(KeyError):
        words("zh")("market.nothing")
    assert words("zh").named("kind", "something_new") == "something_new"


@pytest.mark.parametrize(
    ("cookie", "accepted", "expected"),
    [
        (None, "", "zh"),
        (None, "en-GB,en;q=0.9", "en"),
        (None, "zh-TW,zh;q=0.9,en;q=0.8", "zh"),
        (None, "en;q=0.3, zh;q=0.4", "zh"),
        (None, "fr, en;q=0.2", "en"),
        (None, "en;q=nonsense", "zh"),
        ("en", "zh", "en"),
        ("xx", "zh", "zh"),
    ],
)
def test_the_reader_gets_the_language_chosen_before_or_the_browsers(
    cookie: str | None, accepted: str, expected: str
) -> None:
    assert expected == preferred(cookie, accepted)
