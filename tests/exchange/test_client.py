"""The SDK against a small real server with a real log: what it believes, what it retries, what it refuses."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.client import (
    AsyncExchange,
    Conflict,
    Done,
    Exchange,
    ExchangeProblem,
    Forbidden,
    Forked,
    Link,
    NotFound,
    Refused,
    TooMany,
    Unauthenticated,
    Unknown,
    Unprocessable,
    Unproven,
    Unreachable,
)
from exchange.client.carriers import Line
from exchange.client.history import History
from exchange.client.wire import Steps
from ledger.checkpoint import Checkpoint, Signer, Verifier, sign
from ledger.entries import Entry, Receipt, canonical, receipt_to_json, verify_receipt
from ledger.merkle import consistency_proof, inclusion_proof, leaf_hash, root
from ledger.proof import TlogProof

ORIGIN = "test.example/log"
SIGNER = Signer(ORIGIN, b"\x01" * 32)
SALT = b"\x07" * 32


def signed(size: int, tree_root: bytes, signer: Signer = SIGNER, origin: str = ORIGIN) -> str:
    return sign(Checkpoint(origin, size, tree_root), signer)


def reader(hashes: list[bytes]) -> Callable[[int, int], bytes]:
    """Any node of a tree, the obvious way."""
    return lambda level, i: root(hashes[i << level : (i + 1) << level])


class SmallLog:
    """A log in a list: real leaves, proofs and checkpoints, nothing clever."""

    def __init__(self, size: int = 1, taste: str = "honest") -> None:
        self.entries: list[Entry] = []
        for n in range(size):
            self.append("filler", str(n), {"state": "done", "taste": taste})

    def append(self, kind: str, key: str, act: dict[str, Any]) -> int:
        body = {"act": act, "by": "person", "key": key, "kind": kind, "party": "org", "time": "1"}
        self.entries.append(Entry(kind, 1, SALT, canonical(body)))
        return len(self.entries) - 1

    def hashes(self, size: int | None = None) -> list[bytes]:
        return [leaf_hash(entry.leaf) for entry in self.entries[:size]]

    def note(self, size: int | None = None) -> str:
        hashes = self.hashes(size)
        return signed(len(hashes), root(hashes))

    def receipt(self, index: int, size: int | None = None) -> Receipt:
        hashes = self.hashes(size)
        entry = self.entries[index]
        proof = inclusion_proof(index, len(hashes), reader(hashes))
        return Receipt(index, len(hashes), entry.leaf, entry.salt, entry.body, tuple(proof), self.note(size))


class SmallExchange(ThreadingHTTPServer):
    """Bids, lots, proofs and one product. `moods` are taken one a write: what goes wrong with its answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.log = SmallLog()
        self.known: dict[str, tuple[int, int]] = {}
        self.moods: list[Any] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.act: Callable[[dict[str, Any]], dict[str, Any]] = lambda asked: {
            "code": "B1", "lot": "lot-1", "price_fen": asked.get("price_fen"), "state": "admitted",
        }  # fmt: skip
        self.standing: tuple[int, str] | None = None
        self.product = b"column\n" + b"value\n" * 100_000
        self.cut_downloads = 0
        self.certified: str | None = None
        self.pages: list[dict[str, Any]] = []  # of a statement, each behind the one before
        self.shift = 0  # how far beside the entry that was asked for the answer is
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def writes(self) -> list[tuple[str, str, dict[str, str], bytes]]:
        return [request for request in self.requests if request[0] == "POST"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SmallExchange

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""

    def answer(
        self,
        status: int,
        document: Any,
        headers: dict[str, str] | None = None,
        kind: str = "application/json",
    ) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def drop(self) -> None:
        """Cut the connection without a word."""
        self.close_connection = True
        self.connection.shutdown(2)

    def do_GET(self) -> None:
        house, parts = self.server, urlsplit(self.path)
        house.requests.append(("GET", self.path, dict(self.headers), b""))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        log = house.log
        match parts.path.strip("/").split("/"):
            case ["v1", "market"]:
                view = {
                    "origin": ORIGIN, "vkey": SIGNER.vkey, "sandbox": True, "profile": "cn-venue", "now_us": "5",
                    "rulebook": {"digest": "00", "version": "1"}, "of a later version": 1,
                }  # fmt: skip
                self.answer(200, view)
            case ["checkpoint"]:
                self.answer(200, log.note().encode(), kind="text/plain")
            case ["v1", "consistency"]:
                old, new = int(query["old"]), int(query["new"])
                hashes = log.hashes()
                if new > len(hashes):
                    self.answer(404, {"code": "log.sizes", "detail": f"the log has {len(hashes)} entries"})
                    return
                proof = consistency_proof(old, new, reader(hashes))
                self.answer(200, {"proof": [b64encode(h).decode() for h in proof]})
            case ["v1", "log", "ended"]:
                self.answer(404, {"code": "log.no_predecessor", "detail": "this log took over from no other"})
            case ["v1", "log", index]:
                receipt = receipt_to_json(log.receipt(int(index) - house.shift))
                self.answer(200, {name: receipt[name] for name in ("index", "leaf", "proof", "checkpoint")})
            case ["v1", "log", index, "proof"]:
                self.answer(
                    200,
                    TlogProof.of(log.receipt(int(index) - house.shift)).text().encode(),
                    kind="text/plain",
                )
            case ["v1", "receipts", index]:
                self.answer(200, receipt_to_json(log.receipt(int(index) - house.shift)))
            case ["v1", "certificates", code]:
                stated = house.certified or leaf_hash(log.entries[1].leaf).hex()
                evidence = {"authorization": {"index": "1", "leaf_hash": stated}}
                self.answer(
                    200,
                    {
                        "code": code, "asset": "ast-1", "kind": "transport", "theme": None, "grade": None, "opening": "closed",
                        "evidence": evidence, "log_index": "1", "application": None, "registrar": None, "steps": {},
                        "version": "1", "state": "active", "starts_us": None, "ends_us": None, "registered_index": "1",
                        "compliance": [], "title": "t", "summary": "", "supplier": "org-1", "supplier_name": "s",
                        "operator_name": None, "registrar_name": None, "rights": [], "history": [],
                    },
                )  # fmt: skip
            case ["v1", "requests", key]:
                if key not in house.known:
                    self.answer(404, {"code": "request.unknown", "detail": "nothing took effect"})
                    return
                self.answer(200, self.done(*house.known[key]))
            case ["v1", "lots", "lot-1"]:
                self.answer(200, lot_view(house.standing))
            case ["v1", "accounts", "acc-1", "statement"]:
                self.answer(200, house.pages[int(query.get("after", "0"))])
            case ["v1", "accounts", "acc-1", "statement.csv"]:
                self.deliver()
            case ["v1", "problem", status]:
                self.answer(int(status), {"code": "some.rule", "detail": "no", "remedy": "another way"})
            case ["v1", "deliveries", _]:
                self.deliver()
            case _:
                self.answer(404, {"code": "http.404", "detail": parts.path})

    def deliver(self) -> None:
        whole = self.server.product
        start = 0
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(asked[1])
        rest = whole[start:]
        if self.server.cut_downloads:
            self.server.cut_downloads -= 1
            rest = rest[: len(rest) // 2]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(whole) - start))
        self.end_headers()
        self.wfile.write(rest)
        if len(rest) < len(whole) - start:
            self.wfile.flush()
            self.drop()

    def done(self, index: int, size: int) -> dict[str, Any]:
        receipt = receipt_to_json(self.server.log.receipt(index, size))
        return {"outcome": json.loads(receipt["body"])["act"], "receipt": receipt}

    def do_POST(self) -> None:
        house = self.server
        content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        house.requests.append(("POST", self.path, dict(self.headers), content))
        with house.lock:
            mood = house.moods.pop(0) if house.moods else None
        asked = json.loads(content) if content else {}
        key = asked.get("client_bid_id") or self.headers["Idempotency-Key"]
        if mood == "dropped before":
            self.drop()
            return
        if isinstance(mood, int):
            self.answer(
                mood, {"code": "gate.full", "detail": "busy"}, {"Retry-After": "1"} if mood == 503 else {}
            )
            return
        with house.lock:
            repeated = key in house.known
            if not repeated:
                index = house.log.append("bid", key, house.act(asked))
                house.known[key] = (index, index + 1)
                if "price_fen" in asked:
                    house.standing = (int(asked["price_fen"]), "B1")
        answer = self.done(*house.known[key])
        if mood == "dropped after":
            self.drop()
            return
        if mood == "slow":
            time.sleep(1.5)
        if callable(mood):
            mood(answer)
        headers = {"Idempotency-Replayed": "true"} if repeated else {}
        if answer["outcome"].get("state") == "refused":
            problem = {"code": "stated.otherwise", "detail": "?", "status": 422, **answer}
            self.answer(422, problem, headers, "application/problem+json")
        else:
            self.answer(201, answer, headers)


def lot_view(standing: tuple[int, str] | None) -> dict[str, Any]:
    return {
        "id": "lot-1", "listing": "lst-1", "asset": "ast-1", "asset_code": None, "asset_title": "Buses",
        "state": "open", "start_price_fen": "1000", "increment_fen": "100", "ceiling_fen": None,
        "deposit_fen": "100", "opens_us": "0", "first_closes_us": "10", "closes_us": "10",
        "soft_close_window_us": "1", "soft_close_extension_us": "1",
        "standing_price_fen": str(standing[0]) if standing else None,
        "standing_code": standing[1] if standing else None,
        "bids": "0", "price_fen": None, "winner_code": None, "settled": False, "grant": "licence", "term_days": "30", "outcome": None,
    }  # fmt: skip


@pytest.fixture
def house() -> Iterator[SmallExchange]:
    server = SmallExchange()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def client(house: SmallExchange) -> Iterator[Exchange]:
    with Exchange(house.url, "dx_key", SIGNER.vkey, timeout_s=5) as client:
        yield client


# what is believed


def test_an_answered_write_carries_its_verified_receipt(house: SmallExchange, client: Exchange) -> None:
    done = client.place_bid("lot-1", 1200, "bid-1")
    assert (done.identifier, done.outcome["price_fen"], done.repeated) == ("bid-1", "1200", False)
    assert done.index == 1
    assert done.checkpoint == client.newest_seen()
    verify_receipt(done.receipt, [Verifier.parse(SIGNER.vkey)])
    assert house.writes()[0][2]["Authorization"] == "Bearer dx_key"


def test_two_writes_use_two_identifiers(house: SmallExchange, client: Exchange) -> None:
    assert client.place_bid("lot-1", 1200).identifier != client.place_bid("lot-1", 1300).identifier
    assert client.join_lot("lot-1").index == 3  # three entries, proven to be one growing log


def change_outcome(answer: dict[str, Any]) -> None:
    answer["outcome"]["price_fen"] = "9"


def change_the_code_beside_the_entry(answer: dict[str, Any]) -> None:
    answer["outcome"]["code"] = "B2"


def change_body(answer: dict[str, Any]) -> None:
    answer["receipt"]["body"] = answer["receipt"]["body"].replace('"1200"', '"1300"')
    answer["outcome"]["price_fen"] = "1300"


def change_salt(answer: dict[str, Any]) -> None:
    answer["receipt"]["salt"] = "00" * 32


def change_index(answer: dict[str, Any]) -> None:
    answer["receipt"]["index"] = "0"


def change_proof(answer: dict[str, Any]) -> None:
    answer["receipt"]["proof"][0] = b64encode(b"\0" * 32).decode()


def sign_with_another_key(answer: dict[str, Any]) -> None:
    body = answer["receipt"]["checkpoint"].partition("\n\n")[0] + "\n"
    answer["receipt"]["checkpoint"] = sign(Checkpoint.parse(body), Signer(ORIGIN, b"\x02" * 32))


def name_another_log(answer: dict[str, Any]) -> None:
    ours = Checkpoint.parse(answer["receipt"]["checkpoint"].partition("\n\n")[0] + "\n")
    answer["receipt"]["checkpoint"] = signed(ours.size, ours.root, origin="other.example/log")


def leave_the_receipt_out(answer: dict[str, Any]) -> None:
    del answer["receipt"]


FORGERIES = (
    change_outcome, change_the_code_beside_the_entry, change_body, change_salt, change_index, change_proof, sign_with_another_key,
    name_another_log, leave_the_receipt_out,
)  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_an_answer_that_does_not_verify_is_not_returned(
    house: SmallExchange, client: Exchange, forge: Callable[[dict[str, Any]], None]
) -> None:
    house.moods = [forge]
    with pytest.raises(Unproven):
        client.place_bid("lot-1", 1200)


def test_a_receipt_of_another_request_is_not_taken(house: SmallExchange, client: Exchange) -> None:
    first = client.place_bid("lot-1", 1200, "mine")
    house.known["other"] = house.known["mine"]
    with pytest.raises(Unproven, match="identifier 'mine', not 'other'"):
        client.place_bid("lot-1", 1200, "other")
    assert first.identifier == "mine"


def test_an_entry_about_another_price_is_not_taken(house: SmallExchange, client: Exchange) -> None:
    house.act = lambda asked: {"code": "B1", "lot": "lot-1", "price_fen": "99999", "state": "admitted"}
    with pytest.raises(Unproven, match="price_fen"):
        client.place_bid("lot-1", 1200)


def test_without_a_key_the_first_named_one_is_believed_and_kept_to(house: SmallExchange) -> None:
    with Exchange(house.url, "dx_key") as client:
        assert client.place_bid("lot-1", 1200).index == 1
        assert client.vkey == SIGNER.vkey
        house.moods = [sign_with_another_key]
        with pytest.raises(Unproven):
            client.place_bid("lot-1", 1300)


def test_a_key_given_beforehand_is_not_replaced_by_the_one_that_the_exchange_names(
    house: SmallExchange,
) -> None:
    other = Signer(ORIGIN, b"\x02" * 32).vkey
    with Exchange(house.url, "dx_key", other) as client:
        with pytest.raises(Unproven, match="names the key"):
            client.market()
        with pytest.raises(Unproven):
            client.place_bid("lot-1", 1200)


# what was refused


def test_a_recorded_refusal_is_raised_with_its_verified_receipt(
    house: SmallExchange, client: Exchange
) -> None:
    reason = {"code": "bid.closed", "detail": "the lot is closed", "rule": "published", "remedy": "none"}
    house.act = lambda asked: {
        "code": "B1", "lot": "lot-1", "price_fen": asked["price_fen"], "reason": reason, "state": "refused",
    }  # fmt: skip
    with pytest.raises(Refused) as caught:
        client.place_bid("lot-1", 1200, "late")
    refusal = caught.value
    assert (refusal.code, refusal.detail, refusal.rule) == ("bid.closed", "the lot is closed", "published")
    assert refusal.done.reason == reason
    verify_receipt(refusal.receipt, [Verifier.parse(SIGNER.vkey)])
    looked_up = client.lookup("late")
    assert looked_up is not None
    assert looked_up.reason == reason


def test_a_refusal_whose_receipt_does_not_hold_is_no_refusal(house: SmallExchange, client: Exchange) -> None:
    house.act = lambda asked: {
        "code": "B1", "lot": "lot-1", "price_fen": asked["price_fen"], "reason": {"code": "x"}, "state": "refused",
    }  # fmt: skip
    house.moods = [change_proof]
    with pytest.raises(Unproven):
        client.place_bid("lot-1", 1200)


def test_an_answer_whose_status_says_other_than_its_entry_is_not_taken(
    house: SmallExchange, client: Exchange
) -> None:
    # Answered as a refusal, and the entry gives no reason for one.
    house.act = lambda asked: {"lot": "lot-1", "code": "B1", "price_fen": "1200", "state": "refused"}
    with pytest.raises(Unproven, match="422"):
        client.place_bid("lot-1", 1200)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Unauthenticated), (403, Forbidden), (404, NotFound), (409, Conflict), (422, Unprocessable),
        (429, TooMany), (418, ExchangeProblem),
    ],
)  # fmt: skip
def test_a_problem_is_raised_by_its_status_with_code_and_remedy(
    house: SmallExchange, client: Exchange, status: int, kind: type[ExchangeProblem]
) -> None:
    house.moods = [status]
    with pytest.raises(kind) as caught:
        client.place_bid("lot-1", 1200)
    assert (caught.value.status, caught.value.code) == (status, "gate.full")
    assert len(house.writes()) == 1  # an answer is an answer: nothing is tried again
    assert not isinstance(caught.value, Refused)


