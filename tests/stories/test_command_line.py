"""The story of the shell: an enterprise that trades by commands alone, and programs that read their answers and statuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer import Exit
from typer.testing import CliRunner, Result

from exchange.cli import app
from exchange.cli.connection import NO, UNKNOWN, UNTRUSTED, Lang, connected, fen_of, instant_us, span_us
from exchange.client import Unknown
from exchange.errors import Malformed, Misconfigured
from exchange.messages.market import OfferMessage
from pricing.errors import PricingError
from tests.stories.conftest import HOUR_US, START_FEN, Department, Member, Venue


@dataclass
class Shell:
    """A terminal of one person: the key lies in a file."""

    venue: Venue
    folder: Path
    member: Member
    url: str | None = None

    def __post_init__(self) -> None:
        self.key_file = self.folder / f"{self.member.id}.key"
        self.key_file.touch(0o600)
        self.key_file.write_text(self.member.secrets[0] + "\n")

    @property
    def environ(self) -> dict[str, str]:
        return {
            "EXCHANGE_URL": self.url or self.venue.server.url,
            "EXCHANGE_VKEY": self.venue.vkey,
            "EXCHANGE_KEY_FILE": str(self.key_file),
            "COLUMNS": "200",
        }

    def type(self, *words: str, expect: int = 0, **more: str | None) -> Result:
        """Type a command."""
        done = CliRunner().invoke(app, [*words], env={**self.environ, **more})
        assert done.exit_code == expect, done.output + repr(done.exception)
        assert self.member.secrets[0] not in done.output
        return done

    def json(self, *words: str, expect: int = 0) -> list[dict[str, Any]]:
        """What a command prints for programs."""
        return [json.loads(line) for line in self.type(*words, "--json", expect=expect).stdout.splitlines()]


def test_an_enterprise_trades_from_the_shell_and_every_answer_can_be_piped_on(
    venue: Venue, weather: Department, tmp_path: Path
) -> None:
    seller = venue.admit("supplier", people=2)
    buyer, rival = venue.admit("buyer", fen=90_000_00), venue.admit("buyer", fen=90_000_00)
    asset = venue.registered_asset(seller, weather)
    listing = seller.client.offer_fixed_price(
        asset, OfferMessage(grant="licence", licences=5, term_days=30, price_fen=1_000_00)
    ).outcome["id"]
    lot = venue.open_lot(seller, asset)
    shell, other = Shell(venue, tmp_path, buyer), Shell(venue, tmp_path, rival)
    # Look, and ask for the whole cost first; nothing of that is on the record.
    (shown,) = shell.json("lots")
    assert (shown["id"], shown["start_price_fen"]) == (lot, str(START_FEN))
    assert lot in shell.type("lots").stdout
    size = venue.administrator.checkpoint().size
    told = shell.json("bid", lot, "10000", "--dry-run", expect=NO)[0]
    assert told["reason"]["code"] == "bid.no_deposit"
    assert int(told["cost"]["total_fen"]) > START_FEN
    assert venue.administrator.checkpoint().size == size
    # Join twice, bid twice under one identifier: once on the record.
    (joined,) = shell.json("join", lot)
    assert shell.json("join", lot)[0]["index"] == joined["index"]
    other.type("join", lot)
    (first,) = shell.json("bid", lot, "10,000.00", "--id", "shell-1")
    (again,) = shell.json("bid", lot, "10000", "--id", "shell-1")
    assert (again["index"], again["repeated"]) == (first["index"], True)
    assert shell.json("lookup", "shell-1")[0]["index"] == first["index"]
    assert shell.type("lookup", "shell-2", expect=NO).stdout == ""
    refused = shell.type("bid", lot, "10000.01", "--id", "shell-3", expect=NO)
    assert "shell-3" in refused.stderr
    assert "bid." in refused.stderr
    assert "entry" in refused.stderr
    assert "已入日志" in shell.type("bid", lot, "10000.01", "--lang", "zh", expect=NO).stderr
    # An agent holds the lot as long as its maximum lasts; the rival's is higher.
    other.type("bid", lot, "12000", "--up-to")
    outbid = shell.json("bid", lot, "10150", "--up-to", expect=NO)[0]
    assert outbid["standing"] is False
    assert "you hold the lot" in other.type("bid", lot, "12000", "--up-to").stdout
    # Receipts are fetched, verified and kept; anybody verifies them again without an exchange.
    kept = tmp_path / "receipt.json"
    shell.type("receipt", str(first["index"]), "--out", str(kept))
    policy = tmp_path / "policy"
    policy.write_text(f"log {venue.vkey}\nquorum none\n")
    CliRunner().invoke(app, ["audit", "receipt", str(kept), "--policy", str(policy)])
    assert json.loads(kept.read_text())["index"] == first["index"]
    # Buy at a fixed price, look at the money, take some home.
    (cost,) = shell.json("order", listing, "--licences", "2", "--dry-run")
    (bought,) = shell.json("order", listing, "--licences", "2")
    assert bought["outcome"]["voucher"]["price_fen"] == cost["cost"]["price_fen"] == "200000"
    (payout,) = shell.json("withdraw", "12.34")
    assert shell.json("withdrawals")[0]["payout"] == payout["outcome"]["payout"]
    lines = shell.json("statement")
    assert [line["code"] for line in lines][0 :: len(lines) - 1] == ["top_up", "withdrawal"]
    table = shell.type("statement").stdout
    assert "money in" in table
    assert "held: 1,000.00 yuan, deposit" in table
    assert "冻结 1,000.00 元" in shell.type("statement", "--lang", "zh").stdout
    sheet = shell.type("statement", "--csv", "--lang", "zh").stdout_bytes.decode("utf-8-sig")
    assert sheet.splitlines()[0].startswith("序号,日志条目")
    assert len(sheet.splitlines()) == len(lines) + 3
    assert shell.json("statement", "--since", "2099-01-01") == []
    # A watch that is cut off goes on where it was, and ends when the lot is settled.
    position = tmp_path / "position"
    watching = subprocess.Popen(
        [sys.executable, "-m", "exchange", "watch", lot, "--json", "--position", str(position)],
        env={**_without_settings(), **shell.environ, "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["kind"] == "snapshot"
    while not position.exists():  # kept behind what was told: whoever is cut off in between is told it again
        time.sleep(0.01)
    watching.kill()
    watching.communicate()
    other.type("bid", lot, "13000")
    venue.close(lot)
    followed = shell.json("watch", lot, "--position", str(position))
    assert [event["kind"] for event in followed] == ["bid", "lot_closed", "lot_settled"]
    assert followed[0]["price_fen"] == "1300000"
    assert "settled" in shell.type("watch", lot, "--after", followed[-2]["index"]).stdout
    assert other.json("lots") == []
    assert "sold" in other.type("lots", "--all").stdout


def _without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}


def test_webhooks_are_kept_from_the_shell_and_their_secret_is_shown_once(
    venue: Venue, tmp_path: Path
) -> None:
    shell = Shell(venue, tmp_path, venue.admit("buyer"))
    (made,) = shell.json("webhook", "create", "https://hooks.example.com/in", "--kind", "bid", "--id", "hook")
    assert made["secret"].startswith("whsec_")
    assert shell.json(
        "webhook", "create", "https://hooks.example.com/in", "--kind", "bid", "--id", "hook"
    ) == [made]
    shell.type("webhook", "create", "http://127.0.0.1/in", expect=NO)
    (seen,) = shell.json("webhook", "list")
    assert (seen["id"], seen["kinds"], seen["state"]) == (made["webhook"], ["bid"], "active")
    (rotated,) = shell.json("webhook", "rotate", made["webhook"])
    assert rotated["secret"] != made["secret"]
    assert made["secret"] not in shell.type("webhook", "list").stdout
    shell.type("webhook", "replay", made["webhook"], "--from", "1")
    assert "撤销" in shell.type("webhook", "remove", made["webhook"], "--lang", "zh").stdout
    assert shell.json("webhook", "list") == []


def test_every_way_to_fail_has_its_words_and_its_status(venue: Venue, tmp_path: Path) -> None:
    shell = Shell(venue, tmp_path, venue.admit("buyer"))
    nowhere = Shell(venue, tmp_path, shell.member, url="http://127.0.0.1:9")
    # The exchange says no.
    assert "remedy" in shell.type("join", "lot-none", expect=NO).stderr
    assert "办法" in shell.type("clock", "1h", "--lang", "zh", expect=NO).stderr
    # Another log than the one that is trusted.
    other = "other.example/log+" + venue.vkey.partition("+")[2]
    assert shell.type("lots", "--vkey", other, expect=UNTRUSTED).stderr
    # Wrong words, which never reach the exchange.
    for words in (
        ("bid", "lot-1", "1.234"), ("bid", "lot-1", "-5"), ("bid", "lot-1", "5", "--up-to", "--dry-run"), ("top-up", "5"),
    ):  # fmt: skip
        done = CliRunner().invoke(app, [*words], env=nowhere.environ)
        assert done.exit_code != 0
    missing = CliRunner().invoke(app, ["join", "lot-1"], env={"EXCHANGE_URL": venue.server.url})
    assert isinstance(missing.exception, Misconfigured)
    assert "never from the command line" in str(missing.exception.rule)
    # A key that others can read is used, and warned of.
    shell.key_file.chmod(0o644)
    assert "chmod 600" in shell.type("withdrawals").stderr


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_write_without_an_answer_says_how_to_repeat_it(
    lang: Lang, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Exit) as ended, connected("http://127.0.0.1:9", None, None, None, lang, keyed=False):
        raise Unknown("bid-1", "no answer within 60 s")
    assert ended.value.exit_code == UNKNOWN
    assert "--id bid-1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "fen"),
    [("12500", 12_500_00), ("12,500.00", 12_500_00), ("0.5", 50), ("1,234,567.89", 1_234_567_89)],
)
def test_yuan_are_read_as_people_write_them(typed: str, fen: int) -> None:
    assert fen_of(typed) == fen


@pytest.mark.parametrize("typed", ["", "1.001", "-1", "1e3", "12,50", "１２"])
def test_what_is_no_amount_of_yuan_is_refused(typed: str) -> None:
    with pytest.raises(PricingError):
        fen_of(typed)


def test_spans_and_moments_are_read_as_people_write_them() -> None:
    assert [span_us(text) for text in ("90s", "15m", "+2h", "3d")] == [
        90_000_000, HOUR_US // 4, 2 * HOUR_US, 72 * HOUR_US,
    ]  # fmt: skip
    assert instant_us("1970-01-02") == 16 * HOUR_US
    assert instant_us("1970-01-01T00:00:01Z") == 1_000_000
    for read, text in ((span_us, "2 hours"), (span_us, "0s"), (instant_us, "yesterday")):
        with pytest.raises(Malformed):
            read(text)
