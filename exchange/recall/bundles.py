"""A witness's bundles as a recall reads them: fetched, judged, and their entries batch by batch as they were signed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from exchange.errors import Conflict, Malformed, Unavailable
from ledger.audit import audit_on
from ledger.audit.reading import Bundle
from ledger.checkpoint import Checkpoint, split_note
from ledger.errors import LedgerError
from ledger.merkle import Edge

Progress = Callable[[int, int], None]
"""`progress(done, total)`, in entries."""

_NAME = re.compile(r"([0-9]{16})-([0-9]{16})\.zip")
_FETCH_S = 60.0


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry as it was logged."""

    index: int
    leaf: bytes
    salt: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """The entries that one transaction brought, and the root that was signed behind them."""

    entries: list[Logged]
    root: bytes

    @property
    def size(self) -> int:
        """How many entries the log has with them."""
        return self.entries[-1].index + 1


Opened = tuple[bytes | None, str | None]
"""Salt and text of a commitment; None, None where they were erased."""


def bundles_from(
    witness: str | Path,
    token: str | None,
    folder: Path,
    *,
    after: int = 0,
    say: Callable[[str], None],
) -> list[Path]:
    """The bundles of a witness that hold entries from `after` on, in the order of the log.

    `witness` is its folder, or its address, from which they are fetched into `folder` with its bearer `token`; what lies
    there whole is not fetched again. Unavailable where nobody answers, Malformed where the witness refuses or sends
    something else than it lists.
    """
    if not str(witness).startswith(("http://", "https://")):
        place = Path(witness)
        place = place / "bundles" if (place / "bundles").is_dir() else place
        named = {path: _NAME.fullmatch(path.name) for path in sorted(place.glob("*.zip"))}
        return [path for path, match in named.items() if match and int(match[2]) > after]
    address = str(witness).rstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    with httpx.Client(
        headers={} if token is None else {"Authorization": f"Bearer {token}"}, timeout=_FETCH_S
    ) as client:
        listed = [
            one
            for one in _json(client, f"{address}/bundles")
            if _NAME.fullmatch(str(one.get("name"))) and int(one["stop"]) > after
        ]
        found = []
        for number, one in enumerate(sorted(listed, key=lambda one: str(one["name"])), 1):
            path = folder / str(one["name"])
            if not path.exists() or _digest(path) != one["sha256"]:
                say(f"fetching {path.name} from the witness: {number} of {len(listed)}")
                _fetch(client, f"{address}/bundles/{path.name}", path)
            if _digest(path) != one["sha256"]:
                path.unlink()
                raise _refused(f"{path.name} has other bytes than the witness lists")
            found.append(path)
    return found


def _json(client: httpx.Client, url: str) -> list[dict[str, Any]]:
    try:
        answer = client.get(url)
    except httpx.HTTPError as error:
        raise _silent(url, error) from error
    if answer.status_code != 200:
        raise _refused(f"{url} answers {answer.status_code}")
    try:
        listed = answer.json()
    except ValueError:
        listed = None
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise _refused(f"{url} answers no list")
    return listed