# what is tried again


@pytest.mark.parametrize("mood", ["dropped before", "dropped after", 502, 503, 504])
def test_a_lost_answer_is_asked_for_again_under_the_same_identifier(
    house: SmallExchange, client: Exchange, mood: object
) -> None:
    house.moods = [mood]
    done = client.place_bid("lot-1", 1200)
    bodies = [json.loads(content) for *_, content in house.writes()]
    assert [body["client_bid_id"] for body in bodies] == [done.identifier] * 2
    assert len(house.log.entries) == 2  # and it took effect once
    assert done.repeated == (mood == "dropped after")


def test_retry_after_is_waited_for(house: SmallExchange, client: Exchange) -> None:
    house.moods = [503]
    start = time.monotonic()
    client.place_bid("lot-1", 1200)
    assert time.monotonic() - start >= 1


def test_a_slow_answer_is_asked_for_again_while_the_first_attempt_runs(house: SmallExchange) -> None:
    house.moods = ["slow"]
    with Exchange(house.url, "dx_key", SIGNER.vkey, timeout_s=2) as client:
        assert client.place_bid("lot-1", 1200).repeated
    assert len(house.writes()) == 2


def test_a_write_without_an_answer_is_unknown_and_its_lookup_settles_it(house: SmallExchange) -> None:
    house.moods = ["dropped after", *["dropped before"] * 20]
    with Exchange(house.url, "dx_key", SIGNER.vkey, timeout_s=0.3) as client:
        with pytest.raises(Unknown) as caught:
            client.place_bid("lot-1", 1200)
        house.moods = []
        found = client.lookup(caught.value.identifier)
        assert isinstance(found, Done)
        assert found.repeated
        assert found.outcome["price_fen"] == "1200"


