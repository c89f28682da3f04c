"""The main job, once, as its users start it: the whole story in a process of its own, which leaves only its evidence."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from exchange import replay
from ledger.audit import audit
from ledger.audit.disclosed import bodies

SECONDS = 600  # by when a demo that hangs is ended
MEMBERS = {
    "verdict",
    "assets",
    "auctions",
    "bids",
    "trades",
    "refusals",
    "accounts",
    "difference_fen",
    "log_size",
    "root",
    "anchor",
    "bundle",
    "seconds",
}


@dataclass(frozen=True)
class Told:
    """What one run of the demo said, what it left on the disk, and what still ran of it afterwards."""

    status: int
    lines: list[str]
    complaints: str
    home: Path
    left: list[str]
    running: list[str]

    @property
    def said(self) -> dict[str, Any]:
        answer: dict[str, Any] = orjson.loads(self.lines[-1])
        return answer


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    home = tmp_path_factory.mktemp("demo")
    # Not below pytest's own folder, which the database's account may not enter.
    with tempfile.TemporaryDirectory(prefix="exchange-demo-test-") as temporary:
        os.chmod(temporary, 0o711)
        child = subprocess.Popen(
            [sys.executable, "-m", "exchange", "demo", "--json"],
            cwd=home,
            env={**os.environ, "TMPDIR": temporary},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            said, complaints = child.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            said, complaints = child.communicate()
            pytest.fail(f"the demo took more than {SECONDS} s: {complaints}")
        running = _named(temporary)
        left = sorted(os.listdir(temporary))
    return Told(child.returncode, said.splitlines(), complaints, home, left, running)


def _named(text: str) -> list[str]:
    """The command lines of all processes that were started with this text among their words or settings."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:  # it ended, or it is not ours to read
            continue
        if text.encode() in words and int(process.name) != os.getpid():
            found.append(words.split(b"\0\0")[0].replace(b"\0", b" ").decode(errors="replace")[:200])
    return found


@pytest.mark.timeout(SECONDS + 60)
def test_the_demo_says_one_object_that_passes(told: Told) -> None:
    assert (told.status, told.complaints) == (0, "")
    assert len(told.lines) == 1
    said = told.said
    assert set(said) >= MEMBERS
    assert said["verdict"] == "pass"
    assert said["difference_fen"] == 0
    assert said["assets"] >= 3
    assert said["auctions"] >= 2
    assert said["trades"] >= said["auctions"]
    assert said["bids"] > said["auctions"]
    assert said["accounts"] > 0
    assert re.fullmatch("[0-9a-f]{64}", said["root"])
    assert said["anchor"]["checked"] is True
    assert isinstance(said["anchor"]["chain_id"], int)
    assert re.fullmatch("(0x)?[0-9a-f]{64}", said["anchor"]["tx"])
    assert 0 < said["seconds"] < SECONDS


def test_the_demo_was_refused_all_that_must_fail(told: Told) -> None:
    refused = told.said["refused"]
    assert told.said["refusals"] == len(refused)
    for what, code in (
        ("a second use of a one-time link", "invitation.unknown"),
        ("raw data", "release.not_as_declared"),
        ("a missing approval", "path.risk_assessment_missing"),
        ("an approval by the assessor", "authorization.four_eyes"),
        ("an early bid", "bid.not_open"),
        ("a late bid", "bid.closed"),
        ("an overdrawn buyer", "transfer.exceeds_credits"),
        ("a tampered row", "audit.account_rows"),
    ):
        assert code in refused, what


def test_the_evidence_holds_for_whoever_judges_it_again(told: Told) -> None:
    said = told.said
    bundle = told.home / said["bundle"]
    with zipfile.ZipFile(bundle) as archive:
        manifest = orjson.loads(archive.read("manifest.json"))
    kinds = [body["kind"] for _, body in bodies(bundle)]
    verdict = audit(bundle, manifest["vkeys"], None)
    assert verdict.ok
    assert (verdict.size, verdict.root.hex()) == (said["log_size"], said["root"])
    assert len(verdict.balances) == said["accounts"]
    assert sum(account.balance for account in verdict.balances.values()) == 0
    again = replay.from_bundle(bundle)
    assert again.differences == []
    assert kinds.count("bid") == said["bids"]
    assert manifest["sandbox"] is True
    # The chain was the sandbox's own and is gone: here nobody can have read it.
    assert verdict.check("anchors").status == "not checked"


def test_the_demo_leaves_its_evidence_and_nothing_else(told: Told) -> None:
    assert told.running == []
    assert told.left == []
    assert [str(path.relative_to(told.home)) for path in told.home.rglob("*") if path.is_file()] == [
        told.said["bundle"]
    ]
