"""The story of a market that lost its database and took it back from the regulator's witness, over the network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.client import Exchange
from exchange.database import Addresses
from exchange.errors import Malformed, Unavailable
from exchange.recall import bundles_from
from exchange.witness import Witness
from tests.stories.conftest import (
    INCREMENT_FEN,
    START_FEN,
    Department,
    ServerThread,
    Venue,
    wait_until,
)
from tests.stories.test_witness import made, opened, running


def looked(witness: Witness, size: int) -> None:
    """The witness has judged and kept so much of the log."""
    witness.look()
    assert (witness.judged, witness.problem, witness.alarm) == (size, "", None)


def test_a_market_comes_back_from_its_witness_and_its_clients_notice_nothing(
    venue: Venue, second_database: Addresses, weather: Department, tmp_path: Path
) -> None:
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
    environment = {
        **os.environ,
        "EXCHANGE_DATA_DIR": str(back.data_dir),
        "EXCHANGE_DATABASE_URL": second_database.app_url,
        "EXCHANGE_DATABASE_OWNER_URL": str(second_database.owner_url),
        "EXCHANGE_SANDBOX": "1",
    }
    (tmp_path / "token").write_text(f"{token}\n")

    with pytest.raises(Unavailable, match="does not answer"):
        bundles_from("http://127.0.0.1:9", token, tmp_path / "fetched", say=print)
    with running(witness) as address:
        with pytest.raises(Malformed, match="answers 401") as refused:
            bundles_from(address, "another", tmp_path / "fetched", say=print)
        assert "--token-file" in str(refused.value.remedy)
        done = subprocess.run(
            [sys.executable, "-m", "exchange", "recall", "--witness", address, "--token-file", tmp_path / "token"],
            env=environment, capture_output=True, text=True, check=False,
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
