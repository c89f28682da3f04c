"""The story of who follows the log: with a key and without, over restarts, and what happens when history changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from exchange.client import Forbidden, Forked
from exchange.client.following import Follower
from exchange.database import Addresses
from ledger.audit import audit
from tests.stories.conftest import INCREMENT_FEN, START_FEN, Department, Venue

MONEY = ("accounts", "transfers", "double_entry", "account_rows", "transfer_rows")


def traded(venue: Venue, weather: Department) -> None:
    """A lot with two bidders, closed and settled."""
    owner = venue.admit("supplier", people=2)
    lot = venue.open_lot(owner, venue.registered_asset(owner, weather))
    for number, member in enumerate(venue.admit("buyer", fen=50_000_00) for _ in range(2)):
        member.client.join_lot(lot)
        member.client.place_bid(lot, START_FEN + number * INCREMENT_FEN)
    venue.close(lot)


def test_a_regulator_follows_money_and_decisions_from_where_it_stopped(
    venue: Venue, weather: Department, tmp_path: Path
) -> None:
    regulator = venue.admit("regulator")
    key = tmp_path / "key"
    key.write_text(f"{regulator.secrets[0]}\n")

    def follow() -> tuple[int, list[dict[str, object]]]:
        done = subprocess.run(
            [
                sys.executable, "-m", "exchange", "audit", "follow", venue.server.url, "--vkey", venue.vkey,
                "--folder", str(tmp_path / "followed"), "--key-file", str(key), "--once", "--json",
            ],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    code, (first,) = follow()
    assert (code, first["ok"], first["start"]) == (0, True, 0)
    traded(venue, weather)
    code, (second,) = follow()
    assert (code, second["ok"], second["start"]) == (0, True, first["size"])
    checks = {check["name"]: check["status"] for check in second["checks"]}  # type: ignore[attr-defined]
    assert {checks[name] for name in (*MONEY, "bodies", "signatures", "held_checkpoints")} == {"passed"}
    assert second["replay"]["judged"]["bids"] == 2  # type: ignore[index]
    assert second["replay"]["differences"] == []  # type: ignore[index]
    code, (third,) = follow()
    assert (code, third) == (0, {"ok": True, "start": second["size"], "size": second["size"]})


def test_anybody_follows_the_public_leaves(venue: Venue, weather: Department, tmp_path: Path) -> None:
    follower = Follower(venue.server.url, tmp_path / "followed", [venue.vkey])
    first = follower.look()
    assert first.verdict is not None
    traded(venue, weather)
    again = Follower(venue.server.url, tmp_path / "followed", [venue.vkey])
    second = again.look()
    assert second.verdict is not None
    assert second.verdict.ok
    assert second.start == first.size
    assert [path.name for path in again.bundles] == [
        f"{0:016}-{first.size:016}.zip",
        f"{first.size:016}-{second.size:016}.zip",
    ]
    for name in ("leaves", "time", "checkpoints", "signatures", "held_checkpoints"):
        assert second.verdict.check(name).status == "passed"
    for name in ("bodies", *MONEY):
        assert second.verdict.check(name).status == "not checked"
    follower.close()
    again.close()


def test_a_row_changed_behind_the_ledgers_back_is_found_at_the_next_look_and_kept_as_evidence(
    venue: Venue, weather: Department, database: Addresses, tmp_path: Path
) -> None:
    regulator = venue.admit("regulator")
    follower = Follower(venue.server.url, tmp_path / "followed", [venue.vkey], regulator.secrets[0])
    sound = follower.look()
    assert sound.verdict is not None
    assert sound.verdict.ok
    buyer = venue.admit("buyer", fen=70_000_00)
    assert database.owner_url is not None
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(
            "UPDATE account SET credits_posted = credits_posted + 1 WHERE id IN"
            " (SELECT account FROM party WHERE id = %s)",
            (buyer.id,),
        )
    found = follower.look()
    assert found.verdict is not None
    assert [c.name for c in found.verdict.checks if c.status == "failed"] == ["account_rows", "double_entry"][
        :1
    ]
    assert found.bundle is not None
    assert found.bundle.parent.name == "evidence"
    # Nothing of it was remembered: the next look begins at the same place, and finds it again.
    assert follower.look().start == sound.size
    follower.close()


def test_a_log_that_was_set_back_convicts_itself(venue: Venue, database: Addresses, tmp_path: Path) -> None:
    venue.admit("buyer")
    follower = Follower(venue.server.url, tmp_path / "followed", [venue.vkey])
    follower.look()
    assert database.owner_url is not None
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("ALTER TABLE log_chunk DISABLE TRIGGER USER")
        connection.execute("DELETE FROM log_chunk WHERE size = (SELECT max(size) FROM log_chunk)")
        connection.execute(
            "UPDATE log_head SET size = c.size, peaks = c.peaks FROM"
            " (SELECT size, peaks FROM log_chunk ORDER BY size DESC LIMIT 1) c"
        )
    with pytest.raises(Forked) as forked:
        follower.look()
    assert forked.value.seen != forked.value.shown
    follower.close()


def test_each_party_takes_its_own_record_home_and_proves_its_money(
    venue: Venue, weather: Department, tmp_path: Path
) -> None:
    regulator = venue.admit("regulator")
    owner = venue.admit("supplier", people=2)
    lot = venue.open_lot(owner, venue.registered_asset(owner, weather))
    winner, loser = (venue.admit("buyer", fen=50_000_00) for _ in range(2))
    for member, price in ((loser, START_FEN), (winner, START_FEN + INCREMENT_FEN)):
        member.client.join_lot(lot)
        member.client.place_bid(lot, price)
    venue.close(lot)
    for member in (owner, winner, loser):
        path = tmp_path / f"{member.id}.zip"
        member.client.audit_bundle(path)
        verdict = audit(path, [venue.vkey])
        assert verdict.ok, verdict.explain("en")
        assert verdict.party == member.id
        assert verdict.check("account_rows").saying == "party_balances_ok"
        assert verdict.check("transfer_rows").saying == "party_rows_ok", verdict.explain("en")
        assert verdict.check("bodies").status == "not checked"
    with pytest.raises(Forbidden):
        loser.client.audit_bundle(tmp_path / "no.zip", party=winner.id)
    regulator.client.audit_bundle(tmp_path / "one.zip", party=winner.id)
    assert audit(tmp_path / "one.zip", [venue.vkey]).party == winner.id


def test_a_period_is_exported_with_proof_that_it_is_whole(
    venue: Venue, weather: Department, tmp_path: Path
) -> None:
    regulator = venue.admit("regulator")
    traded(venue, weather)
    size = regulator.client.checkpoint().size
    regulator.client.audit_bundle(tmp_path / "period.zip", start=5, stop=size - 3)
    verdict = audit(tmp_path / "period.zip", [venue.vkey])
    assert verdict.ok, verdict.explain("en")
    assert verdict.start <= 5 < size - 3 <= verdict.size <= size
    for name in ("leaves", "bodies", "checkpoints", "consistency", "signatures"):
        assert verdict.check(name).status == "passed", verdict.explain("en")
    for name in MONEY:
        assert verdict.check(name).status == "not checked"
