"""What can go wrong between a client and the log: a line that is cut, a server that hangs up, a process that dies.

A `Process` is one gate with connections of its own, all of them over a `Line`. Faults happen at the gate's crash
points (`exchange.crash`) and at messages on the line, each at a counted passage, so that a seed names them.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Literal, NamedTuple, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy.exc import DBAPIError

from exchange.database import Database
from exchange.gate import Gate
from ledger.checkpoint import Signer

R = TypeVar("R")
Kind = Literal["kill", "hang up", "cut"]
POINTS = (
    "gate.before_head",
    "gate.after_head",
    "gate.decided",
    "gate.before_commit",
    "gate.after_commit",
    "gate.before_answer",
)
LINE = ("line.message", "line.before_commit", "line.after_commit")


class Fault(NamedTuple):
    """What happens to process number `slot` when it passes `point` for the `passage`-th time."""

    slot: int
    point: str
    passage: int
    kind: Kind

    def __str__(self) -> str:
        return f"process {self.slot} at {self.point} #{self.passage}: {self.kind}"


class Gone(Exception):
    """The process died before it answered: the outcome is unknown."""


class Killed(BaseException):
    """Ends whatever a dying process was at; no handler of it is to run on."""


class Line:
    """Carries bytes between a process and its PostgreSQL; a cut drops its connections, a dead one takes no more."""

    def __init__(self, url: str, passing: Callable[[str], Kind | None]) -> None:
        self._url, self._passing = url, passing
        self._target = conninfo_to_dict(url)
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.dead: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def lay(self) -> str:
        """Its address; without TLS, so that it sees what it carries."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return make_conninfo(self._url, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")

    def suffer(self, kind: Kind) -> None:
        """Drop every connection at once, whatever is on its way; with "kill" for ever."""
        if kind == "kill" and not self.dead.done():
            self.dead.set_result(None)
            self._server.close()
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def clear(self) -> None:
        """Wait until nothing of it is left."""
        self.suffer("kill")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if self.dead.done():
            writer.transport.abort()
            return
        up_reader, up_writer = await asyncio.open_connection(
            str(self._target["host"]), int(str(self._target["port"]))
        )
        ends = {writer, up_writer}
        self._ends |= ends
        deaf: Kind | None = None

        async def back() -> None:
            with suppress(OSError):
                while data := await up_reader.read(65536):
                    if deaf is not None:  # the server has done it, and nobody hears
                        self.suffer(deaf)
                        return
                    writer.write(data)
            writer.close()

        self._tasks.add(asyncio.create_task(back()))
        with suppress(OSError):
            while data := await reader.read(65536):
                commits = b"COMMIT\0" in data
                broken = self._passing("line.message") or (
                    self._passing("line.before_commit") if commits else None
                )
                if broken is not None:
                    self.suffer(broken)
                    break
                if commits and deaf is None:
                    deaf = self._passing("line.after_commit")
                up_writer.write(data)
        up_writer.close()
        self._ends -= ends


class Process:
    """One serving process: a gate with connections of its own; alive until it is killed, then silent for ever."""

    def __init__(self, gate: Gate, line: Line, slot: Slot) -> None:
        self.gate, self.line, self._slot = gate, line, slot

    def reach(self, point: str) -> None:
        """Pass one of the gate's crash points: what is due there happens."""
        if self.line.dead.done():
            raise Killed
        match self._slot.passing(point):
            case "kill":
                self.line.suffer("kill")
                raise Killed
            case "hang up":
                self._slot.hang_up()
            case "cut":
                self.line.suffer("cut")
            case None:
                pass

    async def ask(self, call: Coroutine[Any, Any, R]) -> R:
        """What the gate answers; Gone where the process dies first."""
        task = asyncio.create_task(call)
        either: set[asyncio.Future[Any]] = {task, self.line.dead}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        raise Gone

    async def bury(self) -> None:
        """Let go of the memory and the sockets that a dead process cannot hold in truth."""
        self.line.suffer("kill")
        if (flusher := self.gate._flusher) is not None:
            while not flusher.done():  # a lost connection on its way may swallow one cancellation
                flusher.cancel()
                await asyncio.wait({flusher}, timeout=0.05)
            if not flusher.cancelled():
                flusher.exception()
        with suppress(Exception):
            await self.gate._disconnect()
        await self.gate.database.close()
        await self.line.clear()


_process: ContextVar[Process] = ContextVar("process")


def reach(point: str) -> None:
    """Stands at the gate's crash points, for whichever process passes."""
    process = _process.get(None)
    if process is not None:
        process.reach(point)


class Slot:
    """A place for one process after the other; counts what passes there, and says what the schedule has due."""

    def __init__(
        self, url: str, admin: psycopg.Connection[Any], signer: Signer, faults: Iterable[Fault]
    ) -> None:
        self._url, self._admin, self._signer = url, admin, signer
        self._due = {(f.point, f.passage): f for f in faults}
        self._passed: Counter[str] = Counter()
        self.happened: list[Fault] = []
        self.processes: list[Process] = []

    @property
    def process(self) -> Process:
        """The newest, alive or not."""
        return self.processes[-1]

    def passing(self, point: str) -> Kind | None:
        """What happens at this passage."""
        self._passed[point] += 1
        fault = self._due.pop((point, self._passed[point]), None)
        if fault is None:
            return None
        self.happened.append(fault)
        return fault.kind

    async def start(self, clock: Callable[[], int], chance: random.Random) -> None:
        """Put a new process here; one whose start fails is started again."""
        while True:
            line = Line(self._url, self.passing)
            engine = Database(await line.lay(), readers=2)
            gate = Gate(engine, self._signer, b"m" * 32, clock, chance=chance.randbytes)
            self.processes.append(Process(gate, line, self))
            token = _process.set(self.process)  # the gate's own task inherits it
            try:
                await gate.start()
            except (psycopg.Error, DBAPIError, OSError):
                line.suffer("kill")
            else:
                return
            finally:
                _process.reset(token)

    def hang_up(self) -> None:
        """Let the server end every gate's connection, as in a failover."""
        self._admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = %s AND application_name = 'exchange gate'",
            (conninfo_to_dict(self._url)["dbname"],),
        )
