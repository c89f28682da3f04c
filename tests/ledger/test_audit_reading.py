"""How the judge reads: its fast ways beside slow ones and beside the writer's, and large bodies put together."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.audit import audit
from ledger.audit.entry import read_body, read_leaf
from ledger.audit.findings import Findings
from ledger.audit.fold import Fold
from ledger.audit.keys import Keys
from ledger.audit.reading import Bundle
from ledger.audit.segment import judge_segment
from ledger.audit.shapes import Shapes
from ledger.audit.state import Money
from ledger.bundle import BundleWriter, Row, Shown
from ledger.entries import Entry, canonical, parse_body, parse_leaf
from ledger.errors import CanonicalError
from ledger.postings import (
    AMOUNT_LIMIT,
    Account,
    AccountLimit,
    Transfer,
    transfer_to_json,
)
from tests.ledger.logbook import LOG, ORIGIN, Market, Records, failed, read, signed_again

# Fast ways beside slow ones

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def spelt(value: object) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(value).encode()


@given(JSON.map(spelt) | st.binary(max_size=40))
@example('{"\U0001f600":"a","\ufb33":"b"}'.encode())
@example('{"\ufb33":"b","\U0001f600":"a"}'.encode())
@example('{"a":"e\u0301"}'.encode())
@example(b'{"a":"1","a":"1"}')
@example(b'{"a": "1"}')
@example(b'{"b":"1","a":"1"}')
@example(b'{"a":' * 31 + b'"1"' + b"}" * 31)
@example(b'{"a":' * 32 + b'"1"' + b"}" * 32)
@example(b'{"a":-1}')
@example(b'{"a":"\\u0041"}')
@example(b'{"a":"\\ud800"}')
def test_the_judge_and_the_writer_take_the_same_bodies(text: bytes) -> None:
    try:
        written: object = parse_body(text)
    except CanonicalError:
        written = None
    try:
        judged: object = read_body(text)
    except CanonicalError:
        judged = None
    assert judged == written


LEAF_PARTS = st.one_of(
    st.sampled_from(
        ['"', "\\", "a.b", "a..b", "A", "0", "01", "9" * 19, "9223372036854775807", "\n", " ", "é"]
    ),
    st.text(max_size=3),
)


@given(
    st.from_regex("[0-9a-f]{63,65}", fullmatch=True),
    st.from_regex(r"[a-z][a-z0-9._-]{0,6}", fullmatch=True) | LEAF_PARTS,
    st.integers(0, 2**64).map(str) | LEAF_PARTS,
)
@example("0" * 64, "a" * 64, "0")
@example("0" * 64, "a" * 65, "0")
@example("0" * 64, "a", str(2**63))
@example("0" * 64, "a.b\n", "0")
def test_the_judge_and_the_writer_take_the_same_leaves(digest: str, kind: str, time: str) -> None:
    line = f'{{"digest":"{digest}","kind":"{kind}","time":"{time}"}}'.encode("utf-8", "surrogatepass")
    try:
        written: object = parse_leaf(line)
    except CanonicalError:
        written = None
    try:
        leaf = read_leaf(line)
        judged: object = (leaf.kind, leaf.time_us, bytes.fromhex(leaf.digest))
    except CanonicalError:
        judged = None
    assert judged == written


ODD_BYTES = [b'"', b'","', b"1", b":", b"\\/", b"\\u0041", b"\\n", "e\u0301".encode(), b"\x7f", b"\n"]


@given(st.data())
def test_a_body_of_a_known_shape_is_canonical_and_says_what_it_says(data: st.DataObject) -> None:
    members = st.dictionaries(
        st.text("ab\u00e9", min_size=1, max_size=3), st.text('x1é"\\', max_size=4), max_size=3
    )
    first = {"act": data.draw(members), "kind": "a.b", "time": "1"}
    shapes = Shapes()
    body = canonical(first)
    shapes.learn(body, first)
    other = body
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(other) - 1))
        cut = data.draw(st.integers(0, 2))
        other = other[:at] + data.draw(st.binary(max_size=2) | st.sampled_from(ODD_BYTES)) + other[at + cut :]
    found = shapes.find(other)
    if found is None:
        return
    value = read_body(other)  # raises where the shape took what is not canonical
    assert found[1] == (value["kind"].encode(), value["time"].encode())
    assert found[0].find_lines(other + b"\n") == [found[1]]


PAIRS = [(debit, credit) for debit in "abcd" for credit in "abcd" if debit != credit]


def seldom(often: list[Any], odd: list[Any]) -> st.SearchStrategy[Any]:
    """One of those that are often seen, and once in forty times an odd one."""
    return st.integers(0, 39).flatmap(lambda n: st.sampled_from(odd if n == 39 else often))


def reachable(account: Account) -> bool:
    """Whether an account keeps its limit, as every account of a log so far does."""
    match account.limit:
        case "debits_must_not_exceed_credits":
            return account.available >= 0
        case "credits_must_not_exceed_debits":
            return account.debits_posted >= account.credits_posted + account.credits_pending
        case "none":
            return True


@pytest.mark.parametrize("said", ODD_BYTES)
def test_a_string_that_is_not_written_as_it_is_has_no_shape(said: bytes) -> None:
    first = canonical({"act": {"said": "xx"}, "kind": "a.b", "time": "1"})
    shapes = Shapes()
    shapes.learn(first, json.loads(first))
    assert shapes.find(first.replace(b"xx", b"yyy")) is not None
    assert shapes.find(first.replace(b"xx", said)) is None or said in (b"1", b":")


@st.composite
def plain_segments(draw: st.DrawFn) -> tuple[dict[str, Account], list[Transfer]]:
    """Accounts near their limits, and transfers that mostly are as plain as the fast way wants them."""
    few, many = st.integers(0, 2), seldom([3, 6, 9, 40], [AMOUNT_LIMIT - 5])
    accounts = {
        name: draw(
            st.builds(
                Account,
                st.just(name),
                seldom(["CNY"], ["USD"]),
                st.just("cash"),
                st.sampled_from(get_args(AccountLimit)),
                few,
                many,
                few,
                many,
                closed=seldom([False], [True]),
            ).filter(reachable)
        )
        for name in "abcd"
    }
    transfers = []
    for place in range(draw(st.integers(1, 6))):
        debit, credit = draw(st.sampled_from(PAIRS * 4 + [("a", "a"), ("b", "b"), ("a", "e"), ("e", "a")]))
        transfers.append(
            Transfer(
                draw(st.sampled_from([f"t{place}"] * 12 + ["t0", "used"])),
                "post",
                debit,
                credit,
                draw(seldom([1, 2, 3], [AMOUNT_LIMIT])),
                draw(st.sampled_from(["CNY"] * 12 + ["USD"])),
                draw(st.sampled_from(["sale", "x y"])),
            )
        )
    return accounts, transfers


@given(plain_segments(), st.sampled_from([7] * 12 + [1, 6, 8]))
def test_the_sums_of_a_segment_give_just_what_its_single_steps_give(
    made: tuple[dict[str, Account], list[Transfer]], sequence: int
) -> None:
    accounts, transfers = made
    before = Money(accounts, dict.fromkeys(accounts, 0), {}, {"used"}, 7)
    body_of = [
        {"act": {}, "kind": "a.b", "time": str(place), "transfers": [transfer_to_json(transfer)]}
        for place, transfer in enumerate(transfers)
    ]
    entries = [Entry.of(body, bytes([place]) * 32) for place, body in enumerate(body_of)]
    rows = [Row(transfer, sequence + place, place, "posted") for place, transfer in enumerate(transfers)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "b.zip"
        with BundleWriter(path, origin=ORIGIN, vkeys=[LOG.vkey], sandbox=True) as writer:
            writer.segment([Shown(e.leaf, e.salt, e.body) for e in entries], [], rows)
        with Bundle(path) as bundle:
            keys = Keys.parsed([LOG.vkey], from_bundle=False)
            fast, slow = (
                judge_segment(bundle, keys, 0, Shapes(), sizes=(), exact=exact, seek_commitments=False)
                for exact in (False, True)
            )
            claimed = bundle.rows(0, "transfers.jsonl")
    assert slow.plain is None
    stepwise = Findings()
    steps = Fold(stepwise, before.copy(), 0)
    steps.begin(claimed, 0, len(transfers) - 1)
    for index, body in slow.moves:
        steps.body(index, body)
    steps.end(unfinished=False)
    sums = Fold(Findings(), before.copy(), 0)
    if fast.plain is None:
        assert any(t.debit == t.credit or t.ledger != transfers[0].ledger for t in transfers)
    elif sums.apply(fast.plain):
        assert not stepwise.first
        assert sums.money == steps.money
    else:
        assert stepwise.first
        assert sums.money == before


# Large bodies: the log itself wrote them wrongly, and signed


def large_bodies(records: Records) -> list[list[int]]:
    """The entries of each large body, its head first."""
    of: dict[int, list[int]] = {}
    for index, line in enumerate(records["entries.jsonl"]):
        body = json.loads(line["body"])
        if "chunks" in body:
            of[index] = [index]
        elif body["kind"] == "chunk":
            of[int(body["of"])].append(index)
    return list(of.values())


Damage = Callable[[list[dict[str, Any]], list[int]], int]


def put(lines: list[dict[str, Any]], index: int, **members: object) -> None:
    lines[index]["body"] = canonical({**json.loads(lines[index]["body"]), **members}).decode()


def head_of_more(lines: list[dict[str, Any]], at: list[int]) -> int:
    put(lines, at[0], act="x")
    return at[0]


def head_of_one(lines: list[dict[str, Any]], at: list[int]) -> int:
    put(lines, at[0], chunks={**json.loads(lines[at[0]]["body"])["chunks"], "count": "1"})
    return at[0]


def text_of_another_digest(lines: list[dict[str, Any]], at: list[int]) -> int:
    text = json.loads(lines[at[1]]["body"])["text"]
    put(lines, at[1], text=text.replace("数", "据", 1))
    return at[0]


def of_another_head(lines: list[dict[str, Any]], at: list[int]) -> int:
    put(lines, at[1], of=str(at[0] + 1))
    return at[0]


def out_of_order(lines: list[dict[str, Any]], at: list[int]) -> int:
    put(lines, at[1], part="2")
    return at[0]


def of_another_time(lines: list[dict[str, Any]], at: list[int]) -> int:
    time = json.loads(lines[at[0]]["body"])["time"]
    put(lines, at[0], kind="auctions.close", time=time)
    return at[0]


def an_act_among_them(lines: list[dict[str, Any]], at: list[int]) -> int:
    act = {"act": {}, "kind": "a.b", "time": json.loads(lines[at[0]]["body"])["time"]}
    lines.insert(at[1], {**lines[at[1]], "body": canonical(act).decode()})
    return at[0]


def one_too_many(lines: list[dict[str, Any]], at: list[int]) -> int:
    lines.insert(at[-1] + 1, dict(lines[at[-1]]))
    return at[-1] + 1


def no_head(lines: list[dict[str, Any]], at: list[int]) -> int:
    act = {"act": {}, "kind": "a.b", "time": json.loads(lines[at[0]]["body"])["time"]}
    lines[at[0]]["body"] = canonical(act).decode()
    return at[1]


def cut_off_at_the_end(lines: list[dict[str, Any]], at: list[int]) -> int:
    del lines[at[-1] :]
    return at[0]


def not_canonical(lines: list[dict[str, Any]], at: list[int]) -> int:
    """The head commits to a whole that is JSON in another spelling."""
    texts = [json.loads(lines[index]["body"])["text"] for index in at[1:]]
    texts[0] = "{ " + texts[0][1:]
    put(lines, at[1], text=texts[0])
    whole = "".join(texts).encode()
    chunks = json.loads(lines[at[0]]["body"])["chunks"]
    chunks |= {"bytes": str(len(whole)), "digest": sha256(whole).hexdigest()}
    put(lines, at[0], chunks=chunks)
    return at[0]


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize(
    ("damage", "saying"),
    [
        (head_of_more, "body_form"),
        (head_of_one, "body_form"),
        (text_of_another_digest, "chunk_form"),
        (of_another_head, "chunk_form"),
        (out_of_order, "chunk_form"),
        (of_another_time, "chunk_form"),
        (not_canonical, "chunk_form"),
        (an_act_among_them, "chunk_form"),
        (cut_off_at_the_end, "chunk_missing"),
        (one_too_many, "chunk_stray"),
        (no_head, "chunk_stray"),
    ],
)
def test_a_large_body_that_does_not_hold_together_is_found_at_its_head_or_at_the_stray_chunk(
    damage: Damage, saying: str, tmp_path: Path
) -> None:
    for seed in range(6):
        market = Market(random.Random(f"damage {seed}"), large=0.2).run(12)
        records = read(market.export(tmp_path / "b.zip"))
        at = random.Random(seed).choice(large_bodies(records))
        index = damage(records["entries.jsonl"], at)
        verdict = audit(signed_again(records, tmp_path / "m.zip", 16), [LOG.vkey], processes=1)
        check = verdict.check("bodies")
        assert (check.status, check.saying, check.first_bad_index) == ("failed", saying, index), (
            verdict.explain("en")
        )
        assert failed(verdict) <= {"bodies", "openings"}
        assert verdict.check("account_rows").saying == "fold_stopped"
