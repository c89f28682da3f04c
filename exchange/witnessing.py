"""The exchange's side of witnessing: asks each witness of the policy to cosign, and keeps what they sign.

All witnesses are asked about one checkpoint until its quorum is there, so that they sign the same; after a while, or
when it is, about the newest. A silent witness delays nobody: each is asked by itself, and asked again at the next turn.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from exchange.database import Database
from exchange.errors import Misconfigured
from ledger import cosignatures, log
from ledger.checkpoint import Checkpoint, Signer, Verifier, open_note, sign
from ledger.errors import BehindError, NoteError, PolicyError
from ledger.policy import Policy

logger = logging.getLogger(__name__)

ANSWER_S: Final = 45.0
"""How long a witness may take: it fetches and judges what it has not seen yet before it signs."""
TURNS_LIMIT: Final = 6
"""Turns after which a checkpoint that did not reach its quorum makes way for the newest."""


def load_policy(path: Path, signer: Signer) -> Policy:
    """Read the policy file of this exchange. Misconfigured where it cannot be read, names another log, or has a witness
    without an address.
    """
    try:
        policy = Policy.parse(path.read_text("utf-8"))
    except (OSError, UnicodeError, PolicyError) as error:
        raise _misconfigured(str(error)) from error
    if signer.vkey not in {peer.verifier.vkey for peer in policy.logs}:
        raise _misconfigured(f"{path} does not name this log's key {signer.vkey}")
    silent = [name for name, peer in policy.witnesses.items() if peer.url is None]
    if silent:
        raise _misconfigured(f"{path} gives no address of {', '.join(silent)}")
    return policy


@dataclass(slots=True)
class Witnessing:
    """Asks the witnesses of `policy`; `head` gives the newest head that may be shown (see `Gate.head`)."""

    policy: Policy
    database: Database
    signer: Signer
    head: Callable[[], Awaitable[log.Head]]
    every_s: float = 10.0
    _http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=ANSWER_S))
    _sizes: dict[str, int] | None = None  # by verifier key; what another process asked for shows as a 409
    _target: Checkpoint | None = None
    _turns: int = 0
    _failing: dict[str, str] = field(default_factory=dict)

    async def close(self) -> None:
        """Let go of the connections to witnesses."""
        await self._http.aclose()

    async def turn(self) -> None:
        """Ask every witness that has not signed the present checkpoint yet, all at once."""
        connection = await self.database.connect(application_name="exchange witnessing")
        try:
            if self._sizes is None:
                self._sizes = dict(await cosignatures.last_sizes(connection))
                await connection.rollback()
            sizes = self._sizes
            target = await self._next_target(sizes)
            if target is None:
                return
            note = sign(target, self.signer)
            todo = [
                (name, peer.verifier, peer.url)
                for name, peer in self.policy.witnesses.items()
                if peer.url is not None and sizes.get(peer.verifier.vkey, 0) < target.size
            ]
            proofs: dict[int, list[bytes]] = {}
            for _, verifier, _ in todo:
                await self._prove(connection, proofs, sizes.get(verifier.vkey, 0), target.size)
            answers = await asyncio.gather(
                *(
                    self._ask(name, verifier, url, note, target.size, sizes.get(verifier.vkey, 0), proofs)
                    for name, verifier, url in todo
                )
            )
            for first, (name, verifier, url) in zip(answers, todo, strict=True):
                line = first
                if isinstance(first, int):  # it has seen another size: once more from there
                    await self._prove(connection, proofs, first, target.size)
                    line = await self._ask(name, verifier, url, note, target.size, first, proofs)
                if isinstance(line, str):
                    ((_, time_s),) = open_note(note + line, [verifier]).cosigned
                    await cosignatures.keep(connection, target.size, verifier.vkey, line, time_s)
                    await connection.commit()
                    sizes[verifier.vkey] = target.size
        finally:
            await connection.close()

    async def _next_target(self, sizes: dict[str, int]) -> Checkpoint | None:
        """The checkpoint to be cosigned now; None where all have signed the newest."""
        signed = {
            name for name, peer in self.policy.witnesses.items()
            if self._target is not None and sizes.get(peer.verifier.vkey, 0) >= self._target.size
        }  # fmt: skip
        waiting = self._target is not None and len(signed) < len(self.policy.witnesses)
        if waiting and not self._met(signed) and self._turns < TURNS_LIMIT:
            self._turns += 1
            return self._target
        head = await self.head()
        if not head.edge.size:
            return None
        if self._target is None or head.edge.size > self._target.size:
            self._target, self._turns = head.checkpoint(), 0
        return (
            self._target
            if any(
                sizes.get(peer.verifier.vkey, 0) < self._target.size
                for peer in self.policy.witnesses.values()
            )
            else None
        )

    def _met(self, signed: set[str]) -> bool:
        return self.policy.met_by(signed)

    async def _prove(self, connection: object, proofs: dict[int, list[bytes]], old: int, new: int) -> None:
        if 0 < old < new and old not in proofs:
            try:
                proofs[old] = await log.prove_consistency(connection, old, new)  # type: ignore[arg-type]  # psycopg's
            except BehindError:
                logger.debug("tiles for a proof from %d are not written yet", old)

    async def _ask(
        self,
        name: str,
        verifier: Verifier,
        url: str | None,
        note: str,
        size: int,
        old: int,
        proofs: dict[int, list[bytes]],
    ) -> str | int | None:
        """The witness's line, the size that it has seen instead, or None where it does not sign now."""
        if 0 < old < size and old not in proofs:
            return None
        lines = [f"old {old}", *(b64encode(node).decode() for node in proofs.get(old, ()))]
        try:
            answer = await self._http.post(
                f"{url}/add-checkpoint", content="\n".join([*lines, "", note]).encode()
            )
        except httpx.HTTPError as error:
            self._unsigned(name, f"does not answer: {type(error).__name__}")
            return None
        seen = answer.text.strip()
        if answer.status_code == 409 and answer.headers.get("Content-Type", "").startswith(
            "text/x.tlog.size"
        ):
            if (
                seen.isascii()
                and seen.isdecimal()
                and len(seen) < 19
                and int(seen) != old
                and int(seen) <= size
            ):
                return int(seen)
            self._unsigned(name, f"has seen size {seen[:20]}, this log has {size}")
            return None
        if answer.status_code != 200:
            self._unsigned(name, f"refuses: {answer.status_code} {seen[:200]}")
            return None
        try:
            found = open_note(note + answer.text, [verifier])
        except NoteError as error:
            self._unsigned(name, f"answered with no signature of its own: {error.detail}")
            return None
        if len(found.cosigned) != 1:
            self._unsigned(name, "answered with no cosignature")
            return None
        self._failing.pop(name, None)
        return next(
            line
            for line in answer.text.splitlines(keepends=True)
            if line.startswith(f"\u2014 {verifier.name} ")
        )

    def _unsigned(self, name: str, problem: str) -> None:
        """Say once, until it changes, why there is no signature: that a witness refuses is news, and that it is away."""
        if self._failing.get(name) != problem:
            logger.warning("witness %s %s", name, problem)
        self._failing[name] = problem


def _misconfigured(detail: str) -> Misconfigured:
    return Misconfigured(
        "witnesses.policy",
        detail,
        field="EXCHANGE_WITNESSES",
        rule="a policy (c2sp.org/tlog-policy) that names this log, and each witness with its address",
        remedy="write lines `log VKEY`, `witness NAME VKEY URL`, `group …`, `quorum …`",
    )
