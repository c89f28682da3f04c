"""Changes to a log's history and tables, as one makes them who has everything but the keys.

A change to history gives the smallest index that differs afterwards, one to a table the check that must find it
and where; both give None where nothing changed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from ledger import bundle as bundle_format
from ledger.entries import canonical
from tests.ledger.logbook import Market, Records, set_by, wholes

Change = Callable[[Records, random.Random], int | None]


def edit_act(records: Records, chance: random.Random) -> int | None:
    return edit_body(
        records, chance, lambda body: body["act"].update(price_fen=str(10_000 + chance.randrange(99)))
    )


def edit_author(records: Records, chance: random.Random) -> int | None:
    return edit_body(records, chance, lambda body: body.update(by="person-x"))


def edit_amount(records: Records, chance: random.Random) -> int | None:
    paying = [i for i, line in enumerate(records["entries.jsonl"]) if "transfers" in line["body"]]

    def double(body: dict[str, Any]) -> None:
        for transfer in body["transfers"]:
            transfer["amount"] = str(int(transfer["amount"]) + 1)

    return edit_body(records, chance, double, chance.choice(paying))


def edit_body(
    records: Records,
    chance: random.Random,
    change: Callable[[dict[str, Any]], None],
    index: int | None = None,
) -> int | None:
    lines = records["entries.jsonl"]
    index = chance.randrange(len(lines)) if index is None else index
    body = json.loads(lines[index]["body"])
    before = canonical(body)
    change(body)
    lines[index]["body"] = canonical(body).decode()
    return None if canonical(body) == before else index


def fresh_salt(records: Records, chance: random.Random) -> int | None:
    index = chance.randrange(len(records["entries.jsonl"]))
    records["entries.jsonl"][index]["salt"] = chance.randbytes(32).hex()
    return index


def delete(records: Records, chance: random.Random) -> int | None:
    index = chance.randrange(len(records["entries.jsonl"]) - 1)
    del records["entries.jsonl"][index]
    return index


def insert(records: Records, chance: random.Random) -> int | None:
    lines = records["entries.jsonl"]
    index = chance.randrange(len(lines))
    copied = json.loads(lines[index]["body"])
    copied.pop("transfers", None)
    copied.pop("accounts", None)
    lines.insert(
        index, {**lines[index], "body": canonical(copied).decode(), "salt": chance.randbytes(32).hex()}
    )
    return index


def swap(records: Records, chance: random.Random) -> int | None:
    lines = records["entries.jsonl"]
    first, second = sorted(chance.sample(range(len(lines)), 2))
    lines[first], lines[second] = lines[second], lines[first]
    return first


def move(records: Records, chance: random.Random) -> int | None:
    lines = records["entries.jsonl"]
    source, target = chance.sample(range(len(lines)), 2)
    lines.insert(target, lines.pop(source))
    return min(source, target)


def truncate(records: Records, chance: random.Random) -> int | None:
    lines = records["entries.jsonl"]
    size = chance.randrange(1, len(lines))
    del lines[size:]
    return size


def from_another_log(records: Records, chance: random.Random) -> int | None:
    other = Market(random.Random(chance.random())).run(2)
    entry = chance.choice(other.entries)
    index = chance.randrange(len(records["entries.jsonl"]))
    records["entries.jsonl"][index] |= {"salt": entry.salt.hex(), "body": entry.body.decode()}
    return index


def edit_anything(records: Records, chance: random.Random) -> int | None:
    index = chance.randrange(len(records["entries.jsonl"]))
    line = records["entries.jsonl"][index]
    body = json.loads(line["body"])
    member = chance.choice([name for name in body if name not in ("kind", "time")])
    if isinstance(body[member], str):
        body[member] += "x"
    elif isinstance(body[member], dict):
        body[member]["more"] = "1"
    elif body[member]:
        body[member][0]["code"] += "x"
    line["body"] = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return index


def copy_in(records: Records, chance: random.Random) -> int | None:
    lines = records["entries.jsonl"]
    index = chance.randrange(len(lines))
    lines.insert(index, {**chance.choice(lines), "salt": chance.randbytes(32).hex()})
    return index


def replay(records: Records, chance: random.Random) -> int | None:
    lines = records["entries.jsonl"]
    lines.append(dict(chance.choice(lines)))
    return len(lines) - 1


def damage_chunk(records: Records, chance: random.Random) -> int | None:
    """One part of a large body said otherwise, or two of its parts in each other's place."""
    lines = records["entries.jsonl"]
    places = [index for index, line in enumerate(lines) if '"kind":"chunk"' in line["body"]]
    if not places:
        return None
    index = chance.choice(places)
    if index + 1 in places and chance.random() < 0.3:
        lines[index], lines[index + 1] = lines[index + 1], lines[index]
        return index
    member, value = chance.choice([("text", "x"), ("part", "7"), ("of", "1"), ("more", "x")])
    return edit_body(records, chance, lambda body: body.update({member: value}), index)


