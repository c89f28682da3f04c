"""A log with money in it, made from a seed; its bundles, and these as parsed records that can be changed."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ledger import bundle as bundle_format
from ledger.bundle import BundleWriter, Row, Shown
from ledger.checkpoint import Checkpoint, Cosigner, Signer, sign
from ledger.entries import Entry, commitment
from ledger.merkle import Edge, leaf_hash, root
from ledger.postings import (
    STATE_AT_FIRST,
    Account,
    Pending,
    Posted,
    Transfer,
    account_from_json,
    account_to_json,
    decide,
    transfer_from_json,
    transfer_to_json,
)
from ledger.verdict import Verdict

ORIGIN = "exchange.example/log"
LOG = Signer(ORIGIN, b"\x01" * 32)
THIEF = Signer(ORIGIN, b"\x66" * 32)
WITNESS = Cosigner("witness.example", b"\x02" * 32)
LINES = ("checkpoints.jsonl", "entries.jsonl", "openings.jsonl", "accounts.jsonl", "transfers.jsonl")

SEGMENT_0 = "segments/00000000"

Records = dict[str, Any]
"""The parsed members of a bundle, by name."""


@dataclass
class Market:
    """A log with money in it, made from a seed."""

    chance: random.Random
    origin: str = ORIGIN
    large: float = 0.0
    """How often a body is too large for one entry."""

    def __post_init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.opened: dict[str, int] = {}
        self.pendings: dict[str, Pending] = {}
        self.rows: list[tuple[Transfer, int, int]] = []
        self.entries: list[Entry] = []
        self.openings: list[tuple[str, bytes | None, str | None]] = []
        self.notes: list[str] = []
        self.sizes: list[int] = []
        self.edge = Edge.empty()
        self.time_us = 1_700_000_000_000_000
        self.number = 0

    def bytes32(self) -> bytes:
        return self.chance.randbytes(32)

    def opening(self) -> str:
        salt, value = self.bytes32(), f"document {self.number}"
        name = commitment(salt, value)
        self.openings.append((name, salt, value))
        return name

    def act(self) -> None:
        self.number += 1
        self.time_us += self.chance.randrange(1, 3)
        body: dict[str, Any] = {
            "kind": self.chance.choice(["auctions.bid", "settlement.pay", "parties.join"]),
            "time": str(self.time_us),
            "by": f"person-{self.chance.randrange(9)}",
            "party": f"party-{self.chance.randrange(9)}",
            "key": f"key-{self.number}",
            "act": {
                "lot": f"lot-{self.chance.randrange(3)}",
                "price_fen": str(self.chance.randrange(10_000)),
            },
        }
        if len(self.accounts) < 2 or self.chance.random() < 0.2:
            limit = "debits_must_not_exceed_credits" if self.accounts else "none"
            opened = Account(f"account-{len(self.accounts)}", "CNY", "cash", limit)  # type: ignore[arg-type]
            self.accounts[opened.id] = opened
            self.opened[opened.id] = len(self.entries)
            body["accounts"] = [account_to_json(opened)]
        if len(self.accounts) > 1 and self.chance.random() < 0.7 and (carried := self.transfers()):
            body["transfers"] = [transfer_to_json(transfer) for transfer in carried]
        if self.chance.random() < 0.3:
            body["act"]["document"] = self.opening()
        if self.chance.random() < self.large:
            body["act"]["text"] = "数据" * self.chance.randrange(11_000, 20_000)
            self.entries += self.split(body)
        else:
            self.entries.append(Entry.of(body, self.bytes32()))

    def split(self, body: dict[str, Any]) -> Iterable[Entry]:
        """The head of a large body, and the chunks that follow it."""
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        parts = [text[at : at + 20_000] for at in range(0, len(text), 20_000)]
        whole, time, head = text.encode(), body["time"], len(self.entries)
        chunks = {"bytes": str(len(whole)), "count": str(len(parts)), "digest": sha256(whole).hexdigest()}
        yield Entry.of({"chunks": chunks, "kind": body["kind"], "time": time}, self.bytes32())
        for number, part in enumerate(parts, 1):
            chunk = {"kind": "chunk", "of": str(head), "part": str(number), "text": part, "time": time}
            yield Entry.of(chunk, self.bytes32())

    def transfers(self) -> list[Transfer]:
        """A few transfers that take effect now."""
        index, done = len(self.entries), list[Transfer]()
        for place in range(self.chance.randrange(1, 4)):
            held = [hold for hold in self.pendings.values() if hold.state == "pending"]
            name, amount = f"transfer-{self.number}-{place}", self.chance.randrange(1, 1000)
            if held and self.chance.random() < 0.4:
                hold = self.chance.choice(held)
                void = self.chance.random() < 0.5
                late = hold.expires_us is not None and hold.expires_us <= self.time_us
                transfer = Transfer(
                    name,
                    "expire_pending" if late else "void_pending" if void else "post_pending",
                    hold.debit,
                    hold.credit,
                    hold.amount if void or late else self.chance.randrange(1, hold.amount + 1),
                    hold.ledger,
                    hold.code,
                    hold.id,
                )
            else:
                debit, credit = self.chance.sample(sorted(self.accounts), 2)
                if self.chance.random() < 0.4:
                    timeout_us = self.chance.choice([0, 0, 3, 20])
                    closes = self.chance.choice([None] * 7 + ["credit"])
                    transfer = Transfer(
                        name,
                        "pending",
                        debit,
                        credit,
                        amount,
                        "CNY",
                        "sale",
                        timeout_us=timeout_us,
                        closes=closes,  # type: ignore[arg-type]  # the choice of a literal
                    )
                else:
                    transfer = Transfer(name, "post", debit, credit, amount, "CNY", "sale")
            decision = decide(self.accounts, self.pendings, {}, [transfer], len(self.rows) + 1, self.time_us)
            if isinstance(decision.outcomes[0], Posted):
                self.accounts |= decision.accounts
                self.pendings |= decision.pendings
                self.rows.append((transfer, len(self.rows) + 1, index))
                done.append(transfer)
        return done

    def batch(self) -> None:
        before = len(self.entries)
        for _ in range(self.chance.randrange(1, 5)):
            self.act()
        self.edge = self.edge.append([leaf_hash(entry.leaf) for entry in self.entries[before:]])
        checkpoint = Checkpoint(self.origin, self.edge.size, self.edge.root())
        self.notes.append(sign(checkpoint, LOG) + WITNESS.cosign(checkpoint.body(), 1_700_000_000))
        self.sizes.append(self.edge.size)

    def run(self, batches: int) -> Market:
        for _ in range(batches):
            self.batch()
        return self

    def state(self, transfer: Transfer) -> Any:
        return (
            self.pendings[transfer.id].state if transfer.kind == "pending" else STATE_AT_FIRST[transfer.kind]
        )

    def anchors(self) -> list[dict[str, Any]]:
        sizes = [size for number, size in enumerate(self.sizes) if number % 4 == 3]
        return [
            {
                "chain_id": 1,
                "contract": "0xc0",
                "tx": f"0x{size:064x}",
                "size": size,
                "block": number + 1,
                "state": "final",
            }
            for number, size in enumerate(sizes)
        ]

    def export(
        self,
        path: Path,
        visible: Callable[[int], bool] = lambda index: True,
        *,
        start: int = 0,
        own: Sequence[str] | None = None,
    ) -> Path:
        """The log from batch `start` on, with the bodies that are visible; with `own` only these accounts."""
        leaves = [leaf_hash(entry.leaf) for entry in self.entries]
        at = self.sizes[start - 1] if start else 0
        edge = Edge.empty().append(leaves[:at])
        rows = [r for r in self.rows if own is None or r[0].debit in own or r[0].credit in own]
        with BundleWriter(
            path,
            origin=self.origin,
            vkeys=[LOG.vkey],
            sandbox=True,
            start=edge,
            party=None if own is None else "party-1",
        ) as bundle:
            while at < len(leaves):
                stop = min(len(leaves), (at // bundle_format.SEGMENT + 1) * bundle_format.SEGMENT)
                bundle.segment(
                    [
                        Shown(e.leaf, e.salt, e.body) if visible(index) else Shown(e.leaf, None, None)
                        for index, e in enumerate(self.entries[at:stop], at)
                    ],
                    [note for size, note in zip(self.sizes, self.notes, strict=True) if at < size <= stop],
                    [Row(t, sequence, i, self.state(t)) for t, sequence, i in rows if at <= i < stop],
                )
                at = stop
            text = b"".join(entry.body for entry in self.entries[edge.size :]).decode()
            if own is None:
                bundle.openings(row for row in self.openings if row[0] in text)
            bundle.accounts(a for a in self.accounts.values() if own is None or a.id in own)
            for anchor in self.anchors():
                bundle.anchor(**anchor, root=root(leaves[: anchor["size"]]))
        return path


def read(path: Path) -> Records:
    """The members of a bundle, those of all segments one after the other, parsed."""
    records: Records = {name: [] for name in LINES}
    with zipfile.ZipFile(path) as bundle:
        for name in bundle.namelist():
            data = bundle.read(name)
            match name.rpartition("/")[2]:
                case "leaves.jsonl":
                    records["entries.jsonl"] += [{"leaf": line} for line in data.decode().splitlines()]
                case "bodies.jsonl" | "salts.txt" as part:
                    lines = data.decode().split("\n")[:-1]
                    member = {"bodies.jsonl": "body", "salts.txt": "salt"}[part]
                    for entry, line in zip(records["entries.jsonl"][-len(lines) :], lines, strict=True):
                        entry[member] = line or None
                case "transfers.jsonl":
                    for row in map(json.loads, data.splitlines()):
                        records["transfers.jsonl"].append(row.pop("transfer") | row)
                case part if part in LINES:
                    records[part] += [json.loads(line) for line in data.splitlines()]
                case part:
                    records[part] = json.loads(data)
    return records


def write(records: Records, path: Path, segment: int | None = None) -> Path:
    """Serialise parsed records, with the sizes that the manifest has to state, row by row in its segment."""
    segment = segment or bundle_format.SEGMENT
    manifest = dict(records["manifest.json"])
    start, size = int(manifest["start"]), int(manifest["start"]) + len(records["entries.jsonl"])
    members: dict[str, bytes] = {}

    def lines(name: str, values: Iterable[str | bytes | dict[str, Any] | None]) -> None:
        members[name] = b"".join(
            (json.dumps(v, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() if isinstance(v, dict)
             else v.encode("utf-8", "surrogatepass") if isinstance(v, str) else v or b"") + b"\n"
            for v in values
        )  # fmt: skip

    def place(index: Any) -> int:
        """The segment of a row or note; a senseless one stands in the last."""
        last = max(size - 1, start) // segment
        text = str(index)
        return min(max(int(text), start) // segment, last) if text.isdecimal() and len(text) < 20 else last

    for number in range(start // segment, -(-size // segment) if size > start else start // segment):
        first, stop = max(number * segment, start), min((number + 1) * segment, size)
        entries = records["entries.jsonl"][first - start : stop - start]
        lines(f"segments/{number:08}/leaves.jsonl", [entry["leaf"] for entry in entries])
        lines(f"segments/{number:08}/bodies.jsonl", [entry["body"] for entry in entries])
        lines(f"segments/{number:08}/salts.txt", [entry["salt"] for entry in entries])
        lines(
            f"segments/{number:08}/checkpoints.jsonl",
            [line for line in records["checkpoints.jsonl"] if place(_note_size(line) - 1) == number],
        )
        outer = ("index", "sequence", "state")
        lines(
            f"segments/{number:08}/transfers.jsonl",
            [
                {m: row[m] for m in outer if m in row}
                | {"transfer": {m: row[m] for m in row if m not in outer}}
                for row in records["transfers.jsonl"]
                if place(row.get("index")) == number
            ],
        )
    for name in ("openings.jsonl", "accounts.jsonl"):
        lines(name, records[name])
    members["anchors.json"] = json.dumps(records["anchors.json"]).encode()
    manifest["members"] = {name: str(len(data)) for name, data in members.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in {**members, "manifest.json": json.dumps(manifest).encode()}.items():
            bundle.writestr(name, data)
    return path


def _note_size(line: dict[str, Any]) -> int:
    """The size that a checkpoint line claims; 1 where it claims none."""
    try:
        return max(1, int(str(line["note"]).split("\n")[1]))
    except (KeyError, TypeError, ValueError, IndexError):
        return 1


def leaves_of(records: Records) -> list[bytes]:
    return [leaf_hash(line["leaf"].encode()) for line in records["entries.jsonl"]]


def relink(records: Records) -> None:
    """Make leaves, indexes, anchors and manifest follow from the bodies."""
    for line in records["entries.jsonl"]:
        entry = Entry.of(json.loads(line["body"]), bytes.fromhex(line["salt"]))
        line["leaf"] = entry.leaf.decode()
    leaves = leaves_of(records)
    records["anchors.json"] = [a for a in records["anchors.json"] if int(a["size"]) <= len(leaves)]
    for anchor in records["anchors.json"]:
        anchor["root"] = root(leaves[: int(anchor["size"])]).hex()
    records["manifest.json"] |= {"size": str(len(leaves)), "root": root(leaves).hex()}


def refold(records: Records) -> None:
    """Make the tables follow from the bodies."""
    accounts: dict[str, Account] = {}
    pendings: dict[str, Pending] = {}
    rows: dict[str, tuple[Transfer, int, int]] = {}
    for index, body in wholes(records):
        for value in body.get("accounts", []):
            account = account_from_json(value)
            accounts.setdefault(account.id, account)
        for value in body.get("transfers", []):
            transfer = transfer_from_json(value)
            decision = decide(accounts, pendings, {}, [transfer], len(rows) + 1, int(body["time"]))
            if transfer.id not in rows and isinstance(decision.outcomes[0], Posted):
                accounts |= decision.accounts
                pendings |= decision.pendings
                rows[transfer.id] = transfer, len(rows) + 1, index
    records["accounts.jsonl"] = [account_row(account) for account in accounts.values()]
    records["transfers.jsonl"] = [transfer_row(*row, pendings) for row in rows.values()]


def wholes(records: Records) -> Iterable[tuple[int, dict[str, Any]]]:
    """Index and body of every entry, large ones put together where all of one is there."""
    bodies = [json.loads(line["body"]) for line in records["entries.jsonl"]]
    for index, body in enumerate(bodies):
        if "chunks" in body:
            chunks = bodies[index + 1 : index + 1 + int(body["chunks"]["count"])]
            try:
                yield index, json.loads("".join(chunk["text"] for chunk in chunks))
            except (KeyError, json.JSONDecodeError):
                continue
        elif body["kind"] != "chunk":
            yield index, body


def recompute(records: Records) -> None:
    """Make all that needs no key follow from the bodies."""
    relink(records)
    refold(records)


def signed_again(records: Records, path: Path, segment: int | None = None) -> Path:
    """A bundle whose history was rewritten by one who has the log's key."""
    relink(records)
    leaves = leaves_of(records)
    notes = [{"note": sign(Checkpoint(ORIGIN, n, root(leaves[:n])), LOG)} for n in range(1, len(leaves) + 1)]
    records["checkpoints.jsonl"] = notes
    records["anchors.json"] = []
    return write(records, path, segment)


def set_by(market: Market, name: str) -> int:
    """The entry that last set an account."""
    moved = [index for transfer, _, index in market.rows if name in (transfer.debit, transfer.credit)]
    return max(moved, default=market.opened[name])


def account_row(account: Account) -> dict[str, Any]:
    balances = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
    numbers = {name: str(getattr(account, name)) for name in (*balances, "sequence")}
    return account_to_json(account) | numbers | {"closed": account.closed}


def transfer_row(
    transfer: Transfer, sequence: int, index: int, pendings: dict[str, Pending]
) -> dict[str, Any]:
    row = transfer_to_json(transfer)
    state = pendings[transfer.id].state if transfer.kind == "pending" else STATE_AT_FIRST[transfer.kind]
    return {"sequence": str(sequence), **row, "index": str(index), "state": state}


def statuses(verdict: Verdict) -> dict[str, str]:
    return {check.name: check.status for check in verdict.checks}


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if check.status == "failed"}
