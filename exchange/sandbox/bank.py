"""The sandbox's bank: keeps the venue's escrow account in a book of its own, and trusts no word of the exchange.

Customers order transfers, which arrive after a while of the market's time; the bank books them and tells the exchange with
a key of its own. It pays out against the receipt of a withdrawal, which it verifies, and some of that comes back. Once a
day, at midnight in China, it writes a statement. What banks get wrong it gets wrong on demand: it tells twice, tells another
amount than it booked, tells nothing at all, or names a payee whom nobody knows.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_never

import orjson

from exchange.client import Exchange, ExchangeProblem, TooMany
from exchange.client.statement import write_statement
from exchange.errors import Malformed
from exchange.messages.bank import ReturnReason, StatementLineMessage, StatementMessage

logger = logging.getLogger(__name__)

DAY_US = 86_400_000_000
MIDNIGHT_US = 16 * 3_600_000_000
"""Midnight in China, as a time of the day in UTC."""


@dataclass(frozen=True, slots=True)
class Delays:
    """How long things take, in microseconds of the market's time."""

    pay_in_us: int = 0
    payout_us: int = 3_600_000_000
    return_us: int = DAY_US


@dataclass(slots=True)
class Booking:
    """Money that moved on the escrow account: in above nothing, out below it."""

    reference: str
    amount_fen: int
    booked_us: int
    note: str


@dataclass(slots=True)
class Transfer:
    """Money that is on its way in; told to the exchange as `told_fen`, `notices` times (0: never)."""

    reference: str
    payee: str
    amount_fen: int
    told_fen: int
    notices: int
    due_us: int


@dataclass(slots=True)
class Payout:
    """An order of the exchange, until it is paid and, where it comes back, until that is told."""

    payout: str
    party: str
    amount_fen: int
    due_us: int
    paid: bool = False


@dataclass(slots=True)
class _Book:
    """All that the bank knows; kept in one file, whole or not at all."""

    numbers: int = 0
    closed_us: int = 0
    """Up to where statements were written."""
    closed_fen: int = 0
    payouts_seen: list[str] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    payouts: list[Payout] = field(default_factory=list)
    bookings: list[Booking] = field(default_factory=list)
    """Since the last statement."""
    refused: dict[str, ReturnReason] = field(default_factory=dict)
    """Parties whose payouts come back, and why."""