SMALL: tuple[Change, ...] = (edit_act, edit_author, edit_amount, fresh_salt)
"""Those that change one body and can each be found at its very index."""
HISTORY: tuple[Change, ...] = (
    *SMALL,
    delete,
    insert,
    swap,
    move,
    truncate,
    from_another_log,
)
ANYWHERE: tuple[Change, ...] = (
    edit_anything,
    fresh_salt,
    delete,
    copy_in,
    swap,
    move,
    truncate,
    replay,
    from_another_log,
    damage_chunk,
)
"""Those that fit every log, large bodies and all."""


class Found(NamedTuple):
    """The check that must fail, and the index that it must name."""

    check: str
    at: int


def account_row(market: Market, records: Records, chance: random.Random) -> Found | None:
    row = chance.choice(records["accounts.jsonl"])
    member = chance.choice([name for name in row if name != "id"])
    if member == "closed":
        row[member] = not row[member]
    else:
        row[member] = str(int(row[member]) + 1) if row[member].isdigit() else row[member] + "x"
    return Found("account_rows", set_by(market, row["id"]))


def account_row_missing(market: Market, records: Records, chance: random.Random) -> Found | None:
    rows = records["accounts.jsonl"]
    row = rows.pop(chance.randrange(len(rows)))
    return Found("account_rows", set_by(market, row["id"]))


def transfer_row(market: Market, records: Records, chance: random.Random) -> Found | None:
    rows = records["transfers.jsonl"]
    if not rows:
        return None
    row = chance.choice(rows)
    member = chance.choice([name for name in row if name not in ("index", "sequence", "state")])
    row[member] = f"{row[member]}1"
    return Found("transfer_rows", int(row["index"]))


def transfer_state(market: Market, records: Records, chance: random.Random) -> Found | None:
    """Another end of a hold, or of any other transfer."""
    rows = records["transfers.jsonl"]
    holds = [row for row in rows if row["kind"] == "pending"]
    if not rows:
        return None
    row = chance.choice(holds if holds and chance.random() < 0.8 else rows)
    row["state"] = "posted" if row["state"] != "posted" else "voided"
    ended = [at for transfer, _, at in market.rows if transfer.pending == row["id"]]
    return Found("transfer_rows", ended[0] if ended else int(row["index"]))


def transfer_row_missing(market: Market, records: Records, chance: random.Random) -> Found | None:
    rows = records["transfers.jsonl"]
    if not rows:
        return None
    row = rows.pop(chance.randrange(len(rows)))
    return Found("transfer_rows", int(row["index"]))


def transfer_row_moved(market: Market, records: Records, chance: random.Random) -> Found | None:
    """A row that says that another entry carried its transfer."""
    rows = records["transfers.jsonl"]
    if not rows:
        return None
    row = chance.choice(rows)
    index = int(row["index"])
    at = chance.choice([at for at in range(len(records["entries.jsonl"])) if at != index])
    row["index"] = str(at)
    segment = bundle_format.SEGMENT
    if at // segment == index // segment:
        return Found("transfer_rows", index)
    # then it belongs to nothing where it stands now, and is missing where it stood
    return Found("transfer_rows", min(index, at // segment * segment))


def opening(market: Market, records: Records, chance: random.Random) -> Found | None:
    rows = records["openings.jsonl"]
    if not rows:
        return None
    row = chance.choice(rows)
    at = next(i for i, body in wholes(records) if row["commitment"] in str(body))
    row["salt" if chance.random() < 0.5 else "value"] = chance.randbytes(32).hex()
    return Found("openings", at)


TableChange = Callable[[Market, Records, random.Random], Found | None]

TABLES: tuple[TableChange, ...] = (
    account_row,
    account_row_missing,
    transfer_row,
    transfer_state,
    transfer_row_missing,
    transfer_row_moved,
    opening,
)
