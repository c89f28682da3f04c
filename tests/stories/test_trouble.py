"""The operator's story in trouble: servers and databases die in the middle of bidding, and nothing is lost."""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange.client import Done, Exchange, Refused, Unknown
from exchange.database import Addresses
from exchange.embedded import Postgres
from exchange.replay import from_bundle
from ledger.audit import audit
from ledger.audit.disclosed import bodies
from pricing.auctions import Admitted, AscendingRules, Bid, admit, open_standing
from tests.stories.conftest import (
    INCREMENT_FEN,
    START_FEN,
    Department,
    ServerProcess,
    Venue,
    opened,
    wait_until,
)


@dataclass
class Bidding:
    """A bidder that raises and raises, and notes what it was told of each bid: answered, or unknown."""

    client: Exchange
    lot: str
    steps: Iterator[int]
    answered: dict[str, Done] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    failed: BaseException | None = None

    def run(self, until: threading.Event) -> None:
        try:
            while not until.is_set():
                price_fen = START_FEN + next(self.steps) * INCREMENT_FEN
                identifier = self.client.fresh_identifier()
                try:
                    self.answered[identifier] = self.client.place_bid(self.lot, price_fen, identifier)
                except Refused as refused:
                    self.answered[identifier] = refused.done
                except Unknown as unknown:
                    self.unknown[unknown.identifier] = price_fen
                    time.sleep(0.2)
        except BaseException as error:
            self.failed = error


class Floor:
    """Several bidders at once, each in a thread of its own, for as long as the context lasts."""

    def __init__(self, lot: str, clients: list[Exchange]) -> None:
        steps = itertools.count()  # next() is one step of the interpreter: no two bidders name the same price
        self.bidders = [Bidding(client, lot, steps) for client in clients]
        self._over = threading.Event()
        self._threads = [threading.Thread(target=bidder.run, args=(self._over,)) for bidder in self.bidders]

    def __enter__(self) -> Floor:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        assert [bidder.failed for bidder in self.bidders] == [None] * len(self.bidders)

    @property
    def answered(self) -> dict[str, Done]:
        return {key: done for bidder in self.bidders for key, done in list(bidder.answered.items())}

    def wait_for(self, more: int) -> None:
        """Until this many more bids are answered."""
        enough = len(self.answered) + more
        wait_until(lambda: len(self.answered) >= enough, f"{more} more bids", 40)


def seat(venue: Venue, weather: Department) -> str:
    """A lot that is open for bids."""
    owner = venue.admit("supplier", people=2)
    return venue.open_lot(owner, venue.registered_asset(owner, weather))


def fold(bodies: list[tuple[int, dict[str, Any]]], lot: str, suspended: Callable[[int, str], bool]) -> None:
    """Decide every bid of a lot again, in log order, and find what the log says."""
    opening = next(body for _, body in bodies if body["kind"] == "lot_opened" and body["act"]["id"] == lot)
    terms: dict[str, Any] = {
        name: None if value is None else int(value)
        for name, value in opening["act"]["rules"].items()
        if name != "ladder"
    }
    rules = AscendingRules(**terms)
    standing = open_standing(rules)
    for index, body in bodies:
        act = body["act"]
        if body["kind"] != "bid" or act["lot"] != lot:
            continue
        bid = Bid(act["code"], body["key"], int(act["price_fen"]), index, int(body["time"]))
        if suspended(index, act["code"]):
            expected = "suspended"
        else:
            decision = admit(rules, standing, bid)
            expected = "admitted" if isinstance(decision, Admitted) else decision.reason.value
            standing = decision.standing if isinstance(decision, Admitted) else standing
        logged = act["reason"]["code"].removeprefix("bid.") if act["state"] == "refused" else "admitted"
        assert (index, logged) == (index, expected)


def record_of(venue: Venue, regulator: Exchange, folder: Path) -> list[tuple[int, dict[str, Any]]]:
    """The whole log, taken home, replayed without a difference."""
    bundle = folder / "record.zip"
    regulator.audit_bundle(bundle)
    assert audit(bundle, [venue.vkey]).ok
    assert from_bundle(bundle).differences == []
    return list(bodies(bundle))


def in_the_log(bodies: list[tuple[int, dict[str, Any]]]) -> dict[str, tuple[int, Any]]:
    """Every bid of the log by its identifier, which occurs once."""
    bids = [(body["key"], (index, body["act"])) for index, body in bodies if body["kind"] == "bid"]
    found = dict(bids)
    assert len(found) == len(bids)
    return found


