"""The story of the regulator's witness: it signs what it judged and nothing else, once, over kills and restarts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from exchange import keys
from exchange.client import Conflict, Exchange, Unproven
from exchange.errors import Conflict as NotNow
from exchange.errors import Misconfigured
from exchange.witness import Refusal, Witness, keeper, make, serve
from ledger.audit import audit
from ledger.checkpoint import Checkpoint, Verifier, open_note, sign
from ledger.entries import receipt_to_json
from ledger.merkle import Edge, leaf_hash
from ledger.policy import Policy
from ledger.tiles import decode_entries
from tests.stories.conftest import ServerThread, Venue

NOW_S = 1_800_000_000


def made(venue: Venue, folder: Path, name: str = "witness.example") -> str:
    """A witness of the venue's log in this folder; gives its token."""
    return make(folder, name=name, log_vkey=venue.vkey, url=venue.server.url)[1]


def opened(folder: Path, key: str | None = None) -> Witness:
    return Witness(folder, lambda: NOW_S, key)


def request(client: Exchange, old: int, note: str | None = None) -> bytes:
    """An add-checkpoint for the log's newest checkpoint, from a size on."""
    if note is None:
        client.checkpoint()
        note = client.newest_note()
    size = Checkpoint.parse(note.partition("\n\n")[0] + "\n").size
    proof = []
    if 0 < old < size:
        said = httpx.get(f"{client.url}/v1/consistency", params={"old": old, "new": size}).json()
        proof = said["proof"]
    return "\n".join([f"old {old}", *proof, "", note]).encode()


@contextmanager
def running(witness: Witness) -> Iterator[str]:
    """The witness served over HTTP; gives its address."""
    started: list[uvicorn.Server] = []
    thread = threading.Thread(
        target=lambda: asyncio.run(serve(witness, "127.0.0.1", 0, every_s=0.5, started=started.append))
    )
    thread.start()
    try:
        while not started or not started[0].started:
            time.sleep(0.02)
        port = started[0].servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        started[0].should_exit = True
        thread.join(30)


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exchange", *map(str, words)], capture_output=True, text=True, check=False
    )


def stolen_signer(venue: Venue) -> Any:
    """The log's own key in a thief's hands."""
    return keys.load(venue.settings.keys_dir).signer(venue.settings.origin)


def test_k_of_n_witnesses_sign_and_a_receipt_is_completed_for_strangers(venue: Venue, tmp_path: Path) -> None:
    regulator = venue.admit("regulator")
    names = ("one", "two", "three")
    tokens = {name: made(venue, tmp_path / name, f"{name}.example") for name in names}
    witnesses = {name: opened(tmp_path / name, regulator.secrets[0]) for name in names}
    policy, strict = (Policy.k_of_n(venue.vkey, {n: w.vkey for n, w in witnesses.items()}, k) for k in (2, 3))
    early = venue.admit("buyer")
    client = Exchange(venue.server.url, policy=policy)
    assert client.vkey == venue.vkey
    receipt = venue.administrator.set_party_state(early.id, "suspended", "an inquiry").receipt
    _, has = policy.judge(receipt.checkpoint)
    assert (has.met, has.missing) == (False, names)
    with pytest.raises(Conflict) as not_yet:
        client.complete(receipt)
    assert not_yet.value.code == "checkpoint.not_witnessed"
    for place in ("witnessed", f"{receipt.index}/proof?witnessed=1"):
        answer = httpx.get(f"{venue.server.url}/v1/log/{place}")
        assert (answer.status_code, answer.headers["Retry-After"]) == (409, "5")
    with (
        running(witnesses["one"]) as one,
        running(witnesses["two"]) as two,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        # The third one takes the question and never answers; the quorum is reached without it.
        three = f"http://127.0.0.1:{silent.getsockname()[1]}"
        lines = [f"log {venue.vkey}"]
        lines += [
            f"witness {name} {witnesses[name].vkey} {url}"
            for name, url in zip(names, (one, two, three), strict=True)
        ]
        path = tmp_path / "policy"
        path.write_text("\n".join([*lines, f"group all 2 {' '.join(names)}", "quorum all", ""]))
        server = ServerThread(replace(venue.settings, witnesses=path, witness_every_s=1))
        try:
            client = Exchange(server.url, policy=policy)
            completed = None
            deadline = time.monotonic() + 20
            while completed is None:
                try:
                    completed = client.complete(receipt)
                except Conflict:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.2)
            seen, found = policy.judge(client.witnessed())
            assert (found.met, found.missing) == (True, ("three",))
            assert seen.checkpoint.size >= completed.size
            # A stranger with the policy alone, offline, from the JSON that somebody kept.
            (tmp_path / "text").write_text(policy.text())
            for kept, code, words in (
                (completed, 0, "2 of 3 witnesses cosigned, missing: three: the policy's quorum"),
                (
                    receipt,
                    3,
                    "0 of 3 witnesses cosigned, missing: one, two, three: short of the policy's quorum",
                ),
            ):
                (tmp_path / "receipt.json").write_text(json.dumps(receipt_to_json(kept)))
                done = command("audit", "receipt", tmp_path / "receipt.json", "--policy", tmp_path / "text")
                assert (done.returncode, words in done.stdout) == (code, True), done.stdout + done.stderr
            follow = ("audit", "follow", server.url, "--policy", tmp_path / "text", "--once", "--json")
            done = command(*follow, "--folder", tmp_path / "followed")
            said = {check["name"]: check["status"] for check in json.loads(done.stdout)["checks"]}
            assert (done.returncode, said["witnesses"]) == (0, "passed"), done.stdout
            with pytest.raises(Unproven, match="missing: three"):
                Exchange(server.url, policy=strict).complete(receipt)
            regulator.client.audit_bundle(tmp_path / "bundle.zip")
            regulator.client.audit_bundle(tmp_path / "period.zip", start=2)
        finally:
            server.stop()
        verdict = audit(tmp_path / "bundle.zip", None, policy=policy)
        assert verdict.ok, verdict.explain("en")
        check = verdict.check("witnesses")
        assert (check.status, check.facts["names"]) == ("passed", "one, two")
        for bundle, status in (("bundle.zip", "failed"), ("period.zip", "not checked")):
            assert audit(tmp_path / bundle, None, policy=strict).check("witnesses").status == status
        assert_serves_what_it_saw(one, witnesses["one"], tokens["one"], venue)
    for witness in witnesses.values():
        witness.close()


