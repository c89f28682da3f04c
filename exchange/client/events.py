"""Reads server-sent events and remembers where a stream was left: pure, so that every transport shares it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from exchange.client.errors import Unproven

LIMIT_BYTES = 8 << 20
"""An event is smaller: a body of the log has at most 4 MiB."""

FIRST_BEAT_S = 5.0
"""How often a heartbeat is expected before the stream has said so itself."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event: its place in the log, its kind (the entry's, or "snapshot"), and what it says."""

    index: int
    kind: str
    data: dict[str, Any]


@dataclass(slots=True)
class Position:
    """How far a stream was heard: each event once, in order, over as many connections as it takes.

    A connection begins with `begin`; the bytes that come go through `feed`. `silence_s` of nothing are a dead
    connection. `ended` is the reason that the exchange gave when it ended the stream.
    """

    last: int | None = None
    """The index of the last event that was told; None: a snapshot comes first."""
    beat_s: float = field(default_factory=lambda: FIRST_BEAT_S)
    ended: str | None = None
    _text: bytes = b""

    @property
    def silence_s(self) -> float:
        """After how long a silence a connection is given up: two heartbeats."""
        return 2 * self.beat_s

    def begin(self) -> dict[str, str]:
        """The headers of the next connection."""
        self._text, self.ended = b"", None
        seen = {} if self.last is None else {"Last-Event-ID": str(self.last)}
        return {"Accept": "text/event-stream", "Cache-Control": "no-store", **seen}

    def anew(self) -> None:
        """Forget where the stream was left: a snapshot comes first, of a later state than all that was told."""
        self.last = None

    def feed(self, data: bytes) -> list[StreamEvent]:
        """The events that are whole with these bytes; those that were told before are left out.

        Unproven where it is no event stream of an exchange.
        """
        self._text += data
        if len(self._text) > LIMIT_BYTES:
            raise Unproven(f"an event of more than {LIMIT_BYTES} bytes", field="events")
        *blocks, self._text = self._text.split(b"\n\n")
        return [event for block in blocks for event in self._read(block)]

    def _read(self, block: bytes) -> list[StreamEvent]:
        said: dict[bytes, list[bytes]] = {}
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            said.setdefault(name, []).append(value.removeprefix(b" "))
        if b"data" not in said:
            return []
        kind = said.get(b"event", [b"message"])[-1].decode("utf-8", "replace")
        try:
            data = orjson.loads(b"\n".join(said[b"data"]))
            if kind == "heartbeat":
                self.beat_s = int(data["every_ms"]) / 1000
            elif kind == "end":
                self.ended = str(data["reason"])
                return []
            at = said.get(b"id")
            index = None if at is None else int(at[-1])
        except (ValueError, KeyError, TypeError) as error:
            raise Unproven(f"event {kind!r} cannot be read: {error}", field="events") from error
        if index is None or (self.last is not None and index <= self.last):
            return []
        self.last = index
        return [] if kind == "heartbeat" else [StreamEvent(index, kind, data)]