def test_a_server_killed_in_the_middle_of_an_auction_loses_nothing(
    database: Addresses, tmp_path: Path, weather: Department
) -> None:
    with opened(tmp_path / "exchange", database, ServerProcess) as venue:
        regulator = venue.admit("regulator")
        lot = seat(venue, weather)
        members = [venue.admit("buyer", fen=90_000_000_00) for _ in range(3)]
        for member in members:
            member.client.join_lot(lot)
        with Floor(lot, [member.client for member in members]) as floor:
            floor.wait_for(20)
            assert isinstance(venue.server, ServerProcess)
            venue.server.kill()
            time.sleep(0.3)
            venue.server = ServerProcess(venue.settings, port=venue.server.port)
            floor.wait_for(20)
        # The bidders' own clients went through the gap: the same bids, under the same identifiers.
        assert all(not bidder.unknown for bidder in floor.bidders)
        bodies = record_of(venue, regulator.client, tmp_path)
        logged = in_the_log(bodies)
        assert {key: (done.index, done.outcome) for key, done in floor.answered.items()} == logged
        fold(bodies, lot, lambda index, code: False)
        venue.close(lot)
        view = venue.administrator.lot(lot)
        assert view.winner_code == view.standing_code


def test_a_database_killed_in_the_middle_of_bidding_keeps_every_answer_and_explains_every_silence(
    weather: Department, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="exchange-stories-") as folder:
        os.chmod(folder, 0o711)  # the server's account has to pass
        postgres = Postgres.start(Path(folder))
        try:
            addresses = Addresses(postgres.app_url, postgres.owner_url)
            with opened(tmp_path / "exchange", addresses, ServerProcess) as venue:
                _bid_through_a_crash(venue, postgres, weather, tmp_path)
        finally:
            postgres.discard()


def _bid_through_a_crash(venue: Venue, postgres: Postgres, weather: Department, tmp_path: Path) -> None:
    regulator = venue.admit("regulator")
    lot = seat(venue, weather)
    members = [venue.admit("buyer", fen=90_000_000_00) for _ in range(4)]
    for member in members:
        member.client.join_lot(lot)
    # They give up soon, so that some bids stay without an answer.
    impatient = [venue.client(member.secrets[0], timeout_s=0.8) for member in members]
    with Floor(lot, impatient) as floor:
        floor.wait_for(20)
        postgres.kill()
        time.sleep(1.5)
        postgres.restart()
        floor.wait_for(20)

    # Every silence is explained: what took effect is found, what did not is settled by sending it again.
    assert any(bidder.unknown for bidder in floor.bidders)
    settled: dict[str, Done] = {}
    for bidder, member in zip(floor.bidders, members, strict=True):
        for identifier, price_fen in bidder.unknown.items():
            found = member.client.lookup(identifier)
            try:
                again = member.client.place_bid(lot, price_fen, identifier)
            except Refused as refused:
                again = refused.done
            assert again.repeated == (found is not None)
            assert found is None or found.receipt == again.receipt
            settled[identifier] = again

    # Every acknowledged bid is in the log at its index, and nothing else is.
    bodies = record_of(venue, regulator.client, tmp_path)
    told = {key: (done.index, done.outcome) for key, done in (floor.answered | settled).items()}
    assert in_the_log(bodies) == told
    fold(bodies, lot, lambda index, code: False)
    for bidder in floor.bidders:
        newest = bidder.client.newest_seen()
        assert newest is not None
        assert bidder.client.checkpoint().size >= newest.size  # one history, through the crash


def test_two_servers_and_a_suspension_agree_on_one_order(
    database: Addresses, tmp_path: Path, weather: Department
) -> None:
    rounds = 2
    with opened(tmp_path / "exchange", database, ServerProcess) as venue:
        second = ServerProcess(venue.settings, work=False)
        try:
            regulator = venue.admit("regulator")
            lot = seat(venue, weather)
            members = [venue.admit("buyer", fen=90_000_000_00) for _ in range(3)]
            codes = [member.client.join_lot(lot).outcome["code"] for member in members]
            target = members[0]
            # Every bidder bids through both servers at once.
            clients = [member.client for member in members]
            clients += [venue.client(member.secrets[0], url=second.url) for member in members]
            with Floor(lot, clients) as floor:
                for _ in range(rounds):
                    floor.wait_for(12)
                    regulator.client.set_party_state(target.id, "suspended", "an inquiry")
                    floor.wait_for(12)
                    regulator.client.set_party_state(target.id, "active", "the inquiry ended")
            bodies = record_of(venue, regulator.client, tmp_path)
        finally:
            second.stop()

    changes = [
        (index, body["act"]["state"])
        for index, body in bodies
        if body["kind"] == "party_state_set" and body["act"]["party"] == target.id
    ]
    assert len(changes) == 2 * rounds

    def suspended(index: int, code: str) -> bool:
        """As the log has it at this place, whichever process decided."""
        states = [state for at, state in changes if at < index]
        return code == codes[0] and bool(states) and states[-1] == "suspended"

    logged = in_the_log(bodies)
    assert {key: (done.index, done.outcome) for key, done in floor.answered.items()} == logged
    assert any(suspended(index, act["code"]) for index, act in logged.values())
    fold(bodies, lot, suspended)