def assert_serves_what_it_saw(url: str, witness: Witness, token: str, venue: Venue) -> None:
    note = httpx.get(f"{url}/checkpoint").text
    size = open_note(note, [Verifier.parse(venue.vkey), Verifier.parse(witness.vkey)]).checkpoint.size
    theirs, ours = (httpx.get(f"{base}/tile/0/000.p/{size}").content for base in (url, venue.server.url))
    assert theirs == ours
    leaves = decode_entries(httpx.get(f"{url}/tile/entries/000.p/{size}").content)
    assert b"".join(map(leaf_hash, leaves)) == theirs
    proof = httpx.get(f"{url}/consistency", params={"old": 1, "new": size}).json()
    said = httpx.get(f"{venue.server.url}/v1/consistency", params={"old": 1, "new": size}).json()
    assert proof == said["proof"]
    for path in ("/bundles", "/bundles/x"):
        assert httpx.get(url + path).status_code == 401
        assert httpx.get(url + path, headers={"Authorization": "Bearer guess"}).status_code == 401
    mine = {"Authorization": f"Bearer {token}"}
    listed = httpx.get(f"{url}/bundles", headers=mine).json()
    assert int(listed[0]["start"]) == 0
    data = httpx.get(f"{url}/bundles/{listed[0]['name']}", headers=mine).content
    assert len(data) == int(listed[0]["size_bytes"])
    assert httpx.get(f"{url}/bundles/none.zip", headers=mine).status_code == 404
    assert httpx.get(f"{url}/tile/0/001").status_code == 404
    assert httpx.get(f"{url}/consistency").status_code == 400
    assert httpx.get(f"{url}/alarm").json() is None
    assert httpx.get(f"{url}/status").json()["judged_size"] == str(witness.judged)
    page = httpx.get(url)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "见证人" in page.text


def test_add_checkpoint_answers_as_the_protocol_says(venue: Venue, tmp_path: Path) -> None:
    made(venue, tmp_path / "w")
    witness = opened(tmp_path / "w")
    client = venue.client()
    sound = request(client, 0)
    line = witness.add_checkpoint(sound)
    note = client.newest_note()
    size = client.checkpoint().size
    ((name, time_s),) = open_note(note + line, [Verifier.parse(witness.vkey)]).cosigned
    assert (name, time_s) == ("witness.example", NOW_S)
    thief = stolen_signer(venue)
    stranger = "other.example/log" + note.partition("\n")[2].join(["\n", ""])
    bad_proof = b64encode(b"x" * 32).decode()

    def refused(asked: bytes) -> tuple[int, str]:
        with pytest.raises(Refusal) as refusal:
            witness.add_checkpoint(asked)
        return refusal.value.status, refusal.value.text

    for asked in (b"", b"old x\n\n", b"old 00\n\n" + note.encode(), b"old 1\nzz\n\n" + note.encode(), b"\xff",
                  b"old 1\nAAAA\n\n" + note.encode(), b"old 1" + b"\n" + b"\n".join([bad_proof.encode()] * 64) + b"\n\n"
                  + note.encode(), b"old 1\n\n" + b"x" * (1 << 17), b"old 99999\n\n" + note.encode()):  # fmt: skip
        assert refused(asked)[0] == 400
    assert refused(f"old {size}\n\n{stranger}".encode())[0] == 404
    unsigned = note.replace(note.splitlines()[2], b64encode(b"r" * 32).decode())
    assert refused(f"old {size}\n\n{unsigned}".encode())[0] == 403
    assert refused(sound) == (409, f"{size}\n")
    assert witness.add_checkpoint(request(client, size)) != "", "the same checkpoint may be signed again"
    venue.admit("buyer")
    grown = client.checkpoint()
    wrong = f"old {size}\n{bad_proof}\n\n{client.newest_note()}".encode()
    assert refused(wrong)[0] == 422
    witness.add_checkpoint(request(client, size))
    assert witness.cosigned is not None
    assert witness.cosigned.size == grown.size
    unseen = sign(Checkpoint(thief.name, grown.size + 1, Edge.empty().root()), thief)
    assert refused(f"old {grown.size}\n{bad_proof}\n\n{unseen}".encode())[0] == 422
    assert witness.alarm is None, "a proof that does not hold convicts nobody"
    witness.close()


