"""The book as a journal that plain-text accounting tools read: Beancount's or hledger's, one transaction an entry of the log.

Two points of view. A party's own journal has its account as an asset that grows by what is credited there, and what the other
side was as income, expense, or its bank. The market's whole journal, a regulator's, has the bank account as the asset, what
parties hold as liabilities, and the venue's commissions as income. Formats: https://beancount.github.io/docs/beancount_language_syntax.html,
https://hledger.org/hledger.html#journal. Carries no server code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import groupby
from typing import Literal, assert_never

from exchange.messages.books import PostingView, SideView

Form = Literal["beancount", "hledger"]

_ZONE = timezone(timedelta(hours=8))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BANKED = frozenset(
    {"top_up", "withdrawal", "payout_return", "bank_adjustment", "suspense_assigned", "treasury_payout"}
)
"""What moves between a party's account here and its own bank account."""
_ROOTS = {
    "bank": "Assets:Bank",
    "cash": "Liabilities:Parties",
    "deposits": "Liabilities:Deposits",
    "dividend": "Liabilities:Dividends",
    "fees": "Income:Commission",
    "suspense": "Liabilities:Suspense",
    "tax": "Liabilities:Tax",
    "treasury": "Liabilities:Treasury",
}
"""Where the market's own journal keeps an account, by its code; others are liabilities under their code."""


@dataclass(frozen=True, slots=True)
class _Leg:
    account: str
    minor: int
    """Debits above nothing, as both tools have it."""
    ledger: str
    transfer: str
    code: str


Written = Iterable[tuple[list[PostingView], list[_Leg]]]


def journal(form: Form, postings: Iterable[PostingView], *, whole: bool, title: str) -> Iterator[str]:
    """The lines of a journal of `postings`, in their order, as they come. `whole` is the market's own point of view.

    Each account is opened on the day of its first posting. Money is written with two decimals, what other ledgers count as
    whole numbers under a name of that ledger's.
    """
    written = (
        (group, [leg for one in group for leg in _legs(one, whole=whole)])
        for group in (list(entry) for _, entry in groupby(postings, key=lambda one: one.index))
    )
    match form:
        case "beancount":
            yield from _beancount(written, title)
        case "hledger":
            yield from _hledger(written, title)
        case _:
            assert_never(form)


def _beancount(written: Written, title: str) -> Iterator[str]:
    yield f'option "title" {_quoted(title)}'
    yield 'option "operating_currency" "CNY"'
    commodities: set[str] = set()
    opened: set[str] = set()
    for group, legs in written:
        day = _day(group[0].time_us)
        for leg in legs:
            commodity = _commodity(leg.ledger)
            if commodity not in commodities:
                commodities.add(commodity)
                yield f"{day} commodity {commodity}"
                yield f"  ledger: {_quoted(leg.ledger)}"
            if leg.account not in opened:
                opened.add(leg.account)
                yield f"{day} open {leg.account}"
        yield ""
        yield f"{day} * {_quoted(_narration(group))}"
        yield f'  entry: "{group[0].index}"'
        for leg in legs:
            yield f"  {leg.account}  {_amount(leg)} {_commodity(leg.ledger)}"
            yield f"    transfer: {_quoted(leg.transfer)}"
            yield f"    code: {_quoted(leg.code)}"
        yield ""


def _hledger(written: Written, title: str) -> Iterator[str]:
    yield f"; {title}"
    yield "commodity 1000.00 CNY"
    declared: set[str] = {"CNY"}
    opened: set[str] = set()
    for group, legs in written:
        for leg in legs:
            if leg.ledger not in declared:
                declared.add(leg.ledger)
                yield f'commodity 1000. "{leg.ledger}"'
            if leg.account not in opened:
                opened.add(leg.account)
                yield f"account {leg.account}"
        yield ""
        yield f"{_day(group[0].time_us)} * ({group[0].index}) {_narration(group)}"
        for leg in legs:
            commodity = "CNY" if leg.ledger == "CNY" else f'"{leg.ledger}"'
            yield f"    {leg.account}  {_amount(leg)} {commodity}  ; transfer:{leg.transfer}, code:{leg.code}"


def _legs(one: PostingView, *, whole: bool) -> Iterator[_Leg]:
    for side, minor in ((one.debit, one.amount), (one.credit, -one.amount)):
        if whole:
            found, sign = f"{_ROOTS.get(side.code, f'Liabilities:{_part(side.code)}')}:{_parts(side)}", 1
        elif side.own:
            found, sign = f"Assets:Exchange:{_parts(side)}", -1
        else:
            found, sign = _other(one.code, spent=side is one.credit), -1
        yield _Leg(found, sign * minor, one.ledger, one.transfer, one.code)


def _other(code: str, *, spent: bool) -> str:
    """What the other side of a party's own posting is to that party."""
    if code in _BANKED:
        return "Assets:Bank"
    return f"{'Expenses' if spent else 'Income'}:{_part(code)}"


def _parts(side: SideView) -> str:
    return ":".join(map(_part, side.id.split(":")))


def _part(name: str) -> str:
    """A part of an account's name: both tools take letters, digits and dashes, Beancount with a capital or a digit first."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "X"
    return words[0].upper() + words[1:]


def _commodity(ledger: str) -> str:
    """Beancount's name for what a ledger counts: capitals, digits and dashes, 24 at most."""
    return re.sub(r"[^A-Z0-9]+", "-", ledger.upper())[:24].strip("-") or "X"


def _amount(leg: _Leg) -> str:
    if leg.ledger != "CNY":
        return str(leg.minor)
    yuan, fen = divmod(abs(leg.minor), 100)
    return f"{'-' if leg.minor < 0 else ''}{yuan}.{fen:02}"


def _narration(group: Sequence[PostingView]) -> str:
    return ", ".join(dict.fromkeys(one.code for one in group))


def _day(time_us: int) -> str:
    """The day in China: the book's own."""
    return (_EPOCH + timedelta(microseconds=time_us)).astimezone(_ZONE).date().isoformat()


def _quoted(words: str) -> str:
    escaped = words.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
