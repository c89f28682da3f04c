"""The operator's story of two machines: one is lost in the middle of bidding, the other takes over and hands back.

Real Patroni and etcd on this machine, from the configuration that `exchange cluster init` writes; the market is
reached through the SDK alone, whose clients go through every gap by themselves.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import pytest

from exchange.client import Done, Refused
from exchange.cluster import Loopback
from exchange.cluster.plan import TEMPLATES
from exchange.database import Addresses
from exchange.embedded import APPLICATION, OWNER, SUPERUSER, Postgres, binaries
from exchange.errors import Misconfigured
from ledger.audit import audit
from tests.stories.conftest import Department, Member, ServerProcess, ServerThread, Venue, opened
from tests.stories.test_trouble import Floor, fold, in_the_log, record_of, seat

MISSING = frozenset({"cluster.no_etcd", "cluster.no_patroni"})
PATIENCE_S = 120
"""How long a bidder's client goes on by itself: longer than any outage here."""


@pytest.fixture
def cluster() -> Iterator[Loopback]:
    with tempfile.TemporaryDirectory(prefix="exchange-cluster-") as folder:
        os.chmod(folder, 0o711)  # the account that runs the database has to pass; it is not root
        try:
            found = Loopback.start(Path(folder))
        except Misconfigured as missing:
            if missing.code in MISSING:
                pytest.skip(f"{missing.detail}: {missing.remedy}")
            raise
        with found:
            yield found


@dataclass
class Market:
    """A market on a cluster, with bidders on one lot who are never told to stop."""

    cluster: Loopback
    venue: Venue
    lot: str
    regulator: Member
    floor: Floor
    outages_s: dict[str, float] = field(default_factory=dict)

    def through(self, what: str, trouble: Callable[[], object]) -> None:
        """Bid before, during and after a trouble; the longest time without an answer is its outage."""
        self.floor.wait_for(40)
        watch = Watch(self.floor)
        with watch:
            trouble()
            self.cluster.wait_until_synchronous()
            self.floor.wait_for(40)
        self.outages_s[what] = round(watch.longest_s, 1)


class Watch:
    """The longest time between two answers, for as long as the context lasts."""

    def __init__(self, floor: Floor) -> None:
        self.longest_s = 0.0
        self._floor = floor
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        known, since = len(self._floor.answered), time.monotonic()
        while not self._over.wait(0.05):
            found, now = len(self._floor.answered), time.monotonic()
            self.longest_s = max(self.longest_s, now - since)
            if found > known:
                known, since = found, now


@contextmanager
def market(cluster: Loopback, folder: Path, weather: Department) -> Iterator[Market]:
    """Open a market on the cluster and let three bidders bid; at the end the whole record is judged."""
    addresses = Addresses(cluster.app_url, cluster.owner_url)
    with opened(folder / "exchange", addresses, ServerProcess, synchronous=True) as venue:
        regulator = venue.admit("regulator")
        lot = seat(venue, weather)
        members = [venue.admit("buyer", fen=90_000_000_00) for _ in range(3)]
        for member in members:
            member.client.join_lot(lot)
        clients = [venue.client(member.secrets[0], timeout_s=PATIENCE_S) for member in members]
        with Floor(lot, clients) as floor:
            found = Market(cluster, venue, lot, regulator, floor)
            yield found
        nothing_lost(found, folder)


def nothing_lost(market: Market, folder: Path) -> None:
    """Each answered bid is in the log once and at its index, and nothing else is; every silence is explained."""
    told = dict(market.floor.answered)
    for bidder in market.floor.bidders:
        for identifier, price_fen in bidder.unknown.items():
            found = bidder.client.lookup(identifier)
            try:
                told[identifier] = bidder.client.place_bid(market.lot, price_fen, identifier)
            except Refused as refused:
                told[identifier] = refused.done
            assert found is None or found.receipt == told[identifier].receipt
    bodies = record_of(market.venue, market.regulator.client, folder)
    assert in_the_log(bodies) == {key: (done.index, done.outcome) for key, done in told.items()}
    fold(bodies, market.lot, lambda index, code: False)
    assert_one_history(market)
    assert_same_on_both(market.cluster, told)


def assert_one_history(market: Market) -> None:
    """No client ever saw a head that the log did not grow from."""
    for bidder in market.floor.bidders:
        newest = bidder.client.newest_seen()
        assert newest is not None
        assert bidder.client.checkpoint().size >= newest.size


def assert_same_on_both(cluster: Loopback, told: dict[str, Done]) -> None:
    """Both machines hold every answered act, each on a disk of its own."""
    for name in cluster.nodes:
        with psycopg.connect(cluster.superuser_url(name)) as connection:
            rows = connection.execute("SELECT key, log_index FROM request").fetchall()
        assert dict(rows).items() >= {(key, done.index) for key, done in told.items()}


