"""The exchange's side of witnessing: asks each witness of the policy to cosign, and keeps what they sign.

All witnesses are asked about one checkpoint until its quorum is there, so that they sign the same; after a while, or
when it is, about the newest. A silent witness delays nobody: each is asked by itself, and asked again at the next turn.
"""

from __future__ import annotations

import asyncio
import logging
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from exchange.database import Database
from exchange.errors import Misconfigured
from exchange.venue import begun
from ledger import cosignatures, log
from ledger.checkpoint import Checkpoint, Signer, Verifier, open_note, sign
from ledger.errors import NoteError, PolicyError
from ledger.policy import Peer, Policy

if TYPE_CHECKING:
    from psycopg import AsyncConnection

logger = logging.getLogger(__name__)

ANSWER_S: Final = 45.0
"""How long a witness may take: it fetches and judges what it has not seen yet before it signs."""
TURNS_LIMIT: Final = 6
"""Turns after which a checkpoint that did not reach its quorum makes way for the newest."""
ANSWER_LIMIT: Final = 1 << 14
"""Bytes of one answer: a few signature lines."""

_SIZE = re.compile(r"(0|[1-9][0-9]{0,17})\n?")


class _UnsignedError(Exception):
    """Why a witness did not sign."""


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
    _asking: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _failing: dict[str, str] = field(default_factory=dict)

    async def close(self) -> None:
        """Give up what is being asked, and let go of the connections to witnesses."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        await self._http.aclose()

    async def turn(self) -> None:
        """Begin to ask every witness that has not signed the present checkpoint and is not being asked already.

        Does not wait for them: what one of them signs is kept when it comes, whoever else is silent.
        """
        if self._sizes is None:
            async with self._connected() as connection:
                self._sizes = dict(await cosignatures.last_sizes(connection, await begun(connection)))
        target = await self._next_target(self._sizes)
        if target is None:
            return
        for name, peer in self.policy.witnesses.items():
            task = self._asking.get(name)
            if self._sizes.get(peer.verifier.vkey, 0) < target.size and (task is None or task.done()):
                self._asking[name] = asyncio.create_task(
                    self._obtain(name, peer, target, self._sizes), name=f"witness {name}"
                )

    async def _next_target(self, sizes: dict[str, int]) -> Checkpoint | None:
        """The checkpoint to be cosigned now; None where there is nothing yet."""
        target = self._target
        if target is not None:
            signed = {
                name
                for name, peer in self.policy.witnesses.items()
                if sizes.get(peer.verifier.vkey, 0) >= target.size
            }
            if not self.policy.met_by(signed) and self._turns < TURNS_LIMIT:
                self._turns += 1
                return target
        head = await self.head()
        if head.edge.size and (target is None or head.edge.size > target.size):
            self._target, self._turns = head.checkpoint(), 0
        return self._target

    async def _obtain(self, name: str, peer: Peer, target: Checkpoint, sizes: dict[str, int]) -> None:
        """Ask one witness, a second time where it has seen another size than was thought, and keep what it signs."""
        verifier, old = peer.verifier, sizes.get(peer.verifier.vkey, 0)
        note = sign(target, self.signer)
        try:
            for _ in range(2):
                proof = await self._prove(old, target.size)
                answer = await self._ask(f"{peer.url}/add-checkpoint", verifier, note, old, proof)
                if isinstance(answer, str):
                    ((_, time_s),) = open_note(note + answer, [verifier]).cosigned
                    async with self._connected() as connection:
                        await cosignatures.keep(connection, target.size, verifier.vkey, answer, time_s)
                        await connection.commit()
                    sizes[verifier.vkey] = target.size
                    self._failing.pop(name, None)
                    return
                if answer == old or answer > target.size:
                    break
                old = answer
            raise _UnsignedError(f"has seen size {answer}, this is {target.size}")
        except Exception as error:
            # Whatever it was, the next turn asks again. That a witness refuses is news, and that it is away:
            # said once, until it changes.
            problem = str(error) if isinstance(error, _UnsignedError) else f"was not asked: {error!r}"
            if self._failing.get(name) != problem:
                logger.warning("witness %s %s", name, problem)
            self._failing[name] = problem

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection for one question: none is held while a witness thinks."""
        connection = await self.database.connect(application_name="exchange witnessing")
        try:
            yield connection
        finally:
            await connection.close()

    async def _prove(self, old: int, new: int) -> list[bytes]:
        if not 0 < old < new:
            return []
        async with self._connected() as connection:
            return await log.prove_consistency(connection, old, new)

    async def _ask(
        self, url: str, verifier: Verifier, note: str, old: int, proof: Sequence[bytes]
    ) -> str | int:
        """One add-checkpoint of c2sp.org/tlog-witness: its line over the note, or the size that it has seen instead."""
        question = "\n".join([f"old {old}", *(b64encode(node).decode() for node in proof), "", note])
        said = bytearray()
        try:
            async with self._http.stream("POST", url, content=question.encode()) as answer:
                async for piece in answer.aiter_bytes():
                    said += piece
                    if len(said) > ANSWER_LIMIT:
                        raise _UnsignedError(f"answers with more than {ANSWER_LIMIT} bytes")
        except httpx.HTTPError as error:
            raise _UnsignedError(f"does not answer: {type(error).__name__}") from error
        text = said.decode("utf-8", "replace")
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if answer.status_code == 409 and kind == "text/x.tlog.size":
            if _SIZE.fullmatch(text):
                return int(text)
            raise _UnsignedError(f"has seen a size that is none: {text[:40]!r}")
        if answer.status_code != 200:
            raise _UnsignedError(f"refuses: {answer.status_code} {text[:200]!r}")
        for line in text.splitlines(keepends=True):
            with suppress(NoteError):  # signatures of other keys may stand beside its own
                if open_note(note + line, [verifier]).cosigned:
                    return line
        raise _UnsignedError("answers without a cosignature of its key that holds")


def _misconfigured(detail: str) -> Misconfigured:
    return Misconfigured(
        "witnesses.policy",
        detail,
        field="EXCHANGE_WITNESSES",
        rule="a policy (c2sp.org/tlog-policy) that names this log, and each witness with its address",
        remedy="write lines `log VKEY`, `witness NAME VKEY URL`, `group …`, `quorum …`",
    )
