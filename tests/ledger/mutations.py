"""Changes to a log's history, as one makes them who has everything but the keys.

Each gives the smallest index that differs afterwards, or None where nothing changed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from ledger.entries import canonical
from tests.ledger.logbook import Market, Records

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
)
"""Those that fit every log, large bodies and all."""
