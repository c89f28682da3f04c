"""The story of a market that lost its database and took it back from the regulator's witness, over the network."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from exchange import keys
from exchange.app import running as running_exchange
from exchange.client import Exchange, LogEnded
from exchange.database import Addresses
from exchange.errors import Conflict as NotIn
from exchange.errors import Malformed, Misconfigured, Unavailable
from exchange.recall import bundles_from, recall
from exchange.settings import Settings
from exchange.succession import succeed
from exchange.witness import Witness, keeper
from tests.stories.conftest import (
    INCREMENT_FEN,
    START_FEN,
    Department,
    ServerThread,
    Venue,
    wait_until,
)
from tests.stories.test_witness import made, opened, request, running


def looked(witness: Witness, size: int) -> None:
    """The witness has judged and kept so much of the log."""
    witness.look()
    assert (witness.judged, witness.problem, witness.alarm) == (size, "", None)


async def started(settings: Settings) -> None:
    """Start an exchange, and stop it at once."""
    async with running_exchange(settings, work=False):
        pass


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that say the same."""
    return {
        **os.environ,
        "EXCHANGE_DATA_DIR": str(settings.data_dir),
        "EXCHANGE_DATABASE_URL": str(settings.database_url),
        "EXCHANGE_DATABASE_OWNER_URL": str(settings.database_owner_url),
        "EXCHANGE_SANDBOX": "1",
    }