def test_a_write_that_never_arrived_is_unknown_and_its_lookup_says_nothing_happened(
    house: SmallExchange,
) -> None:
    house.moods = ["dropped before"] * 20
    with Exchange(house.url, "dx_key", SIGNER.vkey, timeout_s=0.3) as client:
        with pytest.raises(Unknown) as caught:
            client.join_lot("lot-1")
        assert client.lookup(caught.value.identifier) is None


def test_a_defect_of_the_exchange_leaves_a_write_unknown(house: SmallExchange, client: Exchange) -> None:
    house.moods = [500]
    with pytest.raises(Unknown, match="failed"):
        client.place_bid("lot-1", 1200)
    assert len(house.writes()) == 1


def test_a_read_without_an_answer_is_unreachable() -> None:
    with Exchange("http://127.0.0.1:9", timeout_s=0.2) as client, pytest.raises(Unreachable):
        client.market()


def test_an_address_that_is_none_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="url"):
        Exchange("exchange.example.cn")


# one history


def test_a_log_that_forgot_an_entry_is_noticed(house: SmallExchange, client: Exchange) -> None:
    client.place_bid("lot-1", 1200)
    client.place_bid("lot-1", 1300)
    house.log.entries.pop()
    with pytest.raises(Forked, match="size 2 and size 3"):
        client.checkpoint()