def test_a_witness_that_was_killed_goes_on_where_it_was_and_never_signs_back(
    venue: Venue, tmp_path: Path
) -> None:
    regulator = venue.admit("regulator")
    made(venue, tmp_path / "w")
    (tmp_path / "key").write_text(regulator.secrets[0])
    client = venue.client()
    sizes: list[int] = []
    for turn in range(3):
        process = subprocess.Popen(
            [
                sys.executable, "-m", "exchange", "witness", "run", "--folder", str(tmp_path / "w"),
                "--key-file", str(tmp_path / "key"), "--port", str(18_100 + os.getpid() % 1_000), "--every", "0.1",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                answer = httpx.post(
                    f"{url}/add-checkpoint", content=request(client, sizes[-1] if sizes else 0)
                )
                break
            except httpx.TransportError:
                time.sleep(0.1)
        assert answer.status_code == 200, answer.text
        sizes.append(client.checkpoint().size)
        if turn == 0:
            with pytest.raises(Misconfigured, match="another process"):
                opened(tmp_path / "w")
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        venue.admit("buyer")
    witness = opened(tmp_path / "w")
    with pytest.raises(Refusal) as refusal:
        witness.add_checkpoint(request(client, sizes[0]))
    assert (refusal.value.status, refusal.value.text) == (409, f"{sizes[-1]}\n")
    assert witness.root(sizes[-1]) == witness.cosigned.root  # type: ignore[union-attr]  # it was signed above
    witness.close()


def test_of_many_who_ask_at_once_from_one_size_one_is_signed_for(venue: Venue, tmp_path: Path) -> None:
    made(venue, tmp_path / "w")
    witness = opened(tmp_path / "w")
    client = venue.client()
    asked = []
    for _ in range(6):
        asked.append(request(client, 0))
        venue.admit("buyer")
    witness.look()
    together = threading.Barrier(len(asked))

    def ask(one: bytes) -> int:
        together.wait()
        try:
            witness.add_checkpoint(one)
        except Refusal as refusal:
            return refusal.status
        return 200

    with ThreadPoolExecutor(len(asked)) as pool:
        answers = sorted(pool.map(ask, asked))
    assert answers == [200, *[409] * (len(asked) - 1)]
    witness.close()


def test_what_could_not_be_looked_at_is_not_signed_and_asked_again_later(
    venue: Venue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "LOOK_S", 0.2)
    make(tmp_path / "w", name="w.example", log_vkey=venue.vkey, url="http://127.0.0.1:9")
    witness = opened(tmp_path / "w")
    with running(witness) as url:
        answer = httpx.post(f"{url}/add-checkpoint", content=request(venue.client(), 0))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        status = httpx.get(f"{url}/status").json()
        assert (status["cosigned_size"], status["alarm"]) == ("0", None)
        assert "no answer" in status["problem"]
        assert httpx.get(f"{url}/checkpoint").status_code == 404
    witness.close()


def test_a_witness_whose_key_opens_nothing_says_so_and_accuses_nobody(venue: Venue, tmp_path: Path) -> None:
    made(venue, tmp_path / "w")
    buyer = venue.admit("buyer")
    stranger = opened(tmp_path / "w", buyer.secrets[0] + "x")
    assert stranger.look() is None
    assert stranger.problem
    assert stranger.alarm is None
    stranger.close()
    done = command("witness", "run", "--once", "--folder", tmp_path / "w")
    assert (done.returncode, "entries judged" in done.stdout) == (0, True), done.stdout + done.stderr


def test_a_witness_refuses_a_key_that_others_can_read_and_a_folder_that_holds_none(
    venue: Venue, tmp_path: Path
) -> None:
    with pytest.raises(Misconfigured):
        opened(tmp_path / "none")
    made(venue, tmp_path / "w")
    with pytest.raises(NotNow):
        made(venue, tmp_path / "w")
    assert (tmp_path / "w" / "witness.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "w").stat().st_mode & 0o777 == 0o700
    (tmp_path / "w" / "witness.key").chmod(0o640)
    with pytest.raises(Misconfigured, match="mode 640"):
        opened(tmp_path / "w")
