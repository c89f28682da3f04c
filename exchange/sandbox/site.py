"""A fresh exchange on 127.0.0.1, its chain and their directories, each a process of its own, all gone at the end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from exchange.embedded import Postgres
from exchange.errors import Unavailable
from exchange.parties import uscc_check_character
from ledger.chain import SandboxChain

VENUE_CODE = "91440101MA0000001"


def code_of(number: int) -> str:
    """A well-formed unified social credit code for the `number`-th organisation of a sandbox."""
    first = f"91440101MA{number:07d}"
    return first + uscc_check_character(first)


class Site:
    """An exchange with a database, log origin, keys and chain of its own, and commands that run beside it."""

    def __init__(self, port: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="exchange-sandbox-"))
        # The database's own account has to pass through; it may not list or read.
        self.folder.chmod(0o711)
        self.data_dir = self.directory("exchange")
        self.data_dir.chmod(0o711)
        self._port = port
        self._chain = SandboxChain()
        self._server: subprocess.Popen[str] | None = None
        self.url = self.vkey = self.link = ""

    def directory(self, name: str) -> Path:
        """A directory of one player's own, which the others are not told of."""
        path = self.folder / name
        path.mkdir(mode=0o700)
        return path

    @property
    def chain_url(self) -> str:
        """The chain's JSON-RPC address."""
        return self._chain.url

    def __enter__(self) -> Self:
        self._chain.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.terminate()
            try:
                self._server.wait(15)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
                # A killed server leaves its database running: take it over once, to end it.
                Postgres.start(self.data_dir).stop()
        self._chain.__exit__(kind, error, trace)
        shutil.rmtree(self.folder, ignore_errors=True)

    def open(self) -> None:
        """Make keys and market, then serve."""
        said = self.run("init", "--uscc", code_of(1), "--name", "沙箱数据交易场所 Sandbox venue",
                        "--administrator", "系统管理员 administrator")  # fmt: skip
        self.vkey = _found(r"log key \(publish it\)\s+(\S+)", said)
        self.link = _found(r"one-time link \(72 h\)\s+(\S+)", said)
        key = self.data_dir / "keys" / "anchor.key"
        key.touch(0o600)
        key.write_text(self._chain.key.hex())
        self._server = subprocess.Popen(
            [sys.executable, "-m", "exchange", "serve", "--port", str(self._port)],
            env=self.environ(
                EXCHANGE_CHAIN_URL=self.chain_url,
                EXCHANGE_ANCHOR_EVERY_S="2",
                EXCHANGE_ANCHOR_CONFIRMATIONS="1",
            ),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout is not None
        for line in self._server.stdout:
            if "serving on " in line:
                self.url = _found(r"serving on (\S+)", line)
                return
        raise Unavailable("sandbox.server", "the exchange did not start", remedy="see its message above")

    def environ(self, data_dir: Path | None = None, **more: str) -> dict[str, str]:
        """The environment of a process of this sandbox, free of the caller's own exchange."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}
        return {
            **kept,
            "EXCHANGE_DATA_DIR": str(data_dir or self.data_dir),
            "EXCHANGE_SANDBOX": "1",
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "200",
            **more,
        }

    def run(self, *words: str, data_dir: Path | None = None, expect: tuple[int, ...] = (0,)) -> str:
        """Run `exchange …` as a process of its own and give what it printed."""
        done = self.start(*words, data_dir=data_dir)
        return finish(done, expect)

    def start(self, *words: str, data_dir: Path | None = None) -> subprocess.Popen[str]:
        """Start `exchange …` in the background."""
        return subprocess.Popen(
            [sys.executable, "-m", "exchange", *words],
            env=self.environ(data_dir),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def finish(child: subprocess.Popen[str], expect: tuple[int, ...] = (0,)) -> str:
    """Wait for a background command and give what it printed; Unavailable with its words where it failed."""
    said, wrong = child.communicate(timeout=300)
    if child.returncode not in expect:
        raise Unavailable(
            "sandbox.command",
            f"{' '.join(map(str, child.args))}: {wrong or said}",  # type: ignore[arg-type]  # a list of words
        )
    return said


def json_of(said: str) -> dict[str, Any]:
    """The JSON object that a command printed last."""
    result: dict[str, Any] = orjson.loads(said.strip().splitlines()[-1])
    return result


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise Unavailable("sandbox.output", f"no {pattern!r} in {text!r}")
    return found[1]