def test_a_log_that_was_rewritten_is_noticed_with_both_signed_notes(
    house: SmallExchange, client: Exchange
) -> None:
    client.place_bid("lot-1", 1200)
    seen = house.log.note()
    house.log = SmallLog(5, "rewritten")
    with pytest.raises(Forked) as caught:
        client.place_bid("lot-1", 1300)
    assert caught.value.seen == seen
    assert caught.value.shown == house.log.note()


def test_a_log_rewritten_at_the_same_size_is_noticed(house: SmallExchange, client: Exchange) -> None:
    assert client.checkpoint().size == 1
    house.log = SmallLog(1, "rewritten")
    with pytest.raises(Forked):
        client.checkpoint()


def test_a_log_that_shows_others_something_else_is_noticed(house: SmallExchange, client: Exchange) -> None:
    client.place_bid("lot-1", 1200)
    assert client.compare(house.log.note(1)).size == 1
    for shown_to_others in (SmallLog(1, "other"), SmallLog(2, "other"), SmallLog(5, "other")):
        with pytest.raises(Forked) as caught:
            client.compare(shown_to_others.note())
        assert caught.value.shown == shown_to_others.note()
    assert client.newest_seen() == client.checkpoint()


def test_a_repeated_answer_with_its_first_older_checkpoint_is_no_rollback(
    house: SmallExchange, client: Exchange
) -> None:
    first = client.place_bid("lot-1", 1200, "one")
    newest = client.place_bid("lot-1", 1300).checkpoint
    again = client.place_bid("lot-1", 1200, "one")
    assert (again.receipt, again.repeated) == (first.receipt, True)
    assert client.newest_seen() == newest


