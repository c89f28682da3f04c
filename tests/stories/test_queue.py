"""A department behind its wall: what crosses is queued, crosses once, and holds nothing of the raw table."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from exchange.cli import app
from exchange.client import Exchange
from exchange.client.queue import Queue, Told
from exchange.errors import Conflict, Malformed, Unprocessable
from exchange.messages.assets import AssetMessage
from ledger.checkpoint import Verifier
from ledger.entries import receipt_from_json, verify_receipt
from tests.stories.conftest import Department, Member, Venue, wait_until

HARM = ("--harm", "personal_rights:ordinary:a stay could be recognised")
ANSWERED = ("--no-state-secret", "--no-trade-secret", "--not-consented")


CALLED: set[int] = set()
"""The ports that this process connected to, by way of the interpreter itself."""


def _note(event: str, given: tuple[object, ...]) -> None:
    if event == "socket.connect" and isinstance(address := given[1], tuple):
        CALLED.add(address[1])


sys.addaudithook(_note)


@dataclass
class Wire:
    """The line between department and exchange: keeps every byte that is sent, and can lose the answers to writes."""

    port: int
    target: int
    sent: bytearray = field(default_factory=bytearray)
    loses_answers: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def carry(self, near: socket.socket, far: socket.socket) -> None:
        """Carry one connection; from the first write on that is to be lost, nothing comes back on it."""
        lost = threading.Event()

        def outward() -> None:
            with contextlib.suppress(OSError):
                while data := near.recv(1 << 16):
                    if self.loses_answers and b"POST /" in data:
                        lost.set()
                    self.sent += data
                    far.sendall(data)
                far.shutdown(socket.SHUT_WR)

        def inward() -> None:
            with contextlib.suppress(OSError):
                while data := far.recv(1 << 16):
                    if not lost.is_set():
                        near.sendall(data)
                near.shutdown(socket.SHUT_WR)

        for way in (outward, inward):
            threading.Thread(target=way, daemon=True).start()


@contextlib.contextmanager
def wire(venue: Venue) -> Iterator[Wire]:
    """A line to the exchange that listens on 127.0.0.1."""
    listener = socket.create_server(("127.0.0.1", 0))
    line = Wire(listener.getsockname()[1], venue.server.port)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                line.carry(near, socket.create_connection(("127.0.0.1", line.target)))

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield line
    finally:
        listener.close()


@dataclass
class Shell:
    """A terminal of one person of the department, with the key in a file."""

    folder: Path
    url: str
    vkey: str

    @classmethod
    def of(cls, folder: Path, member: Member, person: int, venue: Venue, url: str) -> Shell:
        home = folder / f"person-{person}"
        home.mkdir()
        key = home / "key"
        key.touch(0o600)
        key.write_text(member.secrets[person])
        return cls(home, url, venue.vkey)

    @property
    def queue(self) -> Path:
        return self.folder / "queue"

    @property
    def environ(self) -> dict[str, str]:
        told = {"URL": self.url, "VKEY": self.vkey, "KEY_FILE": str(self.folder / "key")}
        return {f"EXCHANGE_{name}": value for name, value in told.items()} | {"COLUMNS": "200"}

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start a command in the person's folder, as a process of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}
        return subprocess.Popen(
            [sys.executable, "-m", "exchange", "desensitize", *map(str, words)],
            cwd=self.folder,
            env={**kept, **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str | Path, expect: int = 0) -> str:
        """Run a command in the person's folder, and give what it said and what it ended with."""
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(app, ["desensitize", *map(str, words)], env=self.environ)
        said = f"{done.output}{done.stderr}{done.exception or ''}"
        assert done.exit_code == expect, (words, said)
        return said


def work_of(shell: Shell, hospital: Department) -> Path:
    """The asset's directory as scan leaves it."""
    work = shell.folder / "work"
    work.mkdir(mode=0o700)
    (work / "report.json").write_text(json.dumps(hospital.scan.report))
    (work / "policy.json").write_bytes(hospital.scan.policy.canonical())
    (work / "raw.salt").write_bytes(hospital.salt)
    return work


def kinds(venue: Venue, owner: Member) -> Counter[str]:
    """What of the department's is in the log, by kind."""
    found: Counter[str] = Counter()
    size = venue.administrator.checkpoint().size
    for index in range(size):
        with contextlib.suppress(Exception):
            body = json.loads(owner.client.receipt(index).body)
            found[body["kind"]] += body.get("party") == owner.id
    return found


