"""The command line as people meet it: help that is whole, refusals that say what to change, verdicts in both languages."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
import typer.main

from exchange.__main__ import main
from exchange.cli import app
from exchange.embedded import APPLICATION, OWNER, SUPERUSER, Postgres
from exchange.settings import MEANINGS
from ledger.checkpoint import Signer

VENUE = "91440101MA0000001Q"
BUNDLE = "bundle.zip"
OPEN = ("init", "--uscc", VENUE, "--name", "the venue", "--administrator", "first administrator")


@dataclass(frozen=True)
class Finished:
    """What a command ended with."""

    status: int
    said: str
    complained: str


@dataclass(frozen=True)
class Terminal:
    """A shell in a folder, with settings for `exchange`."""

    folder: Path
    settings: dict[str, str]

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `exchange …` as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "exchange", *words],
            cwd=self.folder,
            env={**_without_settings(), "PYTHONUNBUFFERED": "1", **self.settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **settings: str) -> Finished:
        """Run `exchange …` to its end: as its process would, in this one, which saves the seconds of a start."""
        said, complained = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complained):
            patch.chdir(self.folder)
            patch.setattr(os, "environ", {**_without_settings(), **self.settings, **settings})
            patch.setattr(sys, "argv", ["exchange", *words])
            patch.setattr(sys, "meta_path", list(sys.meta_path))
            with pytest.raises(SystemExit) as ended:
                main()
        assert isinstance(ended.value.code, int)
        return Finished(ended.value.code, said.getvalue(), complained.getvalue())


def _without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """In an empty folder, without a single setting."""
    return Terminal(tmp_path, {})


@pytest.fixture(scope="module")
def market(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """In a folder where a market was opened, with a bundle of it; no test of this module adds to that market."""
    opened = Terminal(
        tmp_path_factory.mktemp("market"),
        {
            "EXCHANGE_DATA_DIR": "market",
            "EXCHANGE_DATABASE_URL": postgres.url(APPLICATION, "test_cli"),
            "EXCHANGE_DATABASE_OWNER_URL": postgres.url(OWNER, "test_cli"),
            "EXCHANGE_SANDBOX": "1",
        },
    )
    with psycopg.connect(postgres.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE test_cli OWNER {OWNER}")
        done = opened.run(*OPEN)
        assert done.status == 0, done.complained
        (opened.folder / "said.txt").write_text(done.said)
        exported = opened.run("audit", "export", BUNDLE)
        assert exported.status == 0, exported.complained
        assert f"✓ up to entry 1 in {BUNDLE}" in exported.said
        yield opened
        connection.execute("DROP DATABASE test_cli WITH (FORCE)")


def _walk(command: Any, name: str = "exchange") -> Iterator[tuple[str, Any]]:
    yield name, command
    for word, under in getattr(command, "commands", {}).items():
        yield from _walk(under, f"{name} {word}")


ROOT = typer.main.get_command(app)
COMMANDS = dict(_walk(ROOT))


# help


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself_and_every_word_that_it_takes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = COMMANDS[name]
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    with redirect_stdout(io.StringIO()) as said, pytest.raises(SystemExit) as ended:
        ROOT.main([*name.split()[1:], "--help"], prog_name="exchange")
    assert ended.value.code == 0
    shown = said.getvalue()
    assert f"Usage: {name} " in shown
    assert len(command.help or "") > 20
    for parameter in command.params:
        assert (getattr(parameter, "help", None) or "").strip(), parameter.name
        word = max(parameter.opts, key=len) if parameter.param_type_name == "option" else parameter.name
        assert word.lower() in shown.lower()
    for word, under in getattr(command, "commands", {}).items():
        assert word in shown
        assert under.get_short_help_str(60)


def test_the_command_by_itself_shows_the_way_in(terminal: Terminal) -> None:
    by_itself, child = terminal.run(), terminal.start("--help")
    shown, complained = child.communicate(timeout=60)
    assert (child.returncode, complained) == (0, "")
    for words in (by_itself.said or by_itself.complained, shown):
        assert "exchange demo" in words
        assert "exchange init" in words
        assert "exchange settings" in words


def test_a_word_that_does_not_exist_is_a_usage_error(terminal: Terminal) -> None:
    for *words, named in (
        ("sell", "sell"),
        ("demo", "--lang", "fr", "--lang"),
        ("serve", "--port", "70000", "--port"),
        ("init", "--uscc"),
    ):
        done = terminal.run(*words)
        assert (done.status, done.said) == (2, "")
        assert named in done.complained


# settings


def test_the_settings_are_shown_whole_and_without_a_secret(terminal: Terminal) -> None:
    done = terminal.run(
        "settings",
        EXCHANGE_DATABASE_URL="postgresql://app:hush@db.example/market",
        EXCHANGE_CHAIN_URL="https://node.example/very-private",
        EXCHANGE_PORT="8123",
    )
    assert done.status == 0
    for name in MEANINGS:
        assert f"EXCHANGE_{name.upper()} " in done.said
    assert "8123" in done.said
    assert "hush" not in done.said
    assert "very-private" not in done.said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXCHANGE_PORT", "eighty"),
        ("EXCHANGE_HOST", "http://127.0.0.1"),
        ("EXCHANGE_DATABASE_URL", "mysql://app:hush@db.example/market"),
        ("EXCHANGE_DATABASE_OWNER_URL", "postgresql://owner:hush@db.example/market"),
        ("EXCHANGE_CHAIN_URL", "node.example"),
        ("EXCHANGE_ANCHOR_EVERY_S", "0"),
        ("EXCHANGE_ORIGIN", "two words"),
        ("EXCHANGE_SANDBOX", "perhaps"),
        ("EXCHANGE_PROFILE", "elsewhere"),
    ],
)
def test_a_wrong_setting_ends_the_command_with_its_rule_and_remedy(
    terminal: Terminal, name: str, value: str
) -> None:
    done = terminal.run("settings", **{name: value})
    assert (done.status, done.said) == (2, "")
    first, rule, remedy = done.complained.splitlines()
    assert first.startswith(f"✗ {name} ")
    assert first.count(name) <= 2  # not once as a label and again as a sentence
    assert re.match(r"  rule +\S", rule)
    assert re.match(r"  remedy +\S", remedy)
    assert "hush" not in done.complained


# init and serve


def test_init_says_what_to_publish_what_to_keep_and_what_comes_next(market: Terminal) -> None:
    said = (market.folder / "said.txt").read_text()
    vkey = re.search(r"log key \(publish it\) +(\S+)", said)
    link = re.search(
        r"one-time link \(72 h\) +(http://127\.0\.0\.1:8000/zh/enrol#[\w-]{43})$", said, re.MULTILINE
    )
    assert vkey is not None
    assert link is not None
    seed = (market.folder / "market" / "keys" / "log.key").read_bytes()
    assert vkey[1] == Signer("localhost/data-asset-exchange/sandbox", seed).vkey
    assert "exchange serve" in said.splitlines()[-1]
    keys = market.folder / "market" / "keys"
    assert [path.stat().st_mode & 0o777 for path in (keys, *keys.iterdir())] == [0o700, *[0o600] * 4]


def test_a_market_is_opened_once(market: Terminal) -> None:
    keys = {path.name: path.read_bytes() for path in (market.folder / "market" / "keys").iterdir()}
    again = market.run(*OPEN)
    assert (again.status, again.said) == (1, "")
    assert "this market is open already" in again.complained
    assert "remedy" in again.complained
    assert {path.name: path.read_bytes() for path in (market.folder / "market" / "keys").iterdir()} == keys


def test_a_code_with_a_wrong_check_character_opens_nothing(terminal: Terminal) -> None:
    done = terminal.run("init", "--uscc", "914401010000000000", "--name", "v", "--administrator", "a")
    assert (done.status, done.said) == (1, "")
    assert done.complained.startswith("✗ uscc: ")
    assert "GB 32100" in done.complained
    assert list(terminal.folder.iterdir()) == []


@pytest.mark.parametrize(
    "words", [("serve", "--port", "0"), ("audit", "export", "x.zip"), ("backup", "--store", "b")]
)
def test_where_no_market_was_opened_the_remedy_is_init_and_nothing_is_made(
    terminal: Terminal, words: tuple[str, ...]
) -> None:
    done = terminal.run(*words)
    assert (done.status, done.said) == (2, "")
    assert "`exchange init`" in done.complained
    assert list(terminal.folder.iterdir()) == []


def test_a_log_is_not_served_under_another_name(market: Terminal) -> None:
    done = market.run("serve", "--port", "0", EXCHANGE_SANDBOX="0")
    assert (done.status, done.said) == (2, "")
    assert done.complained.startswith("✗ EXCHANGE_ORIGIN: ")
    assert "localhost/data-asset-exchange/sandbox" in done.complained


def test_a_taken_port_and_a_foreign_address_are_told_apart(market: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = market.run("serve", "--port", str(port))
    assert (taken.status, taken.said) == (2, "")
    assert f"127.0.0.1:{port}" in taken.complained
    assert "--port" in taken.complained
    foreign = market.run("serve", "--host", "no..such..host")
    assert foreign.status == 2
    assert foreign.complained.startswith("✗ EXCHANGE_HOST: ")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_server_says_that_it_serves_when_it_does_and_ends_in_order(
    market: Terminal, ending: signal.Signals
) -> None:
    server = market.start("serve", "--port", "0", "--no-work")
    try:
        assert server.stdout is not None
        found = re.fullmatch(
            r"serving on http://127\.0\.0\.1:(\d+) \(Ctrl-C stops\)\n", server.stdout.readline()
        )
        assert found is not None
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=10) as caller:
            caller.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert caller.recv(64).startswith(b"HTTP/1.1 200")
    finally:
        server.send_signal(ending)
        said, complained = server.communicate(timeout=30)
    assert (server.returncode, said, complained) == (0, "", "")


# audit


def _vkey(market: Terminal) -> str:
    found = re.search(r"log key \(publish it\) +(\S+)", (market.folder / "said.txt").read_text())
    assert found is not None
    return found[1]


def test_a_verdict_speaks_both_languages(market: Terminal) -> None:
    offline = Terminal(market.folder, {})
    zh = offline.run("audit", "verify", BUNDLE, "--vkey", _vkey(market), "--lang", "zh")
    en = offline.run("audit", "verify", BUNDLE, "--vkey", _vkey(market))
    assert (zh.status, en.status) == (0, 0)
    assert (zh.complained, en.complained) == ("", "")
    assert zh.said.startswith("结论:已核对的全部通过")
    assert en.said.startswith("Verdict: all that was checked passed")
    assert "[通过] 检查点签名" in zh.said
    assert "[passed] Checkpoints are signed by trusted keys" in en.said
    assert len(zh.said.splitlines()) == len(en.said.splitlines())
    assert not re.search(r"\[(passed|not checked|FAILED)\]", zh.said)


def test_what_nobody_gave_the_means_to_check_is_not_called_passed(market: Terminal) -> None:
    said = Terminal(market.folder, {}).run("audit", "verify", BUNDLE).said
    assert "[not checked] Checkpoints are signed by trusted keys" in said
    assert "[not checked] Checkpoints that the auditor holds" in said
    assert "[not checked] Anchors on a chain" in said


def test_the_verdict_for_programs_is_one_object_and_nothing_else(market: Terminal) -> None:
    done = Terminal(market.folder, {}).run("audit", "verify", BUNDLE, "--vkey", _vkey(market), "--json")
    assert (done.status, done.complained) == (0, "")
    (line,) = done.said.splitlines()
    verdict = orjson.loads(line)
    assert verdict["ok"] is True
    assert verdict["size"] == 1
    assert verdict["replay"]["differences"] == []
    assert "anchors" in verdict["not_checked"]


def test_a_changed_bundle_ends_with_status_one_in_words_and_in_json(market: Terminal) -> None:
    changed = market.folder / "changed.zip"
    with zipfile.ZipFile(market.folder / BUNDLE) as honest, zipfile.ZipFile(changed, "w") as copy:
        for name in honest.namelist():
            content = honest.read(name)
            copy.writestr(
                name, content.replace(b"the venue", b"our venue") if name == "openings.jsonl" else content
            )
    offline = Terminal(market.folder, {})
    words = offline.run("audit", "verify", "changed.zip", "--vkey", _vkey(market))
    assert words.status == 1
    assert words.said.startswith("Verdict: FAILED")
    assert "[not checked] Decisions" in words.said
    for_programs = offline.run("audit", "verify", "changed.zip", "--json")
    assert for_programs.status == 1
    verdict = orjson.loads(for_programs.said)
    assert (verdict["ok"], verdict["replay"]) == (False, None)


@pytest.mark.parametrize("json", [(), ("--json",)])
@pytest.mark.parametrize("content", [b"", b"garbage [/bold]", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_bundle_is_refused_clearly(
    terminal: Terminal, content: bytes, json: tuple[str, ...]
) -> None:
    (terminal.folder / "b[bold].zip").write_bytes(content)
    done = terminal.run("audit", "verify", "b[bold].zip", *json)
    assert (done.status, done.said) == (1, "")
    first, *rest = done.complained.splitlines()
    assert first.startswith("✗ ")
    assert "rule" in rest[0]
    assert "remedy" in rest[1]


def test_what_an_auditor_mistypes_is_named(market: Terminal) -> None:
    offline = Terminal(market.folder, {})
    (market.folder / "binary").write_bytes(b"\xff\xfe\x00")
    wrong_key = offline.run("audit", "verify", BUNDLE, "--vkey", "nonsense")
    assert (wrong_key.status, wrong_key.said) == (1, "")
    assert wrong_key.complained.startswith("✗ vkey: 'nonsense'")
    missing = offline.run("audit", "verify", BUNDLE, "--held", "nowhere")
    assert missing.status == 1
    assert missing.complained.startswith("✗ --held: nowhere cannot be read")
    binary = offline.run("audit", "verify", BUNDLE, "--held", "binary")
    assert binary.complained.startswith("✗ --held: binary cannot be read")
    absent = offline.run("audit", "verify", "absent.zip")
    assert absent.status == 2


def test_an_export_to_nowhere_says_so(market: Terminal) -> None:
    done = market.run("audit", "export", "no/such/folder/bundle.zip")
    assert (done.status, done.said) == (1, "")
    assert done.complained.startswith("✗ out: no/such/folder/bundle.zip cannot be written")


# backup and restore


def test_a_cluster_that_others_run_is_not_backed_up_by_us(market: Terminal) -> None:
    for words in (("backup", "--store", "copies"), ("restore", ".")):
        done = market.run(*words)
        assert (done.status, done.said) == (2, "")
        assert "EXCHANGE_DATABASE_URL" in done.complained
        assert "audit export" in done.complained


def test_a_restore_names_what_is_wrong_with_its_words(terminal: Terminal) -> None:
    keys = terminal.folder / "var" / "keys"
    keys.mkdir(parents=True, mode=0o700)
    for name in ("log", "mac", "links", "backup"):
        (keys / f"{name}.key").write_bytes(bytes(32))
        (keys / f"{name}.key").chmod(0o600)
    (terminal.folder / "binary").write_bytes(b"\xff\xfe\x00")
    no_backup = terminal.run("restore", "nowhere")
    assert no_backup.status == 2
    assert "nowhere cannot be used" in no_backup.complained
    nowhere_named = terminal.run("restore")
    assert nowhere_named.status == 2
    assert nowhere_named.complained.startswith("✗ EXCHANGE_BACKUP_TARGET: no store was named")
    no_moment = terminal.run("restore", "nowhere", "--to", "noon")
    assert no_moment.status == 2
    assert no_moment.complained.startswith("✗ --to: 'noon' is no moment and no entry")
    no_note = terminal.run("restore", "nowhere", "--held", "binary")
    assert no_note.status == 1
    assert no_note.complained.startswith("✗ --held: binary cannot be read")
    shutil.rmtree(terminal.folder / "var")


def test_the_rules_are_shown_compared_and_checked_with_their_sources(terminal: Terminal) -> None:
    shown = terminal.run("rulebook", "show", "auction.soft_close_window_us", "fees")
    assert shown.status == 0
    assert re.search(r"auction\.soft_close_window_us\s+│ 300000000", shown.said)
    assert "fees.buyer_commission_ppm" in shown.said
    assert "listing" not in shown.said
    document = terminal.run("rulebook", "show", "--json", "--preset", "top-level")
    (terminal.folder / "top.json").write_text(document.said)
    same = terminal.run("rulebook", "diff", "top.json", "cn-venue/top-level", "--lang", "zh")
    assert (same.status, "没有不同" in same.said) == (0, True)
    apart = terminal.run("rulebook", "diff", "cn-venue", "top.json")
    assert apart.status == 1
    assert re.search(r"model\.approvals_at_least\s+│ 1 +│ 3", apart.said)
    assert "fees." not in apart.said
    for what in ("cn-venue", "generic", "top.json"):
        assert "clauses" in terminal.run("rulebook", "check", what).said
    broken = orjson.loads(document.said)
    broken["rules"]["fees.buyer_commission_ppm"]["value"] = "50001"
    (terminal.folder / "broken.json").write_bytes(orjson.dumps(broken))
    refused = terminal.run("rulebook", "check", "broken.json")
    assert (refused.status, "fees.buyer_commission_ppm" in refused.complained) == (2, True)
    (terminal.folder / "none.json").write_text("[]")
    for words in (
        ("check", "none.json"),
        ("check", "atlantis"),
        ("show", "no.such"),
        ("diff", "cn-venue/x", "generic"),
    ):
        ended = terminal.run("rulebook", *words)
        assert ended.status in (1, 2)
        assert "remedy" in ended.complained
