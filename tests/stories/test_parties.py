"""The story of the parties: an operator's shares, an agreement with its parts, and who may not act, all typed as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exchange.cli import app
from exchange.cli.connection import moment
from exchange.errors import Malformed
from exchange.messages.market import HolderMessage
from tests.stories.conftest import HOUR_US, Venue, uscc
from tests.stories.test_bank import cli

TERMS = """
scope = "hospital data"
products = "datasets"
duties = "processing, selling, answering buyers"
security = "raw data stays with the department"
evaluation = "once a year"
exit = "handed back at the end"
"""


def later(venue: Venue, days: int) -> str:
    """A day to come, as people type it."""
    return moment(venue.now_us() + days * 24 * HOUR_US)[:10]


def test_an_operator_is_declared_agreed_with_and_its_holder_found_related(
    venue: Venue, tmp_path: Path
) -> None:
    operator, owner, bidder = venue.admit("operator"), venue.admit("supplier"), venue.admit("buyer")
    administrator, regulator = venue.administrator, venue.admit("regulator").client
    department, near = owner.client, bidder.client
    sheet, terms = tmp_path / "holders.csv", tmp_path / "terms.toml"
    sheet.write_text(
        f"name,percent,party,state_owned\na telecom,16.5,{bidder.id},\nthe city,48.21,,yes\n",
        encoding="utf-8",
    )
    said = cli(venue, administrator, "parties", "declare", operator.id, str(sheet), "--since", "2026-01-01")
    assert "2 holders" in said
    assert "64.71 %" in said
    shown = cli(venue, operator.client, "parties", "holders", operator.id)
    assert "16.5 %" in shown
    assert "35.29 % is undeclared" in shown
    # Its own word adds what was undeclared, and takes nothing from whom it would rather not name.
    kept = json.loads(cli(venue, operator.client, "parties", "holders", operator.id, "--json"))["holders"]
    city = kept[1]["account"]
    sheet.write_text(
        f"name,percent,party,state_owned,account\nthe city,48.21,,yes,{city}\na fund,51.79,,,\n",
        encoding="utf-8",
    )
    refused = cli(
        venue,
        operator.client,
        "parties",
        "declare",
        operator.id,
        str(sheet),
        "--since",
        "2026-02-01",
        expect=1,
    )
    assert "holders.released" in refused
    sheet.write_text(
        "name,percent,party,state_owned,account\n"
        f"the city,48.21,,yes,{city}\na telecom,16.5,{bidder.id},,\na fund,35.29,,,\n",
        encoding="utf-8",
    )
    cli(venue, operator.client, "parties", "declare", operator.id, str(sheet), "--since", "2026-02-01")
    assert "undeclared" not in cli(venue, operator.client, "parties", "holders", operator.id, "--lang", "zh")
    day = ("--percent", "20", "--from", later(venue, -30), "--until", later(venue, 3 * 365))
    terms.write_text(TERMS, encoding="utf-8")
    cli(venue, department, "parties", "agree", operator.id, str(terms), *day)
    asset = department.declare_asset("Hospital stays", "health", operator=operator.id).outcome["asset"]
    assert asset in cli(venue, operator.client, "parties", "agreements")
    assert cli(venue, regulator, "parties", "agreements", "--expired") == ""
    # Who may not act, and why.
    told = cli(venue, regulator, "parties", "conflicts", asset, bidder.id, expect=1)
    assert f"{bidder.id} holds 16.5 % of {operator.id}" in told
    stranger = venue.admit("buyer")
    assert "✗" not in cli(venue, regulator, "parties", "conflicts", asset, stranger.id)
    letter = tmp_path / "letter.txt"
    letter.write_text("we act as one")
    cli(venue, regulator, "parties", "relate", stranger.id, "controls", bidder.id, "--evidence", str(letter))
    zh = cli(venue, regulator, "parties", "conflicts", asset, stranger.id, "--lang", "zh", expect=1)
    assert f"{stranger.id} 实际控制 {bidder.id}" in zh
    assert stranger.id in cli(venue, near, "parties", "holders", bidder.id)
    cli(venue, regulator, "parties", "relate", stranger.id, "controls", bidder.id, "--ended")
    assert "✗" not in cli(venue, regulator, "parties", "conflicts", asset, stranger.id)


def test_a_deputy_comes_for_a_while_and_somebody_leaves(venue: Venue) -> None:
    owner = venue.admit("supplier")
    (me,) = owner.client.people()
    until = later(venue, 3)
    term = ("--deputy-of", me.person, "--until", until)
    said = json.loads(cli(venue, owner.client, "parties", "invite", owner.id, "a deputy", *term, "--json"))
    deputy = venue.client()
    deputy.enrol(said["link"])
    assert deputy.me().person == said["person"]
    assert f"deputy of {me.person} until {until}" in cli(venue, owner.client, "parties", "people")
    assert "1 keys ended" in cli(venue, owner.client, "parties", "leave", said["person"])
    assert "已离任" in cli(venue, owner.client, "parties", "people", "--lang", "zh")


def test_an_organisation_is_registered_suspended_and_let_go_on_by_command(
    venue: Venue, tmp_path: Path
) -> None:
    sheet, admin = tmp_path / "holders.csv", venue.administrator
    sheet.write_text("name,percent\nthe city,100\n", encoding="utf-8")
    code = ("register", uscc(900), "Harbour Data")
    roles = ("--role", "operator", "--role", "buyer", "--holders", str(sheet))
    party = json.loads(cli(venue, admin, "parties", *code, *roles, "--json"))["outcome"]["id"]
    assert "the city" in cli(venue, admin, "parties", "holders", party)
    alike = cli(
        venue, admin, "parties", "register", uscc(901), "Harb\u043eur Data", "--role", "buyer", expect=1
    )
    assert "name.scripts" in alike
    said = cli(venue, admin, "parties", "suspend", party, "--reason", "asked by the court")
    assert f"{party} is suspended" in said
    again = cli(venue, admin, "parties", "suspend", party, "--reason", "settled", "--lift", "--lang", "zh")
    assert f"{party} 已恢复" in again


def test_S30_a_party_is_led_in_step_by_step(venue: Venue, tmp_path: Path) -> None:
    admin, (owner, operator) = (
        venue.administrator,
        (venue.admit("supplier"), venue.admit("operator", "buyer")),
    )
    told = cli(venue, owner.client, "parties", "steps", expect=1)
    assert "✗ a second person" in told
    assert (
        "· documents accepted: exchange parties file …, then an administrator reviews them (business_licence)"
        in told
    )
    second = json.loads(cli(venue, owner.client, "parties", "invite", owner.id, "a second person", "--json"))
    venue.client().enrol(second["link"])
    paper = tmp_path / "licence.pdf"
    paper.write_bytes(b"the licence of a department")
    cli(venue, owner.client, "parties", "file", owner.id, "business_licence", str(paper))
    cli(venue, admin, "parties", "review", owner.id, str(paper), "accept", "--reason", "seen")
    assert cli(venue, owner.client, "parties", "steps").count("✓") == 2
    open_steps = json.loads(cli(venue, operator.client, "parties", "steps", "--json", expect=1))["steps"]
    assert [each["step"] for each in open_steps if each["needed"]] == ["holders", "agreement", "money"]
    whole = HolderMessage(name="the city", share_ppm=1_000_000)
    operator.client.declare_holders(operator.id, venue.now_us(), [whole])
    venue.agree(owner, operator, 100_000)
    venue.bank.client.top_up(operator.id, 1_00, "slip")
    assert "✗" not in cli(venue, operator.client, "parties", "steps", "--lang", "zh")
    analyst = venue.admit("service_provider")
    assert "✗ a key that signs" in cli(venue, analyst.client, "parties", "steps", expect=1)
    analyst.client.add_signing_key("reports")
    assert "✗" not in cli(venue, analyst.client, "parties", "steps")


def test_a_licence_is_shown_and_reviewed_by_command(venue: Venue, tmp_path: Path) -> None:
    owner, other = venue.admit("buyer"), venue.admit("administrator")
    paper = tmp_path / "licence.pdf"
    paper.write_bytes(b"a licence")
    until = later(venue, 365)
    said = cli(
        venue, owner.client, "parties", "file", owner.id, "business_licence", str(paper), "--expires", until
    )
    assert "waits for review" in said
    reason = ("--reason", "the public register says so")
    cli(venue, other.client, "parties", "review", owner.id, str(paper), "accept", *reason)
    blurred = tmp_path / "blurred.pdf"
    blurred.write_bytes(b"?")
    cli(venue, owner.client, "parties", "file", owner.id, "other", str(blurred))
    back = cli(
        venue, other.client, "parties", "review", owner.id, str(blurred), "refuse", "--reason", "illegible"
    )
    assert "rejected" in back
    told = cli(venue, owner.client, "parties", "documents", owner.id)
    assert f"business_licence accepted: the public register says so → {until}" in told


@pytest.mark.parametrize(
    ("command", "text", "told"),
    [
        (("register", uscc(1), "x", "--role", "king", "--holders"), "name,percent\na,100\n", "king"),
        (("declare", "org-1"), "name,share\na,100\n", "columns name, share"),
        (("declare", "org-1"), "", "are missing"),
        (("declare", "org-1"), "name,percent\na,16.50001\n", "16.50001"),
        (("declare", "org-1"), "name,percent\na,-1\n", "-1"),
        (("declare", "org-1"), "name,percent\n,100\n", "line 2: name"),
        (("declare", "org-1"), "name,percent\na,100,more,and more\n", "more"),
        (("agree", "org-1"), TERMS.replace("exit", "leaving"), "exit"),
        (("agree", "org-1"), "scope = ", "TERMS"),
    ],
)
def test_a_sheet_that_is_none_is_refused_before_anything_is_sent(
    tmp_path: Path, command: tuple[str, ...], text: str, told: str
) -> None:
    file = tmp_path / "TERMS.toml"
    file.write_text(text, encoding="utf-8")
    options: dict[str, tuple[str, ...]] = {
        "register": (),
        "declare": ("--since", "2026-01-01"),
        "agree": ("--percent", "20", "--from", "2026-01-01", "--until", "2027-01-01"),
    }
    done = CliRunner().invoke(
        app,
        ["parties", *command, str(file), *options[command[0]]],
        env={"EXCHANGE_KEY": "k", "EXCHANGE_URL": "http://127.0.0.1:9"},
    )
    assert isinstance(done.exception, Malformed)
    assert told in done.exception.detail