def test_a_rollback_between_two_runs_is_noticed_by_what_was_remembered(
    house: SmallExchange, tmp_path: Path
) -> None:
    memory = tmp_path / "exchange.checkpoint"
    with Exchange(house.url, "dx_key", remember=memory) as client:
        client.place_bid("lot-1", 1200)
    house.log.entries.pop()
    with Exchange(house.url, "dx_key", remember=memory) as client:
        assert client.vkey == SIGNER.vkey  # not asked for a second time
        with pytest.raises(Forked):
            client.checkpoint()
    with pytest.raises(Unproven, match="another key"):
        Exchange(house.url, "dx_key", Signer(ORIGIN, b"\x02" * 32).vkey, remember=memory)


def test_a_memory_that_is_no_memory_is_refused_and_left_alone(tmp_path: Path) -> None:
    memory = tmp_path / "letter.txt"
    memory.write_text("Dear exchange,\n")
    with pytest.raises(Unproven):
        Exchange("http://127.0.0.1:9", remember=memory)
    assert memory.read_text() == "Dear exchange,\n"


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    fork_at=st.integers(0, 39),
    forked=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_a_history_admits_exactly_what_an_obvious_comparison_of_leaves_admits(
    sizes: list[int], fork_at: int, forked: list[bool]
) -> None:
    honest = [leaf_hash(b"%d" % n) for n in range(40)]
    other = honest[:fork_at] + [leaf_hash(b"other %d" % n) for n in range(fork_at, 40)]
    asked: list[list[bytes]] = [honest]

    def prove(old: int, new: int) -> Steps[Sequence[bytes]]:
        yield from ()
        return consistency_proof(old, new, reader(asked[0]))  # the server argues for what it has just shown

    line = Line()
    history = History(Verifier.parse(SIGNER.vkey), prove)
    newest: list[bytes] = []
    for size, is_forked in zip(sizes, forked, strict=False):
        leaves = (other if is_forked else honest)[:size]
        asked[0] = other if is_forked else honest
        shorter = min(len(newest), size)
        note = signed(size, root(leaves))
        if newest[:shorter] == leaves[:shorter]:
            if size < len(newest):
                asked[0] = newest + honest[len(newest) :]
            line.carry(history.admit(note))
            newest = max(newest, leaves, key=len)
        else:
            with pytest.raises(Forked):
                line.carry(history.admit(note))
    assert history.newest is not None
    assert history.newest.root == root(newest)