def test_a_lost_primary_is_replaced_and_handed_back_in_the_middle_of_bidding(
    cluster: Loopback, tmp_path: Path, weather: Department
) -> None:
    with market(cluster, tmp_path, weather) as found:
        first = leading(cluster)

        def lose() -> None:
            cluster.kill_machine(first)
            assert cluster.wait_for_take_over(first) == cluster.other(first)
            cluster.start_machine(first)

        found.through("take-over", lose)
        assert cluster.primary() == cluster.other(first)
        found.through("fail-back", lambda: assert_leads(cluster.switch_over(), first))
        assert cluster.primary() == first
    assert all(not bidder.unknown for bidder in found.floor.bidders)  # the SDK went through by itself
    assert found.outages_s["fail-back"] < found.outages_s["take-over"] < 60


def test_a_market_moves_into_a_cluster_with_its_whole_record(
    postgres: Postgres, database: Addresses, tmp_path: Path
) -> None:
    """As the runbook says, word by word; that the other database is a cluster's makes no difference to it."""
    runbook = (TEMPLATES / "README.en.md").read_text()
    assert runbook.count("pg_dump -Fc") == 1
    with opened(tmp_path / "exchange", database, ServerThread) as venue:
        buyer = venue.admit("buyer", fen=5_000_00)
        held = buyer.client.checkpoint()
        with another(postgres) as cluster:
            for words in re.findall(r"^    (pg_(?:dump|restore) .*)$", runbook, re.MULTILINE):
                meant = {
                    "OLD_OWNER_ADDRESS": database.owner_url,
                    "EXCHANGE_DATABASE_OWNER_URL": cluster.owner_url,
                    "market.dump": str(tmp_path / "market.dump"),
                }
                command = [str(meant.get(word, word)) for word in words.split()]
                command[0] = str(binaries() / command[0])
                subprocess.run(command, check=True)
            server = ServerThread(
                replace(venue.settings, database_url=cluster.app_url, database_owner_url=cluster.owner_url)
            )
            try:
                moved = venue.client(buyer.secrets[0], url=server.url)
                assert moved.checkpoint().root == held.root
                bank = venue.client(venue.bank.secrets[0], url=server.url)
                bank.top_up(buyer.id, 1_00, "slip-after")
                moved.audit_bundle(tmp_path / "moved.zip")
                assert audit(tmp_path / "moved.zip", [venue.vkey]).ok
            finally:
                server.stop()


@contextmanager
def another(postgres: Postgres) -> Iterator[Addresses]:
    """An empty database, as `roles.sh` makes one."""
    name = "moved_market"
    with psycopg.connect(postgres.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
        try:
            yield Addresses(postgres.url(APPLICATION, name), postgres.url(OWNER, name))
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def assert_leads(leader: str, expected: str) -> None:
    assert leader == expected


@pytest.mark.drill
@pytest.mark.timeout(1200)
def test_seven_troubles_one_after_the_other_lose_nothing(
    cluster: Loopback, tmp_path: Path, weather: Department, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash_of_postgres() -> None:
        lost = leading(cluster)
        cluster.kill_postgres(lost)
        cluster.wait_for_take_over(lost)

    def loss_of_the_primary() -> None:
        lost = leading(cluster)
        cluster.kill_machine(lost)
        cluster.wait_for_take_over(lost)
        cluster.start_machine(lost)

    def loss_of_the_standby() -> None:
        lost = cluster.other(leading(cluster))
        cluster.kill_machine(lost)
        time.sleep(5)
        cluster.start_machine(lost)

    def paused_primary_that_comes_back() -> None:
        """As a partition from everybody: its lines stay open, and afterwards it still believes that it leads."""
        paused = leading(cluster)
        with psycopg.connect(cluster.superuser_url(paused)) as stubborn:
            stubborn.execute("SELECT pg_logical_emit_message(true, 'stubborn', '')")
            cluster.pause(paused)
            cluster.wait_for_take_over(paused)
            cluster.resume(paused)
            with pytest.raises(psycopg.OperationalError):  # it acknowledges nothing any more
                stubborn.commit()

    def loss_of_etcd() -> None:
        cluster.kill_machine("seat")
        time.sleep(30)  # longer than the lead lasts
        cluster.start_machine("seat")

    def two_losses_in_a_row() -> None:
        loss_of_the_primary()
        cluster.wait_until_synchronous()
        loss_of_the_primary()

    with market(cluster, tmp_path, weather) as found:
        for trouble in (
            crash_of_postgres,
            loss_of_the_primary,
            loss_of_the_standby,
            paused_primary_that_comes_back,
            loss_of_etcd,
            two_losses_in_a_row,
            cluster.switch_over,
        ):
            found.through(trouble.__name__, trouble)
    with capsys.disabled():
        print(
            f"\nstandby: {len(found.floor.answered)} acknowledged, 0 lost, 0 ghosts; outages {found.outages_s} s"
        )
    assert found.outages_s["loss_of_etcd"] < 10  # the primary goes on while it reaches its standby
    assert max(found.outages_s.values()) < 90


def leading(cluster: Loopback) -> str:
    """The machine that leads now."""
    found = cluster.primary()
    assert found is not None
    return found
