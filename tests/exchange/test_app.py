"""The server's outer door: a crowd that comes at once is let in at once."""

from __future__ import annotations

import asyncio
import socket

import uvloop

from exchange.app import DOORS, doors

CROWD, TURNS = 200, 12


def test_a_crowd_is_let_in_within_a_few_turns_of_the_loop_however_long_a_turn_is() -> None:
    let_in = 0

    class Guest(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            nonlocal let_in
            let_in += 1

    async def run(listening: list[socket.socket]) -> int:
        nonlocal let_in
        let_in = 0
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(Guest, sock=one, backlog=2 * CROWD) for one in listening]
        crowd = [socket.create_connection(listening[0].getsockname()) for _ in range(CROWD)]
        for _ in range(TURNS):
            await asyncio.sleep(0)
        for guest in crowd:
            guest.close()
        for server in servers:
            server.close()
            await server.wait_closed()
        return let_in

    def listener() -> socket.socket:
        return socket.create_server(("127.0.0.1", 0), backlog=2 * CROWD)

    assert CROWD <= DOORS * TURNS
    assert uvloop.run(run(doors(listener()))) == CROWD
    # If this no longer holds, uvloop lets in more at a time by itself, and `doors` may go.
    assert uvloop.run(run([listener()])) <= TURNS