class Bank:
    """One escrow account, in a folder of its own; one process a folder.

    Nothing happens by itself: `turn` does what is due by the market's time, and whatever the exchange did not answer is told
    again at the next turn, which the exchange takes for the same.
    """

    def __init__(self, exchange: Exchange, folder: Path, delays: Delays | None = None) -> None:
        self._exchange, self._folder, self._delays = exchange, folder, delays or Delays()
        folder.mkdir(mode=0o700, exist_ok=True)
        self._file = folder / "book.json"
        self._book = _read(self._file) if self._file.exists() else _Book(closed_us=self.now_us())

    def now_us(self) -> int:
        """The market's time."""
        return self._exchange.market().now_us

    @property
    def balance_fen(self) -> int:
        """What is on the escrow account."""
        return self._book.closed_fen + sum(one.amount_fen for one in self._book.bookings)

    def order_transfer(
        self,
        payee: str,
        amount_fen: int,
        *,
        after_us: int | None = None,
        notices: int = 1,
        told_fen: int | None = None,
    ) -> Transfer:
        """A customer orders money to the escrow account for `payee`; it arrives after a while (`turn`)."""
        if amount_fen <= 0 or not payee.strip() or len(payee) > 200 or not 0 <= notices <= 9:
            raise Malformed(
                "transfer.form",
                f"{amount_fen} fen for {payee[:40]!r}, told {notices} times",
                field="amount_fen" if amount_fen <= 0 else "payee",
                rule="an amount above nothing, a payee of 1 to 200 characters, at most 9 notices",
                remedy="correct it and order again",
            )
        self._book.numbers += 1
        transfer = Transfer(
            reference=f"in-{self._book.numbers:06d}-{secrets.token_hex(3)}",
            payee=payee,
            amount_fen=amount_fen,
            told_fen=amount_fen if told_fen is None else told_fen,
            notices=notices,
            due_us=self.now_us() + (self._delays.pay_in_us if after_us is None else after_us),
        )
        self._book.transfers.append(transfer)
        self._keep()
        return transfer

    def refuse_payouts(self, party: str, reason: ReturnReason) -> None:
        """From now on what is paid out to a party comes back, because of this."""
        self._book.refused[party] = reason
        self._keep()

    def turn(self) -> None:
        """Take new orders of the exchange, and do all that is due, in the order of the market's time."""
        now_us = self.now_us()
        self._take_orders(now_us)
        while (first := self._first_due(now_us)) is not None:
            self._close_days(first.due_us)
            match first:
                case Transfer():
                    self._arrive(first)
                case Payout():
                    self._pay(first)
                case _:  # pragma: no cover
                    assert_never(first)
            self._keep()
        self._close_days(now_us)

    def close_statement(self) -> tuple[str, StatementMessage]:
        """Do what is due and end the statement now; as CSV, and as it is imported."""
        self.turn()
        return self._close(self.now_us())

    def statements(self) -> list[Path]:
        """The statements that were written, the oldest first."""
        return sorted(self._folder.glob("*.csv"))

    # within

    def _first_due(self, now_us: int) -> Transfer | Payout | None:
        every: list[Transfer | Payout] = [*self._book.transfers, *self._book.payouts]
        due = [one for one in every if one.due_us <= now_us]
        return min(due, key=lambda one: one.due_us, default=None)

    def _take_orders(self, now_us: int) -> None:
        seen = set(self._book.payouts_seen)
        for order in reversed(self._exchange.withdrawals("ordered")):
            if order.payout in seen:
                continue
            # The receipt is proven by the client; that it is this order is judged here.
            said = self._exchange.receipt(order.index).said()
            act = said["act"]
            if (said["kind"], act["payout"], said["party"]) != ("withdrawn", order.payout, order.party):
                raise ValueError(f"entry {order.index} does not order {order.payout}")
            self._book.payouts.append(
                Payout(order.payout, order.party, int(act["amount_fen"]), now_us + self._delays.payout_us)
            )
            self._book.payouts_seen.append(order.payout)
            self._keep()

    def _arrive(self, transfer: Transfer) -> None:
        """Book it, then tell of it: whoever is killed in between tells of it at the next turn."""
        if transfer.amount_fen:
            self._put(transfer.reference, transfer.amount_fen, transfer.due_us, f"for {transfer.payee}")
            transfer.amount_fen = 0
            self._keep()
        for _ in range(transfer.notices):
            with _said_no():
                self._exchange.top_up(transfer.payee, transfer.told_fen, transfer.reference)
        self._book.transfers.remove(transfer)

    def _pay(self, payout: Payout) -> None:
        reason = self._book.refused.get(payout.party)
        if not payout.paid:
            self._put(payout.payout, -payout.amount_fen, payout.due_us, f"to {payout.party}")
            payout.paid = True
            if reason is not None:
                payout.due_us += self._delays.return_us
                return
        elif reason is not None:
            reference = f"back-{payout.payout}"[:64]
            if all(one.reference != reference for one in self._book.bookings):
                self._put(reference, payout.amount_fen, payout.due_us, f"{reason}: back from {payout.party}")
                self._keep()
            with _said_no():
                self._exchange.return_payout(payout.payout, reason, reference)
        self._book.payouts.remove(payout)

    def _put(self, reference: str, amount_fen: int, due_us: int, note: str) -> None:
        booked_us = max(due_us, self._book.closed_us)
        self._book.bookings.append(Booking(reference, amount_fen, booked_us, note))

    def _close_days(self, now_us: int) -> None:
        """Write the statement of what was booked up to the last midnight that is over."""
        midnight_us = (now_us - MIDNIGHT_US) // DAY_US * DAY_US + MIDNIGHT_US
        if midnight_us > self._book.closed_us:
            self._close(midnight_us)

    def _close(self, ends_us: int) -> tuple[str, StatementMessage]:
        told = [one for one in self._book.bookings if one.booked_us < ends_us]
        closing_fen = self._book.closed_fen + sum(one.amount_fen for one in told)
        ended = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ends_us - 1, hours=8)
        name = f"{ended:%Y-%m-%d}"
        if (ends_us - MIDNIGHT_US) % DAY_US:
            name += f"-{ended:%H%M%S%f}"
        statement = StatementMessage(
            statement=name,
            begins_us=self._book.closed_us,
            ends_us=ends_us,
            opening_fen=self._book.closed_fen,
            closing_fen=closing_fen,
            lines=[
                StatementLineMessage(
                    reference=one.reference, amount_fen=one.amount_fen, booked_us=one.booked_us
                )
                for one in told
            ],
        )
        text = write_statement(statement, [one.note for one in told])
        _put_file(self._folder / f"{name}.csv", text.encode())
        self._book.bookings = [one for one in self._book.bookings if one.booked_us >= ends_us]
        self._book.closed_us, self._book.closed_fen = ends_us, closing_fen
        self._keep()
        return text, statement

    def _keep(self) -> None:
        _put_file(self._file, orjson.dumps(asdict(self._book)))


@contextmanager
def _said_no() -> Iterator[None]:
    """What the exchange answered no to is not told again: the bank's own book stands, and the statement will show it."""
    try:
        yield
    except TooMany:
        raise
    except ExchangeProblem as problem:
        logger.warning("the exchange said no: %s", problem)


def _read(path: Path) -> _Book:
    kept: dict[str, Any] = orjson.loads(path.read_bytes())
    return _Book(
        **{
            **kept,
            "transfers": [Transfer(**one) for one in kept["transfers"]],
            "payouts": [Payout(**one) for one in kept["payouts"]],
            "bookings": [Booking(**one) for one in kept["bookings"]],
        }
    )


def _put_file(path: Path, data: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(data)
    os.replace(fresh, path)