def test_S9_a_department_that_is_cut_off_keeps_what_it_would_send_and_nothing_raw_ever_crosses(
    venue: Venue, hospital: Department, tmp_path: Path
) -> None:
    owner = venue.admit("supplier", people=2)
    with wire(venue) as line:
        assessor, approver = (Shell.of(tmp_path, owner, n, venue, line.url) for n in (0, 1))
        work = work_of(assessor, hospital)
        titled = ("--title", "住院满意度", "--kind", "health")
        assert "no asset yet" in assessor.run("queue", "assessment", work, *HARM, expect=1)
        assessor.run("queue", "assessment", work, *titled, *HARM, *ANSWERED)

        # The exchange cannot be reached: all of it stays, and the status says so.
        nowhere = socket.create_server(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{nowhere.getsockname()[1]}"
        nowhere.close()
        assert "send again later" in assessor.run("send", "--url", closed, "--timeout", "1", expect=3)
        assert assessor.run("queue", "list", expect=1).count("waits") == 2
        assessor.run("fetch", work, expect=1)

        sent = assessor.run("send")
        assert sent.count("✓") == 2
        assert "✓" not in assessor.run("send")  # there is nothing left to send
        asset = re.search(r"ast-[0-9a-f]+", sent)[0]  # type: ignore[index]  # it stands there
        assessment = owner.client.asset(asset).assessments[0].id
        assert "by 0 levels" in assessor.run("fetch", work, expect=1)

        file = approver.run("show", asset, "--lang", "zh")
        assert all(
            shown in file for shown in ("住院满意度", "已评估,待审批", "有条件开放", assessment, "mobile")
        )
        approver.run("queue", "approval", asset, assessment)
        assert "this queue is of" in approver.run("send", "--queue", assessor.queue, expect=1)
        approver.run("send")
        assessor.run("fetch", work)
        CALLED.clear()
        assessor.run(
            *("apply", hospital.raw, "--policy", work / "policy.json"),
            *("--authorization", work / "authorization.json", "--vkey", venue.vkey, "--out", work),
        )
        assessor.run("queue", "release", work, "--theme", "medical_care")
        assert set() == CALLED  # what touches the raw table talks to nobody
        crossed = len(line.sent)
        product = (work / "product.parquet").read_bytes()
        assessor.run("send")
        assert line.port in CALLED
        assert len(line.sent) - crossed > len(product)
        assessor.run("queue", "list")
        assert "level 1 of 1" in approver.run("show", asset)

    found = owner.client.asset(asset)
    assert (found.asset.state, found.asset.title) == ("applied", "住院满意度")
    queue = Queue(assessor.queue)
    for item in queue.items():
        answer = queue.answer(item.identifier)
        assert answer is not None
        verify_receipt(receipt_from_json(answer["receipt"]), [Verifier.parse(venue.vkey)])
    assert {kind: n for kind, n in kinds(venue, owner).items() if n} == {
        "asset_declared": 1,
        "risk_assessed": 1,
        "release_authorized": 1,
        "product_released": 1,
        "theme_assigned": 1,
        "registration_applied": 1,
    }
    require_nothing_raw(bytes(line.sent), product, hospital)


def require_nothing_raw(sent: bytes, product: bytes, hospital: Department) -> None:
    """No identifier of the raw table, no row of it and no secret is among the bytes, in any spelling they could have."""
    assert product in sent
    lines = hospital.raw.read_text(encoding="utf-8").splitlines()[1:]
    secrets = [line.split(",")[0] for line in lines] + lines + [hospital.raw.read_text(encoding="utf-8")]
    spelled = [hospital.salt, hospital.salt.hex().encode(), b64encode(hospital.salt)]
    for secret in secrets:
        spelled += [secret.encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be", "gb18030")]
        spelled.append(b64encode(secret.encode())[:-4])
        if secret.isdecimal():
            spelled += [int(secret).to_bytes(8, "little"), int(secret).to_bytes(8, "big")]
    assert [secret for secret in spelled if secret and secret in sent] == []
    # What is packed inside the product: none of the identifiers, and no row as it was.
    shown = pq.read_table(pyarrow.BufferReader(product))
    values = {str(value) for name in shown.column_names for value in shown.column(name).to_pylist()}
    assert values.isdisjoint(line.split(",")[0] for line in lines)
    rows = {",".join(map(str, row.values())) for row in shown.to_pylist()}
    assert rows.isdisjoint(lines)


def test_a_queue_that_is_cut_off_killed_copied_and_sent_from_two_shells_takes_effect_once(
    venue: Venue, hospital: Department, tmp_path: Path
) -> None:
    owner = venue.admit("supplier", people=2)
    with wire(venue) as line:
        assessor = Shell.of(tmp_path, owner, 0, venue, line.url)
        work = work_of(assessor, hospital)
        assessor.run("queue", "assessment", work, "--title", "t", "--kind", "health", *HARM, *ANSWERED)
        # Killed after the exchange took the first item, before its answer came.
        line.loses_answers = True
        child = assessor.start("send")
        wait_until(lambda: kinds(venue, owner)["asset_declared"] == 1, "the exchange to take it")
        child.send_signal(signal.SIGKILL)
        child.communicate()
        line.loses_answers = False
        assert assessor.run("queue", "list", expect=1).count("unknown") == 1
        shutil.copytree(assessor.queue, tmp_path / "carried")  # as on a medium between two networks
        shells = [
            assessor.start("send"),
            assessor.start("send"),
            assessor.start("send", "--queue", str(tmp_path / "carried")),
        ]
        for shell in shells:
            said, wrong = shell.communicate(timeout=120)
            assert shell.returncode == 0, (said, wrong)
    counted = kinds(venue, owner)
    assert (counted["asset_declared"], counted["risk_assessed"]) == (1, 1)

    # Merged, the two folders are one queue again: nothing is sent.
    shutil.copytree(tmp_path / "carried", assessor.queue, dirs_exist_ok=True)
    size = venue.administrator.checkpoint().size
    with Exchange(venue.server.url, owner.secrets[0], venue.vkey) as market:
        assert Queue(assessor.queue).send(market).done == []
    assert venue.administrator.checkpoint().size == size


@pytest.mark.drill
def test_a_queue_whose_sender_is_killed_at_any_moment_again_and_again_takes_effect_once(
    venue: Venue, hospital: Department, tmp_path: Path
) -> None:
    owner = venue.admit("supplier", people=2)
    with wire(venue) as line:
        assessor = Shell.of(tmp_path, owner, 0, venue, line.url)
        queue = Queue(assessor.queue)
        for n in range(12):
            declared = queue.declare(AssetMessage(title=f"table {n}", kind="health"))
            queue.assess(Told(declared, "asset"), hospital.assessment())
        chance, kills = random.Random(11), 0
        while any(queue.state(item) != "done" for item in queue.items()):
            before = len(line.sent)
            child = assessor.start("send")
            wait_until(lambda: len(line.sent) > before or child.poll() is not None, "the first byte", 60)  # noqa: B023  # called at once
            time.sleep(chance.random() * 0.3)
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
                kills += 1
            child.communicate()
    assert kills > 3
    counted = kinds(venue, owner)
    assert (counted["asset_declared"], counted["risk_assessed"]) == (12, 12)


def test_a_queue_lets_no_raw_table_in_under_any_certificate_and_sends_no_file_that_was_swapped(
    venue: Venue, hospital: Department, tmp_path: Path
) -> None:
    owner = venue.admit("supplier", people=2)
    assessor, approver = owner.people
    asset = assessor.declare_asset("t", "health").outcome["asset"]
    assessed = assessor.file_risk_assessment(asset, hospital.assessment())
    granted = approver.authorize(asset, assessed.outcome["assessment"]).outcome
    product, certificate = hospital.product(granted)
    queue = Queue(tmp_path / "queue")

    pq.write_table(pyarrow.csv.read_csv(hospital.raw), tmp_path / "raw.parquet")
    for file in (hospital.raw, tmp_path / "raw.parquet"):
        lie = {"product_digest": hashlib.sha256(file.read_bytes()).hexdigest()}
        with pytest.raises((Unprocessable, Malformed)) as refused:
            queue.release(file, {**certificate, **lie})
        assert refused.value.remedy
    assert queue.items() == []
    assert list((tmp_path / "queue" / "files").iterdir()) == []

    released = queue.release(product, certificate)
    kept = tmp_path / "queue" / "files" / certificate["product_digest"]
    kept.write_bytes(hospital.raw.read_bytes())
    size = venue.administrator.checkpoint().size
    with wire(venue) as line, Exchange(line.url, owner.secrets[0], venue.vkey) as market:
        with pytest.raises(Unprocessable) as refused:
            queue.send(market)
        assert refused.value.code == "queue.not_certified"
        assert b"PUT /v1/uploads" not in bytes(line.sent)
        assert hospital.raw.read_bytes()[:200] not in bytes(line.sent)
        assert venue.administrator.checkpoint().size == size
        shutil.copyfile(product, kept)
        assert queue.send(market).done == [released]

    # The queue is the assessor's from now on, and an item that is none is not sent.
    with pytest.raises(Conflict) as refused_person:
        queue.send(approver)
    assert refused_person.value.code == "queue.person"
    waiting = queue.declare(AssetMessage(title="another", kind="health"))
    queue.drop(waiting)
    with pytest.raises(Conflict):
        queue.drop(released)
    (tmp_path / "queue" / "00000009-0a.json").write_text(
        '{"format": "department-queue@1", "act": "upload_raw"}'
    )
    with pytest.raises(Malformed):
        queue.send(assessor)