def test_a_client_shared_by_threads_follows_one_history(house: SmallExchange, client: Exchange) -> None:
    found: list[Done] = []

    def bid(n: int) -> None:
        found.extend(client.place_bid("lot-1", 1000 + n, f"bid-{n}-{k}") for k in range(5))

    threads = [threading.Thread(target=bid, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done.index for done in found) == list(range(1, 31))
    assert client.newest_seen() == client.checkpoint()


# entries, keys, files, agents


def test_a_public_leaf_is_proven_before_it_is_returned(house: SmallExchange, client: Exchange) -> None:
    client.place_bid("lot-1", 1200)
    entry = client.log_entry(1)
    assert (entry.leaf.kind, entry.index, entry.checkpoint.size) == ("bid", 1, 2)
    house.shift = 1
    with pytest.raises(Unproven):
        client.log_entry(1)


def test_a_proof_that_stands_alone_is_verified_before_it_is_returned(
    house: SmallExchange, client: Exchange
) -> None:
    done = client.place_bid("lot-1", 1200)
    proof = client.tlog_proof(1)
    assert proof == TlogProof.of(done.receipt)
    leaf = leaf_hash(done.receipt.leaf)
    assert TlogProof.parse(proof.text()).verify(leaf, Verifier.parse(client.vkey)).size == 2
    house.shift = 1
    with pytest.raises(Unproven):
        client.tlog_proof(1)


def test_the_receipt_of_another_entry_is_not_taken(house: SmallExchange, client: Exchange) -> None:
    done = client.place_bid("lot-1", 1200)
    assert client.receipt(1) == done.receipt
    house.shift = 1
    with pytest.raises(Unproven, match="asked for entry 1, got 0"):
        client.receipt(1)


def test_a_certificates_evidence_is_held_to_the_log(house: SmallExchange, client: Exchange) -> None:
    client.place_bid("lot-1", 1200)
    assert client.certificate("TR-1").evidence["authorization"].index == 1
    house.certified = leaf_hash(house.log.entries[0].leaf).hex()
    with pytest.raises(Unproven, match="authorization"):
        client.certificate("TR-1")


def test_enrolling_sends_the_digest_and_keeps_the_secret(house: SmallExchange) -> None:
    token = "t" * 43
    house.act = lambda asked: {"key": asked["key_digest"], "person": "per-1", "state": "active"}
    with Exchange(house.url, vkey=SIGNER.vkey) as client:
        secret = client.enrol(f"{house.url}/enrol#{token}")
        assert (
            client.enrol(token, secret=secret) == secret
        )  # a second attempt with the same secret is the same
    sent = b"".join(content for *_, content in house.writes())
    assert secret.encode() not in sent
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in sent
    assert len(house.log.entries) == 2


def test_a_link_without_a_token_is_refused_here() -> None:
    with Exchange("http://127.0.0.1:9") as client, pytest.raises(ValueError, match="token"):
        client.enrol("http://127.0.0.1:9/enrol#")


def link_to(house: SmallExchange, digest: str) -> Link:
    return Link(f"{house.url}/v1/deliveries/lic-1?expires=1&signature=2", "lic-1", 1, digest, None)  # type: ignore[arg-type]  # no test reads how the link was made


def test_a_download_goes_on_where_it_was_cut_and_sends_no_key(
    house: SmallExchange, client: Exchange, tmp_path: Path
) -> None:
    house.cut_downloads = 3
    target = tmp_path / "product.csv"
    client.download(link_to(house, hashlib.sha256(house.product).hexdigest()), target)
    assert target.read_bytes() == house.product
    assert [path.name for path in tmp_path.iterdir()] == ["product.csv"]
    starts = [headers.get("Range") for _, _, headers, _ in house.requests]
    assert starts[0] is None
    assert len(set(starts)) == 4
    assert all("Authorization" not in headers for _, _, headers, _ in house.requests)


def test_a_product_with_another_digest_is_not_left_behind(
    house: SmallExchange, client: Exchange, tmp_path: Path
) -> None:
    with pytest.raises(Unproven, match="hashes to"):
        client.download(link_to(house, "0" * 64), tmp_path / "product.csv")
    assert list(tmp_path.iterdir()) == []


def test_an_agent_bids_the_least_that_holds_the_lot_and_never_tells_the_maximum(
    house: SmallExchange, client: Exchange
) -> None:
    house.standing = (1500, "B2")
    turn = client.bid_up_to("lot-1", 777_700, code="B1")
    assert turn.standing
    assert [done.outcome["price_fen"] for done in turn.bids] == ["1600"]
    assert client.bid_up_to("lot-1", 777_700).bids == ()  # holding the lot, it does not raise itself
    house.standing = (777_700, "B2")
    assert client.bid_up_to("lot-1", 777_700) == type(turn)(standing=False, bids=())
    assert all(b"777700" not in content for *_, content in house.requests)


def test_an_agent_that_was_raced_looks_again(house: SmallExchange, client: Exchange) -> None:
    def raced(asked: dict[str, Any]) -> dict[str, Any]:
        house.act = honest
        reason = {"code": "bid.not_higher", "detail": "somebody was faster"}
        return {
            "code": "B1",
            "lot": "lot-1",
            "price_fen": asked["price_fen"],
            "reason": reason,
            "state": "refused",
        }

    honest, house.act = house.act, raced
    house.standing = (1500, "B2")
    real = house.standing

    def after_race(answer: dict[str, Any]) -> None:
        house.standing = real

    house.moods = [after_race]
    turn = client.bid_up_to("lot-1", 5000, code="B1")
    assert turn.standing
    assert [done.reason is None for done in turn.bids] == [False, True]


def test_what_stands_in_for_an_identifier_reaches_no_other_route(
    house: SmallExchange, client: Exchange
) -> None:
    with pytest.raises(NotFound):
        client.lot("lot-1/../../market?x=")
    assert house.requests[-1][1] == "/v1/lots/lot-1%2F..%2F..%2Fmarket%3Fx%3D"


def test_the_sdk_loads_no_server_code() -> None:
    check = (
        "import sys, exchange.client; loaded = set(sys.modules) & {'fastapi', 'sqlmodel', 'sqlalchemy', 'psycopg',"
        " 'web3', 'duckdb', 'exchange.gate', 'exchange.tables', 'exchange.acts'}; sys.exit(', '.join(loaded) or 0)"
    )
    finished = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


# statements


def four(*amounts: int) -> dict[str, str]:
    names = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
    return dict(zip(names, map(str, amounts), strict=True))


def statement_line(sequence: int, change: tuple[int, ...], balances: tuple[int, ...]) -> dict[str, Any]:
    return {
        "sequence": str(sequence), "index": str(sequence), "time_us": "5", "transfer": f"t{sequence}", "kind": "post",
        "code": "top_up", "side": "credit", "other": "bank", "amount": "1", "hold": None,
        "change": four(*change), "balances": four(*balances), "balance": str(balances[3] - balances[1]),
    }  # fmt: skip


def statement_pages() -> list[dict[str, Any]]:
    """Two pages: money comes in, is held, taken in part, and paid out."""
    named = {"account": "acc-1", "ledger": "CNY", "unit": "fen", "code": "cash"}
    return [
        {
            **named, "opening": four(0, 0, 0, 0), "closing": four(60, 0, 0, 100), "after": "1",
            "lines": [
                statement_line(3, (0, 0, 0, 100), (0, 0, 0, 100)), statement_line(4, (60, 0, 0, 0), (60, 0, 0, 100)),
            ],
        },
        {
            **named, "opening": four(60, 0, 0, 100), "closing": four(0, 50, 0, 100), "after": None,
            "lines": [statement_line(9, (-60, 50, 0, 0), (0, 50, 0, 100))],
        },
    ]  # fmt: skip


def test_a_statement_is_read_page_by_page_within_its_period(house: SmallExchange, client: Exchange) -> None:
    house.pages = statement_pages()
    lines = list(client.statement("acc-1", start=2, until_us=7))
    assert [(line.sequence, line.balances.debits_pending, line.balance) for line in lines] == [
        (3, 0, 100), (4, 60, 100), (9, 0, 50),
    ]  # fmt: skip
    asked = [parse_qs(urlsplit(path).query) for _, path, _, _ in house.requests]
    assert asked == [
        {"start": ["2"], "until_us": ["7"]},
        {"start": ["2"], "until_us": ["7"], "after": ["1"]},
    ]


@pytest.mark.parametrize(
    ("field", "lie"),
    [
        ("debits_posted", lambda pages: pages[1]["lines"][0]["balances"].update(debits_posted="49")),
        ("credits_posted", lambda pages: pages[0]["lines"].pop(0)),
        ("debits_pending", lambda pages: pages[1]["lines"][0]["change"].update(debits_pending="-59")),
        ("closing", lambda pages: pages[0]["closing"].update(credits_posted="101")),
        ("closing", lambda pages: pages[1]["lines"].pop()),
        ("opening", lambda pages: pages[1]["opening"].update(credits_pending="1")),
    ],
)
def test_a_statement_that_does_not_add_up_is_not_believed(
    house: SmallExchange, client: Exchange, field: str, lie: Callable[[list[dict[str, Any]]], None]
) -> None:
    house.pages = statement_pages()
    lie(house.pages)
    with pytest.raises(Unproven) as doubt:
        list(client.statement("acc-1"))
    assert doubt.value.field == field


def test_a_sheet_that_was_cut_is_fetched_again_before_it_appears(
    house: SmallExchange, client: Exchange, tmp_path: Path
) -> None:
    house.cut_downloads = 1
    client.statement_sheet("acc-1", tmp_path / "statement.csv", language="en", stop=9)
    assert [path.name for path in tmp_path.iterdir()] == ["statement.csv"]
    assert (tmp_path / "statement.csv").read_bytes() == house.product
    assert {path for _, path, _, _ in house.requests} == {"/v1/accounts/acc-1/statement.csv?stop=9&lang=en"}
    assert len(house.requests) == 2


# the asynchronous twin


@pytest.mark.anyio
async def test_an_awaited_bid_is_retried_under_one_identifier_and_verified_as_a_waited_one_is(
    house: SmallExchange,
) -> None:
    async with AsyncExchange(house.url, "dx_key", timeout_s=5) as client:
        assert await client.vkey() == SIGNER.vkey
        house.moods = ["dropped after", 503, "dropped before"]
        done = await client.place_bid("lot-1", 1200, "bid-1")
        assert (done.identifier, done.index, done.repeated) == ("bid-1", 1, True)
        assert await client.lookup("bid-1") == done
        assert await client.lookup("bid-2") is None
        house.moods = [change_outcome]
        with pytest.raises(Unproven):
            await client.place_bid("lot-1", 1300)
        house.log = SmallLog(9, "other")
        with pytest.raises(Forked):
            await client.checkpoint()


@pytest.mark.anyio
async def test_awaited_calls_at_once_follow_one_history_and_keep_its_newest_checkpoint(
    house: SmallExchange, tmp_path: Path
) -> None:
    memory = tmp_path / "exchange.checkpoint"
    async with AsyncExchange(house.url, "dx_key", timeout_s=5, remember=memory) as client:
        found = await asyncio.gather(*(client.place_bid("lot-1", 1000 + n) for n in range(30)))
        assert sorted(done.index for done in found) == list(range(1, 31))
        assert client.newest_seen() == await client.checkpoint()
    house.log.entries.pop()
    async with AsyncExchange(house.url, "dx_key", remember=memory) as client:
        with pytest.raises(Forked):
            await client.checkpoint()


@pytest.mark.anyio
async def test_an_awaited_write_without_an_answer_is_unknown_and_one_that_was_cancelled_can_be_looked_up(
    house: SmallExchange,
) -> None:
    async with AsyncExchange(house.url, "dx_key", SIGNER.vkey, timeout_s=1) as client:
        house.moods = ["slow"] * 3
        with pytest.raises(Unknown) as caught:
            await client.place_bid("lot-1", 1200, "late")
        assert caught.value.identifier == "late"
        done = await client.lookup("late")
        assert done is not None
        house.moods = ["slow"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.place_bid("lot-1", 1300, "cancelled"), 0.3)
        done = await client.lookup("cancelled")
        assert done is not None
        assert done.outcome["price_fen"] == "1300"


@pytest.mark.anyio
async def test_an_awaited_download_and_sheet_go_on_where_they_were_cut(
    house: SmallExchange, tmp_path: Path
) -> None:
    house.cut_downloads = 2
    digest = hashlib.sha256(house.product).hexdigest()
    done = Done("id", {}, house.log.receipt(0), Checkpoint(ORIGIN, 1, bytes(32)), False)
    link = Link(f"{house.url}/v1/deliveries/token", "lic-1", 0, digest, done)
    async with AsyncExchange(house.url, "dx_key", SIGNER.vkey, timeout_s=5) as client:
        await client.download(link, tmp_path / "product.csv")
        house.cut_downloads = 1
        await client.statement_sheet("acc-1", tmp_path / "statement.csv")
    assert (tmp_path / "product.csv").read_bytes() == house.product
    assert (tmp_path / "statement.csv").read_bytes() == house.product


def test_both_clients_offer_the_same_calls_with_the_same_words() -> None:
    waited, awaited = (
        {name for name in dir(kind) if not name.startswith("_")} for kind in (Exchange, AsyncExchange)
    )
    assert waited == awaited
    assert "place_bid" in waited
    assert (Exchange.place_bid.__doc__ or "").startswith("Bid.")
