"""A product of one gigabyte through the exchange, against nginx serving the same file: bytes a second, whole downloads.

Ours is a licensed download: its link is checked, the licence's policy judged, the access is durable in the log before the
first byte, and the licence is looked at again while bytes flow. nginx sends the file with `sendfile`. One client reads both,
one after the other in turns, and hashes neither while it is timed. The exchange hashed the product when it first opened it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script, which runs by its path

from exchange.client import Exchange
from exchange.embedded import OWNER, Postgres

SIZE = int(os.environ.get("PRODUCT_BYTES", str(1 << 30)))
REPETITIONS = 5
KEPT = Path(sys.prefix) / "nginx"

CONFIGURATION = """
user {user};
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  client_body_temp_path {folder}/t; proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t;
  uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def nginx() -> str:
    """The server's binary: this machine's, or the one of Debian's package, unpacked beside the tests' own tools."""
    if found := shutil.which("nginx"):
        return found
    binary = KEPT / "usr/sbin/nginx"
    if not binary.exists():
        KEPT.mkdir(exist_ok=True)
        try:
            subprocess.run(
                ["apt-get", "download", "-qq", "nginx"], cwd=KEPT, check=True, stderr=subprocess.DEVNULL
            )
            (package,) = KEPT.glob("nginx_*.deb")
            subprocess.run(["dpkg", "-x", package, KEPT], check=True)
        except (OSError, subprocess.CalledProcessError, ValueError) as error:
            sys.exit(f"there is no nginx here: install it (Debian: apt-get install nginx-light); {error}")
    return str(binary)


@contextmanager
def peer(file: Path) -> Iterator[str]:
    """nginx serving a file; gives its address."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        user = subprocess.check_output(["id", "-un"], text=True).strip()
        text = CONFIGURATION.format(user=user, folder=folder, port=port, root=file.parent)
        (Path(folder) / "conf").write_text(text)
        child = subprocess.Popen(
            [nginx(), "-p", folder, "-c", f"{folder}/conf"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            for _ in range(100):
                with socket.socket() as tried:
                    if not tried.connect_ex(("127.0.0.1", port)):
                        break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/{file.name}"
        finally:
            child.terminate()
            child.wait(10)


def fetch(url: str, *, digest: bool = False) -> tuple[float, str]:
    """Seconds from the request to the last byte; and the SHA-256 of the bytes where it is asked for."""
    where = urlsplit(url)
    buffer, hasher = bytearray(1 << 20), hashlib.sha256()
    began = time.perf_counter()
    with socket.create_connection((where.hostname or "", where.port or 80)) as line:
        target = where.path + (f"?{where.query}" if where.query else "")
        line.sendall(f"GET {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = line.recv(4096)
            assert more, head
            head += more
        lines, _, body = head.partition(b"\r\n\r\n")
        assert lines.startswith(b"HTTP/1.1 200"), head[:600]
        if digest:
            hasher.update(body)
        left = SIZE - len(body)
        while left:
            count = line.recv_into(buffer)
            assert count, f"cut off with {left} bytes to come"
            if digest:
                hasher.update(memoryview(buffer)[:count])
            left -= count
    return time.perf_counter() - began, hasher.hexdigest()


def product(folder: Path) -> tuple[Path, str]:
    """A file of random bytes in the vault of an exchange, as if it had been accepted there, and its digest."""
    made = folder / "product"
    hasher = hashlib.sha256()
    with made.open("wb") as file:
        for _ in range(SIZE >> 20):
            piece = os.urandom(1 << 20)
            hasher.update(piece)
            file.write(piece)
    digest = hasher.hexdigest()
    place = folder / "vault" / "products" / digest[:2] / digest
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made.rename(place)
    return place, digest


def main() -> None:
    """Measure and report."""
    with Exchange.sandbox() as sandbox:
        data_dir = Path(sandbox.message.folder) / "exchange"
        say(f"a product of {SIZE >> 20} MiB")
        file, digest = product(data_dir)
        with psycopg.connect(Postgres.attach(data_dir).url(OWNER)) as connection:
            connection.execute(
                "UPDATE release SET product_digest = %s WHERE asset = %s", (digest, sandbox.assets[0])
            )
        seller, buyer = sandbox.client("approver"), sandbox.client("enterprise")
        for party in (seller, buyer):
            party.add_signing_key("contracts")
        seller.sign_terms(sandbox.listing)
        voucher = buyer.buy(sandbox.listing).outcome["voucher"]
        buyer.sign_contract(voucher["trade"])
        link = buyer.link(voucher["licence"], 86_400)
        with peer(file) as other:
            assert fetch(link.url, digest=True)[1] == fetch(other, digest=True)[1] == digest
            ours: list[float] = []
            theirs: list[float] = []
            ratios: list[float] = []
            for repetition in range(-1, REPETITIONS):
                pair = [(theirs, other), (ours, link.url)]
                for kept, url in pair if repetition % 2 else reversed(pair):
                    kept.append(SIZE / fetch(url)[0] / 1e6)
                ratios.append(ours[-1] / theirs[-1])
                word = "warm-up" if repetition < 0 else str(repetition + 1)
                say(f"{word}: {ours[-1]:,.0f} MB/s and {theirs[-1]:,.0f} MB/s, {ratios[-1]:.2f}")
        used = next(one for one in buyer.licences() if one.id == voucher["licence"])
        assert used.calls_used == REPETITIONS + 2, used
        assert used.bytes_used == SIZE * (REPETITIONS + 2)
    report(
        "download",
        ratios[1:],
        better="higher",
        against=f"nginx serving the same file of {SIZE >> 20} MiB by sendfile",
        mb_per_s=round(sorted(ours[1:])[REPETITIONS // 2]),
    )


if __name__ == "__main__":
    main()
