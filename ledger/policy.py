"""Whom a reader trusts: the log's keys, its witnesses, and how many of them have to have seen a checkpoint.

The text is that of c2sp.org/tlog-policy, so that other people's tools read it:

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <member>…
    quorum <name>|none

A checkpoint counts when one of the logs signed it and the quorum cosigned it: a witness, or a group of which at least
k members did. Names are the file's own; order tells nothing but that what is named comes before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from ledger.checkpoint import Opened, Verifier, open_note
from ledger.errors import NoteError, PolicyError

LINES_LIMIT = 1_000
"""Far more than the 32 logs, witnesses and groups that c2sp.org/tlog-policy asks an implementation to take."""

_PLAIN = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]*")  # tab and newline are the only controls
_COUNT = re.compile("[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class Peer:
    """A log or a witness: its key, and where it answers (for a witness its submission prefix), if that is known."""

    verifier: Verifier
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Counts as one witness where at least `threshold` of `members`, witnesses or groups before it, do."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What a note has of what a policy asks: who cosigned (name in the policy → POSIX seconds), who did not, and
    whether that is enough.
    """

    cosigned: Mapping[str, int]
    missing: tuple[str, ...]
    met: bool

    def explain(self, language: Literal["zh", "en"]) -> str:
        """One line for people: how many of how many, who is missing, and whether that is enough."""
        count = len(self.cosigned) + len(self.missing)
        if language == "zh":
            missing = f",缺 {'、'.join(self.missing)}" if self.missing else ""
            enough = "已达到" if self.met else "未达到"
            return f"{count} 名见证人中 {len(self.cosigned)} 名已副署{missing}:{enough}政策的多数"
        missing = f", missing: {', '.join(self.missing)}" if self.missing else ""
        enough = "the policy's quorum" if self.met else "short of the policy's quorum"
        return f"{len(self.cosigned)} of {count} witnesses cosigned{missing}: {enough}"


@dataclass(frozen=True, slots=True)
class Policy:
    """A trust policy. `quorum` is the name of a witness or a group; None asks for no witness at all."""

    logs: tuple[Peer, ...]
    witnesses: Mapping[str, Peer]
    groups: tuple[Group, ...]
    quorum: str | None

    @classmethod
    def k_of_n(cls, log: str, witnesses: Mapping[str, str], k: int) -> Policy:
        """At least `k` of these witnesses (name → vkey) of this log; `k` 0 asks for none."""
        lines = [f"log {log}", *(f"witness {name} {vkey}" for name, vkey in witnesses.items())]
        if k:
            lines.append(f"group witnesses {k} {' '.join(witnesses)}")
        return cls.parse("\n".join([*lines, f"quorum {'witnesses' if k else 'none'}", ""]))

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Read a policy file. PolicyError names the line, and what is wrong with it."""
        reading = _Reading()
        lines = text.split("\n")
        if len(lines) > LINES_LIMIT:
            raise _wrong(LINES_LIMIT, "too long", f"at most {LINES_LIMIT} lines")
        for number, line in enumerate(lines, 1):
            if not _PLAIN.fullmatch(line):
                raise _wrong(number, "a control character", "tab and newline are the only control characters")
            words = line.strip(" \t")
            if words and not words.startswith("#"):
                reading.take(number, re.split(r"[ \t]+", words))
        if not reading.has_quorum:
            raise _wrong(len(lines), "no quorum", "exactly one line `quorum <name>` or `quorum none`")
        return cls(tuple(reading.logs), reading.witnesses, tuple(reading.groups), reading.quorum)

    def text(self) -> str:
        """The policy file; `parse` reads it back."""
        lines = [_line("log", peer) for peer in self.logs]
        lines += [_line(f"witness {name}", peer) for name, peer in self.witnesses.items()]
        lines += [f"group {group.name} {group.threshold} {' '.join(group.members)}" for group in self.groups]
        return "\n".join([*lines, f"quorum {self.quorum or 'none'}", ""])

    @property
    def verifiers(self) -> list[Verifier]:
        """Keys of all logs, then of all witnesses."""
        return [peer.verifier for peer in (*self.logs, *self.witnesses.values())]

    def judge(self, note: str) -> tuple[Opened, Witnessed]:
        """Open a signed checkpoint that one of the logs signed, and say what it has of the quorum.

        NoteError where no log of the policy signed it, where it is not a checkpoint of that log, or where the signature
        of a witness is there and does not hold.
        """
        opened = open_note(note, self.verifiers)
        origin = opened.checkpoint.origin
        if not any(
            peer.verifier.name in opened.signed_by and peer.verifier.name == origin for peer in self.logs
        ):
            raise NoteError(
                f"a checkpoint of {origin!r}, signed by {', '.join(opened.signed_by)}",
                field="signature",
                rule="a log of the policy signed it, under the name of its origin (c2sp.org/tlog-checkpoint)",
                remedy="check which log's key the policy names, and where you got it",
            )
        return opened, self.witnessed(opened)

    def witnessed(self, opened: Opened) -> Witnessed:
        """What a note that was opened under this policy's keys has of its quorum."""
        times = dict(opened.cosigned)
        cosigned = {
            name: times[peer.verifier.name]
            for name, peer in self.witnesses.items()
            if peer.verifier.name in times
        }
        return Witnessed(
            cosigned,
            tuple(name for name in self.witnesses if name not in cosigned),
            self.met_by(cosigned),
        )

    def met_by(self, names: Iterable[str]) -> bool:
        """Whether these witnesses, by their names in the policy, are the quorum."""
        counted = set(names)
        for group in self.groups:
            if sum(member in counted for member in group.members) >= group.threshold:
                counted.add(group.name)
        return self.quorum is None or self.quorum in counted

    def require(self, note: str) -> tuple[Opened, Witnessed]:
        """As `judge`, and NoteError where the quorum is not met, naming who is missing."""
        opened, found = self.judge(note)
        if not found.met:
            raise NoteError(
                found.explain("en"),
                field="signature",
                rule=f"the quorum {self.quorum} of the policy cosigned it (c2sp.org/tlog-policy)",
                remedy="ask the log again a little later for a checkpoint that more witnesses have seen",
            )
        return opened, found