def test_a_market_comes_back_from_its_witness_and_its_clients_notice_nothing(
    venue: Venue,
    second_database: Addresses,
    weather: Department,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper, "LOOK_S", 1.0)  # it goes on asking the exchange that is lost
    regulator = venue.admit("regulator")
    token = made(venue, tmp_path / "witness")
    witness = opened(tmp_path / "witness", regulator.secrets[0])
    owner, buyer = venue.admit("supplier", people=2), venue.admit("buyer", fen=10_000_000_00)
    looked(witness, venue.administrator.checkpoint().size)
    asset = venue.registered_asset(owner, weather)
    lot = venue.open_lot(owner, asset)
    rival = venue.admit("buyer", fen=10_000_000_00)
    for n, bidder in enumerate((buyer, rival, buyer)):
        if n < 2:
            bidder.client.join_lot(lot)
        bidder.client.place_bid(lot, START_FEN + n * INCREMENT_FEN, f"bid-{n}")
    venue.close(lot)
    (licence,) = buyer.client.licences()
    for party in (buyer, owner):
        party.client.add_signing_key("contracts")
        party.client.sign_contract(licence.trade)
    link = buyer.client.link(licence.id)
    buyer.client.download(link, tmp_path / "product")
    wait_until(lambda: rival.client.me().held_fen == 0, "the loser's deposit to come back")
    remembering = Exchange(venue.server.url, buyer.secrets[0], venue.vkey, remember=tmp_path / "remembered")
    first, free = remembering.lookup("bid-2"), remembering.me().available_fen
    looked(witness, remembering.checkpoint().size)
    remembering.close()
    venue.server.stop()  # and the database is gone

    back = replace(
        venue.settings,
        data_dir=tmp_path / "back",
        database_url=second_database.app_url,
        database_owner_url=second_database.owner_url,
    )
    shutil.copytree(venue.settings.keys_dir, back.keys_dir)
    (tmp_path / "token").write_text(f"{token}\n")

    with pytest.raises(Unavailable, match="does not answer"):
        bundles_from("http://127.0.0.1:9", token, tmp_path / "fetched", say=print)
    with running(witness) as address:
        with pytest.raises(Malformed, match="answers 401") as refused:
            bundles_from(address, "another", tmp_path / "fetched", say=print)
        assert "--token-file" in str(refused.value.remedy)
        done = subprocess.run(
            [sys.executable, "-m", "exchange", "recall", "--witness", address, "--token-file", tmp_path / "token"],
            env=environment_of(back), capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"recalled and proven: the log has {witness.judged} entries" in done.stdout
    witness.close()

    # The log that was seen goes on: keys open, money is there, what was asked is answered as it was.
    server = ServerThread(back)
    try:
        client = Exchange(server.url, buyer.secrets[0], venue.vkey, remember=tmp_path / "remembered")
        assert client.checkpoint().size >= witness.judged
        again = client.lookup("bid-2")
        assert first is not None
        assert again is not None
        assert (again.receipt, again.outcome) == (first.receipt, first.outcome)
        assert client.me().available_fen == free
        client.withdraw(100, identifier="after")
        client.close()
    finally:
        server.stop()


def test_a_log_that_nobody_can_complete_ends_and_everybody_is_told_which_one_goes_on(
    venue: Venue, second_database: Addresses, tmp_path: Path
) -> None:
    regulator, buyer = venue.admit("regulator"), venue.admit("buyer", fen=1_000_00)
    made(venue, tmp_path / "witness")
    witness = opened(tmp_path / "witness", regulator.secrets[0])
    looked(witness, venue.administrator.checkpoint().size)
    kept = witness.judged
    venue.admit("buyer")
    client = venue.client(buyer.secrets[0])
    seen = client.checkpoint()
    note = client.newest_note()
    made(venue, tmp_path / "blind")
    blind = opened(tmp_path / "blind")  # sees leaves alone
    looked(blind, seen.size)
    venue.server.stop()

    # What the first witness has comes back; the rest nobody has but as leaves.
    back = replace(
        venue.settings,
        data_dir=tmp_path / "back",
        database_url=second_database.app_url,
        database_owner_url=second_database.owner_url,
    )
    shutil.copytree(venue.settings.keys_dir, back.keys_dir)
    ours = keys.load(back.keys_dir)
    assert asyncio.run(recall(second_database.app_url, ours, back, witness.bundles(), print)) == kept
    with pytest.raises(NotIn, match=f"no body of entry {kept}"):
        asyncio.run(recall(second_database.app_url, ours, back, blind.bundles(), print))

    (tmp_path / "held.note").write_text(note)
    new = "localhost/data-asset-exchange-2/sandbox"
    done = subprocess.run(
        [
            sys.executable, "-m", "exchange", "succeed", "--origin", new, "--reason", "the disk was lost",
            "--held", tmp_path / "held.note", "--new-key",
        ],
        env=environment_of(back), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"ended with {kept} entries, {seen.size - kept} more were seen and are lost" in " ".join(
        done.stdout.split()
    )
    after = keys.load(back.keys_dir)
    assert after.log != ours.log
    assert (back.keys_dir / f"log-ended-at-{kept}.key").read_bytes() == ours.log
    said = (back.data_dir / f"ended-at-{kept}.note").read_text()

    with pytest.raises(Misconfigured, match=f"holds the log '{new}'"):
        asyncio.run(started(back))
    (back.keys_dir / "log.key").write_bytes(ours.log)
    with pytest.raises(Misconfigured, match="goes on under another key"):
        asyncio.run(started(replace(back, origin=new)))
    (back.keys_dir / "log.key").write_bytes(after.log)
    server = ServerThread(replace(back, origin=new), port=venue.server.port)
    try:
        # Whoever trusts the old log is told by its own key, at whatever is asked.
        for ask in (client.checkpoint, client.market, lambda: client.withdraw(1)):
            with pytest.raises(LogEnded, match=f"goes on as {new}") as told:
                ask()
            assert told.value.note == said
            assert told.value.ended.lost == seen.size - kept
        vkey = told.value.ended.successor
        assert vkey == after.signer(new).vkey
        heir = Exchange(server.url, buyer.secrets[0], vkey)
        heir.withdraw(1)
        assert httpx.get(f"{server.url}/v1/log/ended").text == said
        # The old witnesses sign no more and raise no alarm: the note admits all that they saw.
        for old in (witness, blind):
            assert old.look() is None
            assert (old.alarm, new in old.problem) == (None, True)
            old.close()
        # A witness that begins with the new log judges it from the first entry, and sees the note.
        made(replace(venue, vkey=vkey), tmp_path / "heir")
        anew = opened(tmp_path / "heir", regulator.secrets[0])
        look = anew.look()
        assert look is not None
        assert look.verdict is not None
        assert look.verdict.ok
        assert "the disk was lost" in look.verdict.explain("en")
        assert anew.add_checkpoint(request(heir, 0))
        anew.close()
        heir.close()
    finally:
        server.stop()


def test_an_end_that_admits_less_than_a_witness_saw_is_an_alarm(
    venue: Venue, second_database: Addresses, tmp_path: Path
) -> None:
    regulator = venue.admit("regulator")
    made(venue, tmp_path / "witness")
    witness = opened(tmp_path / "witness", regulator.secrets[0])
    looked(witness, venue.administrator.checkpoint().size)
    kept = witness.judged
    venue.admit("buyer")
    looked(witness, venue.administrator.checkpoint().size)
    venue.server.stop()
    ours = keys.load(venue.settings.keys_dir)
    back = replace(
        venue.settings,
        origin="localhost/another/sandbox",
        data_dir=tmp_path / "back",
        database_url=second_database.app_url,
        database_owner_url=second_database.owner_url,
    )
    shutil.copytree(venue.settings.keys_dir, back.keys_dir)
    first = [path for path in witness.bundles() if path.name.endswith(f"{kept:016}.zip")]
    assert asyncio.run(recall(second_database.app_url, ours, venue.settings, first, print)) == kept
    asyncio.run(
        succeed(
            second_database.app_url,
            ours,
            venue.settings.origin,
            ours.signer(back.origin),
            reason="nothing to see here",
            held=(),
            clock=lambda: 0,
        )
    )
    server = ServerThread(back, port=venue.server.port)
    try:
        assert witness.look() is None
        assert witness.alarm is not None
        assert witness.alarm.kind == "ended"
        assert "less than was witnessed" in witness.alarm.en
        assert len(witness.alarm.evidence) == 2
    finally:
        server.stop()
        witness.close()
