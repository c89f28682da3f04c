"""A thousand followers of one lot at twenty bids a second: processor time of the server against half a core.

Each bid is durable, logged and told to each follower by server-sent events; every follower's sequences are compared with
the receipts of the bids. The server's whole time counts: bids, log, heartbeats and telling. Five runs after a warm-up.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psycopg
from _bids import LOT, furnish, venue_code  # type: ignore[import-not-found]
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script, which runs by its path

from exchange.embedded import OWNER, Postgres

FOLLOWERS = int(os.environ.get("FOLLOWERS", "1000"))
PER_S = 20
SECONDS = 6
REPETITIONS = 5
CORES = 0.5

_BID = re.compile(rb"event: bid\nid: (\d+)\n")


class Follower(asyncio.Protocol):
    """One connection that keeps what it is sent."""

    def __init__(self) -> None:
        self.text = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"GET /v1/lots/%b/events HTTP/1.1\r\nHost: here\r\n\r\n" % LOT.encode())

    def data_received(self, data: bytes) -> None:
        self.text += data

    def sequences(self) -> list[int]:
        """The bids that came, with the chunks' lengths between them taken out."""
        return [int(found) for found in _BID.findall(self.text)]


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, in user and kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def run(port: int, pid: int, keys: list[str]) -> list[float]:
    """The shares of one core that the server used, a run each."""
    loop = asyncio.get_running_loop()
    followers: list[Follower] = []
    while (
        len(followers) < FOLLOWERS
    ):  # a few at a time: a crowd that looks at once is turned away for a moment
        some = [(await loop.create_connection(Follower, "127.0.0.1", port))[1] for _ in range(20)]
        async with asyncio.timeout(30):
            for follower in some:
                while b"event: snapshot" not in follower.text:  # noqa: ASYNC110  # what came is looked at
                    await asyncio.sleep(0.01)
        followers += some
    say(f"{len(followers)} followers have their snapshot")
    shares, price, expected = [], 1, []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        for repetition in range(-1, REPETITIONS):
            before_s, began_s = cpu_s(pid), time.monotonic()
            for number in range(PER_S * SECONDS):
                price += 1
                answer = await http.post(
                    f"/v1/lots/{LOT}/bids",
                    json={"client_bid_id": f"bid-{price}", "price_fen": str(price)},
                    headers={"Authorization": f"Bearer {keys[price % 2]}"},
                )
                assert answer.status_code == 201, answer.text
                expected.append(int(answer.json()["receipt"]["index"]))
                await asyncio.sleep(max(0.0, began_s + (number + 1) / PER_S - time.monotonic()))
            share = (cpu_s(pid) - before_s) / (time.monotonic() - began_s)
            say(f"{'warm-up' if repetition < 0 else repetition + 1}: {share:.3f} of a core")
            if repetition >= 0:
                shares.append(share)
        await asyncio.sleep(2)
    missed = sum(follower.sequences() != expected for follower in followers)
    assert not missed, f"{missed} followers were not told each bid once, in order"
    return shares


def main() -> None:
    """Measure and report."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * FOLLOWERS)), hard))
    keys = [secrets.token_urlsafe(24) for _ in range(2)]
    with tempfile.TemporaryDirectory(prefix="bench-followers-") as folder:
        os.chmod(folder, 0o711)
        environ = {**os.environ, "EXCHANGE_DATA_DIR": folder, "EXCHANGE_SANDBOX": "1"}
        subprocess.run(
            [sys.executable, "-m", "exchange", "init", "--uscc", venue_code(), "--name", "venue", "--administrator", "one"],
            env=environ, check=True, capture_output=True,
        )  # fmt: skip
        with Postgres.start(Path(folder)) as postgres:
            furnish(postgres, keys)
            with psycopg.connect(postgres.url(OWNER)) as connection:
                for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                    assert connection.execute(f"SHOW {setting}").fetchone() == ("on",), setting
        server = subprocess.Popen(
            [sys.executable, "-m", "exchange", "serve", "--port", "0"],
            stdout=subprocess.PIPE, env=environ, text=True,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            found = None
            for line in server.stdout:
                if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                    break
            assert found is not None, "the exchange did not start"
            shares = asyncio.run(run(int(found[1]), server.pid, keys))
        finally:
            server.terminate()
            server.wait(20)
    report(
        "followers",
        [share / CORES for share in shares],
        better="lower",
        against=f"half a core: {FOLLOWERS} followers of one lot, {PER_S} bids a second, none missed",
        followers=FOLLOWERS,
        cores=round(sorted(shares)[REPETITIONS // 2], 3),
    )


if __name__ == "__main__":
    main()
