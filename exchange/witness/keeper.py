"""What a witness knows and may sign: its memory on disk, and the rules of c2sp.org/tlog-witness."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Final

from exchange.client import ClientError, Forked, LogEnded, Unproven
from exchange.client.following import Follower, Look
from exchange.errors import Conflict, Malformed, Misconfigured
from ledger.audit.reading import Bundle
from ledger.checkpoint import Checkpoint, Cosigner, Verifier, open_note
from ledger.errors import LedgerError, NoteError, ProofError
from ledger.merkle import Edge, consistency_proof, leaf_hash, verify_consistency
from ledger.succession import Ended
from ledger.tiles import TILE, node_reader

REQUEST_LIMIT: Final = 1 << 17
"""Bytes of one add-checkpoint: 63 hashes and a note fit many times over."""
PROOF_LIMIT: Final = 63
LOOK_S: Final = 20.0
"""How long one question to the log may take: whoever waits for a cosignature is answered before it gives up."""
SUBTREES_LIMIT: Final = 1 << 16
"""Roots of full tiles that are remembered: all of a log of 16 million entries, in a few megabytes."""

AT_FAULT: Final = "this witness found the log at fault, and signs nothing of it: see /alarm\n"

_OLD = re.compile("old (0|[1-9][0-9]{0,18})")
_TOKEN_BYTES: Final = 32


class Refusal(Exception):  # an answer of the protocol, not a fault of this program
    """Why a checkpoint is not cosigned, as the protocol answers it: status, text, and its media type."""

    def __init__(self, status: int, text: str, media_type: str = "text/plain; charset=utf-8") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.media_type = media_type


@dataclass(frozen=True, slots=True)
class Alarm:
    """What was found, when (POSIX seconds), in both languages, and the files in the folder that prove it."""

    kind: str
    time_s: int
    zh: str
    en: str
    evidence: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "en": self.en,
            "evidence": list(self.evidence),
            "kind": self.kind,
            "time_s": str(self.time_s),
            "zh": self.zh,
        }


def make(folder: Path, *, name: str, log_vkey: str, url: str) -> tuple[str, str]:
    """Make a witness's folder: its key, and a token that opens its bundles. Gives its verifier key and the token.

    Conflict where there is a witness already, Malformed where name, key or address is none.
    """
    if (folder / "witness.json").exists():
        raise Conflict(
            "witness.exists",
            f"{folder} holds a witness",
            field="--folder",
            rule="a witness's key is made once",
            remedy="name another folder, or run the witness that is there",
        )
    try:
        log = Verifier.parse(log_vkey)
        private = secrets.token_bytes(32)
        cosigner = Cosigner(name, private)
    except NoteError as error:
        raise Malformed(
            "witness.key", error.detail, field=error.field, rule=error.rule, remedy=error.remedy
        ) from error
    if log.is_witness or not url.startswith(("http://", "https://")):
        raise Malformed(
            "witness.log",
            f"{log_vkey} at {url}",
            field="--log-vkey",
            rule="a log's key (signature type 0x01) and its http or https address",
            remedy="take the key that `exchange init` printed, and the exchange's address",
        )
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    _write(folder / "witness.key", private)
    said = {
        "log": log_vkey,
        "name": name,
        "token_digest": hashlib.sha256(token.encode()).hexdigest(),
        "url": url.rstrip("/"),
        "vkey": cosigner.vkey,
    }
    _write(folder / "witness.json", json.dumps(said, ensure_ascii=False, indent=1).encode())
    return cosigner.vkey, token


class Witness:
    """One witness of one log. Guarantee: of any two checkpoints that it ever cosigned, one grew out of the other, and
    all up to the larger was fetched, judged and kept; over kills and restarts, whoever asks at once.

    Safe for threads; one process a folder.
    """

    def __init__(self, folder: Path, clock: Callable[[], int], key: str | None = None) -> None:
        """`clock` gives POSIX seconds; `key` is a regulator's API key, without which public leaves alone are judged.

        Misconfigured where the folder holds no witness, where others may read its key, or where another process has it.
        """
        said, private = _read(folder)
        self.folder = folder
        self.name = str(said["name"])
        self.url = str(said["url"])
        self.log = Verifier.parse(str(said["log"]))
        self._cosigner = Cosigner(self.name, private)
        self._token_digest = bytes.fromhex(said["token_digest"])
        self._clock = clock
        self._lock = Lock()
        self._looking = Lock()
        self._held = (folder / "lock").open("a")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Misconfigured(
                "witness.running",
                f"another process runs the witness of {folder}",
                field="--folder",
                rule="one process a folder",
                remedy="stop it first",
            ) from error
        self._follower = Follower(self.url, folder, [self.log.vkey], key, timeout_s=LOOK_S)
        self.looked_s = 0
        self.problem = ""  # why the last look brought nothing, where that is no fault of the log's
        self._leaves = folder / "leaves"
        self._edge = Edge.empty()
        self._subtree = lru_cache(SUBTREES_LIMIT)(self._root_of_tile)
        self._catch_up()

    def close(self) -> None:
        """Let go of connections and of the folder."""
        self._follower.close()
        self._held.close()

    @property
    def vkey(self) -> str:
        """The verifier key that policies name."""
        return self._cosigner.vkey

    @property
    def judged(self) -> int:
        """How many entries were fetched, judged and kept."""
        return self._leaves.stat().st_size // 32 if self._leaves.exists() else 0

    @property
    def note(self) -> str | None:
        """The newest checkpoint with this witness's cosignature; None before the first."""
        path = self.folder / "checkpoint"
        return path.read_text("utf-8") if path.exists() else None

    @property
    def cosigned(self) -> Checkpoint | None:
        """The same, read."""
        note = self.note
        return None if note is None else open_note(note, [self.log]).checkpoint

    @property
    def alarm(self) -> Alarm | None:
        """What was found; while there is one, nothing is signed."""
        path = self.folder / "alarm.json"
        if not path.exists():
            return None
        said = json.loads(path.read_bytes())
        return Alarm(said["kind"], int(said["time_s"]), said["zh"], said["en"], tuple(said["evidence"]))

    def opens(self, token: str) -> bool:
        """Whether a token opens the bundles; compared in constant time."""
        return hmac.compare_digest(hashlib.sha256(token.encode()).digest(), self._token_digest)

    def bundles(self) -> list[Path]:
        """All that was judged sound, in the order of the log."""
        return self._follower.bundles

    # --- following ---

    def look(self) -> Look | None:
        """Fetch and judge what is new; None where that could not be done (`problem` says why). What is off raises the
        alarm."""
        with self._looking:
            kept = set(os.listdir(self.folder / "evidence"))
            try:
                look = self._follower.look()
            except Forked as fork:
                self._raise_alarm(
                    "fork",
                    "日志出示的历史与先前不同,或被退回:两份签名检查点已存证",
                    "the log shows another history than before, or was set back: both signed checkpoints are kept",
                    {"seen.note": fork.seen, "shown.note": fork.shown},
                )
                return None
            except LogEnded as end:
                self.problem = str(end)
                if self._misstates(end.ended):
                    self._raise_alarm(
                        "ended",
                        f"日志宣告终止时少报了已被见证的内容:{end}",
                        f"the log ended with a note that says less than was witnessed: {end}",
                        {"ended.note": end.note, "seen.note": self.note or ""},
                    )
                return None
            except Unproven as error:
                self._raise_alarm(
                    "unproven",
                    f"日志所出示的内容不能证明:{error}",
                    f"what the log shows does not hold: {error}",
                    {},
                    kept,
                )
                return None
            except (
                ClientError,
                OSError,
            ) as error:  # nobody answers, the key opens nothing, no room on the disk
                self.problem = str(error)
                return None
            self.looked_s, self.problem = self._clock(), ""
            if look.verdict is not None and not look.verdict.ok and look.bundle is not None:
                self._raise_alarm(
                    "audit",
                    f"审计不通过,证据包 {look.bundle.name}:\n{look.verdict.explain('zh')}",
                    f"the audit failed, evidence {look.bundle.name}:\n{look.verdict.explain('en')}",
                    {},
                    kept,
                )
                return look
            self._catch_up()
            return look

    def _misstates(self, ended: Ended) -> bool:
        """Whether a log's last note admits less than was judged here, or another tree."""
        if ended.seen_size < self.judged:
            return True
        inside = ended.size <= self.judged and self.root(ended.size) != ended.root
        beyond = ended.seen_size == self.judged and ended.seen_root not in (None, self.root(self.judged))
        return inside or beyond

    def _catch_up(self) -> None:
        """Write the hashes of leaves that were judged and not written yet: after a kill in between, the same ones."""
        judged = self.judged
        with self._leaves.open("ab") as file:
            file.truncate(judged * 32)  # half a hash of a write that was cut off
            for path in self.bundles():
                start, stop = map(int, path.stem.split("-"))
                if stop <= judged:
                    continue
                assert start <= judged
                for n, leaf in enumerate(_leaves_of(path), start):
                    if n >= judged:
                        file.write(leaf_hash(leaf))
                judged = stop
            file.flush()
            os.fsync(file.fileno())

    # --- signing ---

    def add_checkpoint(self, request: bytes) -> str:
        """Answer one add-checkpoint of c2sp.org/tlog-witness: the cosignature line, or Refusal as the protocol has it.

        Looks at the log first where the checkpoint lies beyond what was judged: nothing is signed unseen.
        """
        old, proof, note = _parse(request)
        checkpoint = self._opened(note)
        if self.alarm is not None:
            raise Refusal(403, AT_FAULT)
        if old > checkpoint.size:
            raise Refusal(400, "the old size is larger than the checkpoint's\n")
        with self._lock:
            last = self.cosigned
            size = 0 if last is None else last.size
            if checkpoint.size <= self.judged and self.root(checkpoint.size) != checkpoint.root:
                # Whoever brought it, and whatever it was to prove: the log signed it.
                self._contradicted(note)
            if old != size or (last is not None and checkpoint.size == size and checkpoint.root != last.root):
                raise Refusal(409, f"{size}\n", "text/x.tlog.size")
            if last is not None and last.size:
                try:
                    verify_consistency(last.size, checkpoint.size, proof, last.root, checkpoint.root)
                except ProofError as error:
                    raise Refusal(422, f"{error.detail}\n") from error
            if proof and not old:
                raise Refusal(422, "from nothing on there is no proof\n")
            self._require_judged(checkpoint, note)
            line = self._cosigner.cosign(checkpoint.body(), self._clock())
            _write(self.folder / "checkpoint", _signed_by_log(note, self.log, line).encode())
            return line

    def _opened(self, note: str) -> Checkpoint:
        origin = note.partition("\n")[0]
        if origin != self.log.name:
            raise Refusal(404, f"this witness does not know the log {origin[:100]!r}\n")
        try:
            return open_note(note, [self.log]).checkpoint
        except NoteError as error:
            raise Refusal(403 if error.field == "signature" else 400, f"{error.detail}\n") from error

    def _require_judged(self, checkpoint: Checkpoint, note: str) -> None:
        if checkpoint.size > self.judged:
            self.look()
        if self.alarm is None and checkpoint.size > self.judged:
            raise Refusal(503, "what this checkpoint covers could not be fetched and judged yet\n")
        if self.alarm is None and self.root(checkpoint.size) != checkpoint.root:
            self._contradicted(note)
        if self.alarm is not None:
            raise Refusal(403, AT_FAULT)

    def _contradicted(self, note: str) -> None:
        self._raise_alarm(
            "split",
            "有人出示了与本见证人所见不同、却由日志签名的检查点",
            "somebody was shown a checkpoint that the log signed and that is not of the history seen here",
            {"shown.note": note, "seen.note": self.note or ""},
        )

    # --- what it serves ---

    def root(self, size: int) -> bytes:
        """The root of the first `size` leaves that were judged."""
        if not size:
            return Edge.empty().root()
        known = self._edge if self._edge.size <= size else Edge.empty()
        self._edge = known.append(self._hashes(known.size, size))
        return self._edge.root()

    def prove(self, old: int, new: int) -> list[bytes]:
        """The consistency proof between two sizes that were judged. ProofError where they are none."""
        if not 0 < old <= new <= self.judged:
            raise ProofError(
                f"{old} to {new} of {self.judged}",
                field="size",
                rule="0 < old <= new <= judged",
                remedy="ask for less",
            )
        return consistency_proof(old, new, node_reader(self.tile, new))

    def tile(self, level: int, n: int, width: int) -> bytes:
        """A tile of c2sp.org/tlog-tiles, from what was judged. LedgerError where that has none such."""
        span = TILE**level
        if width < 1 or (n * TILE + width) * span > self.judged:
            raise LedgerError(
                f"tile {level}/{n} of width {width}",
                field="path",
                rule="within the leaves judged",
                remedy="ask for less",
            )
        if not level:
            return b"".join(self._hashes(n * TILE, n * TILE + width))
        return b"".join(self._subtree(level - 1, i) for i in range(n * TILE, n * TILE + width))

    def _root_of_tile(self, level: int, n: int) -> bytes:
        """The root of a full tile; these never change, and whoever asks again costs nothing."""
        tile = self.tile(level, n, TILE)
        return Edge.empty().append([tile[at : at + 32] for at in range(0, len(tile), 32)]).root()

    def entries(self, n: int, width: int) -> list[bytes]:
        """The leaves of an entry bundle of c2sp.org/tlog-tiles. LedgerError where that was not judged."""
        start, stop = n * TILE, n * TILE + width
        if stop > self.judged:
            raise LedgerError(
                f"entries {start} to {stop}",
                field="path",
                rule="within the leaves judged",
                remedy="ask for less",
            )
        found: list[bytes] = []
        for path in self.bundles():  # after a kill two of them may hold the same
            first, last = map(int, path.stem.split("-"))
            at = start + len(found)
            if first <= at < min(last, stop):
                found += list(_leaves_of(path))[at - first : stop - first]
        return found

    def _hashes(self, start: int, stop: int) -> list[bytes]:
        with self._leaves.open("rb") as file:
            file.seek(start * 32)
            data = file.read((stop - start) * 32)
        return [data[at : at + 32] for at in range(0, len(data), 32)]

    # --- alarms ---

    def _raise_alarm(
        self, kind: str, zh: str, en: str, notes: dict[str, str], known: Set[str] | None = None
    ) -> None:
        """Keep the evidence and stop signing. The first alarm stays; later ones add their evidence.

        With `known`, what lay in `evidence/` before, the follower's new files there belong to it as well.
        """
        time_s = self._clock()
        folder = self.folder / "evidence"
        evidence = [] if known is None else sorted(set(os.listdir(folder)) - known)
        for name, note in notes.items():
            path = folder / f"{time_s}-{kind}-{name}"
            _write(path, note.encode())
            evidence.append(path.name)
        if self.alarm is None:
            alarm = Alarm(kind, time_s, zh, en, tuple(f"evidence/{name}" for name in evidence))
            _write(
                self.folder / "alarm.json",
                json.dumps(alarm.to_json(), ensure_ascii=False, indent=1, sort_keys=True).encode(),
            )

    def resume(self, note: str) -> Alarm:
        """Go on after an alarm: somebody looked into it and says why. The alarm is kept with that.

        Conflict where there is none. What was cosigned stays: a log that forked cannot be cosigned again.
        """
        alarm = self.alarm
        if alarm is None or not note.strip():
            raise Conflict(
                "witness.quiet",
                "there is no alarm" if alarm is None else "no reason was given",
                field="--note",
                rule="an alarm is answered with a reason",
                remedy="none needed" if alarm is None else "say what was found",
            )
        answered = self.folder / "alarms"
        answered.mkdir(exist_ok=True)
        said = {**alarm.to_json(), "answer": note.strip(), "answered_s": str(self._clock())}
        _write(
            answered / f"{alarm.time_s}-{alarm.kind}.json",
            json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True).encode(),
        )
        (self.folder / "alarm.json").unlink()
        return alarm