def _fetch(client: httpx.Client, url: str, path: Path) -> None:
    partial = path.with_suffix(".part")
    try:
        with client.stream("GET", url) as answer, partial.open("wb") as file:
            if answer.status_code != 200:
                raise _refused(f"{url} answers {answer.status_code}")
            for block in answer.iter_bytes(1 << 20):
                file.write(block)
    except httpx.HTTPError as error:
        raise _silent(url, error) from error
    partial.replace(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _silent(url: str, error: Exception) -> Unavailable:
    return Unavailable(
        "recall.witness",
        f"the witness does not answer at {url}: {error}",
        remedy="see whether it runs, or copy its folder and name that",
    )


def _refused(detail: str) -> Malformed:
    return Malformed(
        "recall.witness",
        detail,
        field="--witness",
        rule="a witness hands its bundles to whoever has the token of `exchange witness init`",
        remedy="pass --token-file with that token, or copy the witness's folder and name that",
    )


def chained(paths: Sequence[Path], size: int) -> list[Path]:
    """Those that go on, one from the other, from an entry at or before `size`; of two with one beginning the longer.

    Conflict where the first that reaches beyond `size` begins only behind it.
    """
    bounds: dict[int, tuple[int, Path]] = {}
    for path in paths:
        with Bundle(path) as bundle:
            start, stop = bundle.manifest.start, bundle.manifest.size
        if stop > size and (start not in bounds or bounds[start][0] < stop):
            bounds[start] = (stop, path)
    if not bounds:
        return []
    at = max((start for start in bounds if start <= size), default=None)
    if at is None:
        raise Conflict(
            "recall.gap",
            f"the log here has {size} entries, the bundles begin at entry {min(bounds)}",
            field="bundles",
            rule="bundles go on from what is there, without a gap",
            remedy="bring the bundles between, or a backup that reaches further",
        )
    chain = []
    while at in bounds:
        at, path = bounds[at]
        chain.append(path)
    return chain


def end_of(chain: Sequence[Path]) -> int:
    """The index behind the last entry that a chain of bundles holds."""
    with Bundle(chain[-1]) as bundle:
        return bundle.manifest.size


def judge(paths: Sequence[Path], vkey: str, say: Callable[[str], None]) -> None:
    """Audit bundles that go on from one another under the log's own key; Conflict names the first bad entry."""
    state = None
    for path in paths:
        say(f"judging {path.name}")
        try:
            verdict, state = audit_on(path, [vkey], state)
        except LedgerError as error:
            raise _unsound(path, str(error)) from error
        if not verdict.ok:
            raise _unsound(path, verdict.explain("en"), verdict.first_bad_index)


def _unsound(path: Path, detail: str, index: int | None = None) -> Conflict:
    return Conflict(
        "recall.bundle",
        f"{path.name} is not what this log signed: {detail}",
        field=path.name if index is None else f"entry {index}",
        rule="what is taken back passes the audit, under the log's own key",
        remedy="take the bundle from another witness; keep this one as evidence",
    )


def openings(paths: Sequence[Path]) -> dict[str, Opened]:
    """What opens each commitment. Where a later bundle says that one was erased, it was."""
    found: dict[str, Opened] = {}
    for path in paths:
        with Bundle(path) as bundle:
            for _, line in bundle.table("openings.jsonl"):
                erased = line["value"] is None
                found[line["commitment"]] = (
                    (None, None) if erased else (bytes.fromhex(line["salt"]), line["value"])
                )
    return found


def anchors(paths: Sequence[Path]) -> Iterator[tuple[int, bytes, int, str, str, int]]:
    """Size, root, chain, contract, transaction and block of each anchor; that the roots are this log's was judged."""
    for path in paths:
        with Bundle(path) as bundle:
            for one in bundle.document("anchors.json"):
                size, chain_id, block = (int(one[name]) for name in ("size", "chain_id", "block"))
                yield size, bytes.fromhex(one["root"]), chain_id, one["contract"], one["tx"], block


def batches(paths: Sequence[Path], edge: Edge) -> Iterator[Batch]:
    """What lies behind `edge`, the tree of the log here, batch by batch; the bundles were judged before.

    Conflict where the bundles are of another history than `edge`, and where a body is withheld.
    """
    at, joined = edge.size, False
    waiting: list[Logged] = []
    for path in paths:
        with Bundle(path) as bundle:
            if bundle.manifest.start == edge.size:
                _require_same(edge, bundle.manifest.edge.root())
                joined = True
            for number in bundle.segments:
                first, stop = bundle.bounds(number)
                ends = dict(_end(row["note"]) for row in bundle.rows(number, "checkpoints.jsonl"))
                if edge.size in ends:
                    _require_same(edge, ends[edge.size])
                    joined = True
                if stop <= at:
                    continue
                lines = zip(
                    *(
                        bundle.part(number, name).split(b"\n")[:-1]
                        for name in ("leaves.jsonl", "salts.txt", "bodies.jsonl")
                    ),
                    strict=True,
                )
                for index, (leaf, salt, body) in enumerate(lines, first):
                    if index < at:
                        continue
                    if not body:
                        raise _withheld(index)
                    if not joined:
                        raise _other(edge)
                    waiting.append(Logged(index, leaf, bytes.fromhex(salt.decode()), body))
                    at = index + 1
                    if at in ends:
                        yield Batch(waiting, ends[at])
                        waiting = []


def _end(note: str) -> tuple[int, bytes]:
    checkpoint = Checkpoint.parse(split_note(note)[0])
    return checkpoint.size, checkpoint.root


def _require_same(edge: Edge, root: bytes) -> None:
    if edge.root() != root:
        raise _other(edge)


def _other(edge: Edge) -> Conflict:
    return Conflict(
        "recall.other_history",
        f"the {edge.size} entries here are not those with which the bundles begin",
        field="bundles",
        rule="what is there is a beginning of what the log signed",
        remedy="recall into an empty database, or restore another backup first; audit this one",
    )


def _withheld(index: int) -> Conflict:
    return Conflict(
        "recall.withheld",
        f"the bundles have no body of entry {index}",
        field=f"entry {index}",
        rule="rows are made from bodies, all of which only a regulator is given",
        remedy="take the bundles of a witness that follows with a regulator's key",
    )