class _Reading:
    """The lines taken so far."""

    def __init__(self) -> None:
        self.logs: list[Peer] = []
        self.witnesses: dict[str, Peer] = {}
        self.groups: list[Group] = []
        self.quorum: str | None = None
        self.has_quorum = False
        self._named: set[str] = set()
        self._grouped: set[str] = set()
        self._keys: set[tuple[bool, bytes]] = set()
        self._key_names: set[str] = set()  # of witnesses
        self._log_names: set[str] = set()

    def take(self, number: int, words: Sequence[str]) -> None:
        match words:
            case ["log", vkey, *url] if len(url) < 2:
                self.logs.append(self._peer(number, vkey, url, witness=False))
            case ["witness", name, vkey, *url] if len(url) < 2:
                self._name(number, name)
                self.witnesses[name] = self._peer(number, vkey, url, witness=True)
            case ["group", name, count, *members] if members:
                self._group(number, name, count, members)
            case ["quorum", name]:
                self._quorum(number, name)
            case [word, *_]:
                raise _wrong(
                    number,
                    f"{word[:40]!r} and {len(words) - 1} words",
                    "log, witness, group or quorum, with its words",
                )

    def _peer(self, number: int, vkey: str, url: Sequence[str], *, witness: bool) -> Peer:
        try:
            verifier = Verifier.parse(vkey)
        except NoteError as error:
            raise _wrong(number, f"{error.detail}", f"a verifier key: {error.rule}") from error
        if verifier.is_witness != witness:
            raise _wrong(
                number,
                f"a key of type {'log' if witness else 'witness'}",
                "logs sign (0x01), witnesses cosign (0x04)",
            )
        key = (witness, verifier.public)
        if key in self._keys:
            raise _wrong(number, "a key that was named before", "each key once, under whatever name")
        # Signature lines carry key names: two witnesses of one name could not be told apart.
        if verifier.name in self._key_names or (witness and verifier.name in self._log_names):
            raise _wrong(
                number,
                f"a second key of the name {verifier.name!r}",
                "each witness has a key name of its own",
            )
        self._keys.add(key)
        (self._key_names if witness else self._log_names).add(verifier.name)
        for address in url:
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise _wrong(number, f"{address[:80]!r}", "an http or https address")
        return Peer(verifier, url[0] if url else None)

    def _name(self, number: int, name: str) -> None:
        if name == "none" or name in self._named:
            raise _wrong(number, f"the name {name[:40]!r}", "each name once, and never `none`")
        self._named.add(name)

    def _group(self, number: int, name: str, count: str, members: Sequence[str]) -> None:
        for member in members:
            if member not in self._named:
                raise _wrong(number, f"{member[:40]!r} is not defined", "members are named on lines before")
            if member in self._grouped:
                raise _wrong(
                    number, f"{member[:40]!r} is in a group already", "each name is a member at most once"
                )
            self._grouped.add(member)
        threshold = {"any": 1, "all": len(members)}.get(count) or (
            int(count) if _COUNT.fullmatch(count) else 0
        )
        if not 1 <= threshold <= len(members):
            raise _wrong(
                number, f"{count[:40]!r} of {len(members)}", "all, any, or a number from 1 to the members'"
            )
        self._name(number, name)
        self.groups.append(Group(name, threshold, tuple(members)))

    def _quorum(self, number: int, name: str) -> None:
        if self.has_quorum:
            raise _wrong(number, "a second quorum", "exactly one quorum")
        if name != "none" and name not in self._named:
            raise _wrong(
                number, f"{name[:40]!r} is not defined", "a witness or group of a line before, or none"
            )
        self.has_quorum = True
        self.quorum = None if name == "none" else name


def _line(words: str, peer: Peer) -> str:
    return " ".join(filter(None, (words, peer.verifier.vkey, peer.url)))


def _wrong(number: int, detail: str, rule: str) -> PolicyError:
    return PolicyError(
        f"line {number}: {detail}",
        field="policy",
        rule=f"{rule} (c2sp.org/tlog-policy)",
        remedy="correct the line, or take the policy as its author wrote it",
    )