def _parse(request: bytes) -> tuple[int, list[bytes], str]:
    """Old size, proof and note of an add-checkpoint request; Refusal 400 for anything else."""
    if len(request) > REQUEST_LIMIT:
        raise Refusal(400, f"a request has at most {REQUEST_LIMIT} bytes\n")
    try:
        head, blank, note = request.decode().partition("\n\n")
    except UnicodeDecodeError as error:
        raise Refusal(400, "the request is not UTF-8\n") from error
    first, *lines = head.split("\n")
    old = _OLD.fullmatch(first)
    if old is None or not blank or len(lines) > PROOF_LIMIT:
        raise Refusal(400, "a line `old N`, at most 63 lines of proof, an empty line, a checkpoint\n")
    try:
        proof = [b64decode(line, validate=True) for line in lines]
    except (Base64Error, ValueError) as error:
        raise Refusal(400, "a line of the proof is not base64\n") from error
    if any(len(node) != 32 for node in proof):
        raise Refusal(400, "a line of the proof is not a hash of 32 bytes\n")
    return int(old[1]), proof, note


def _signed_by_log(note: str, log: Verifier, line: str) -> str:
    """The note with the log's own signature and this witness's, and no others."""
    body, _, signatures = note.partition("\n\n")
    own = [one for one in signatures.splitlines(keepends=True) if one.startswith(f"\u2014 {log.name} ")]
    return f"{body}\n\n{''.join(own)}{line}"


def _leaves_of(path: Path) -> Iterator[bytes]:
    """The leaves of a bundle that was judged sound."""
    with Bundle(path) as bundle:
        for segment in bundle.segments:
            yield from bundle.part(segment, "leaves.jsonl").split(b"\n")[:-1]


def _read(folder: Path) -> tuple[dict[str, Any], bytes]:
    try:
        said = json.loads((folder / "witness.json").read_bytes())
        mode = stat.S_IMODE((folder / "witness.key").stat().st_mode)
        private = (folder / "witness.key").read_bytes()
    except (OSError, ValueError) as error:
        raise Misconfigured(
            "witness.missing",
            f"{folder} holds no witness: {error}",
            field="--folder",
            rule="a folder that `exchange witness init` made",
            remedy="run `exchange witness init`, or name its folder",
        ) from error
    if mode & 0o077:
        raise Misconfigured(
            "witness.permissions",
            f"witness.key can be read by others (mode {mode:o})",
            field="--folder",
            rule="a private key has mode 0600",
            remedy=f"chmod 600 {folder / 'witness.key'}; if others may have read it, make a new witness",
        )
    return said, private


def _write(path: Path, data: bytes) -> None:
    """Put a file there whole, on the disk before this returns (0600)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
