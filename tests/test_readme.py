"""The README keeps its word: its blocks run in order as they stand, and what it names is there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer.main

from exchange.cli import app
from exchange.client import Exchange
from exchange.embedded import SUPERUSER, Postgres
from exchange.settings import Settings

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    (README[: found.start()].count("\n") + 1, found[1], found[2])
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
]
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
CODE = re.findall(r"`([^`\n]+)`", PROSE)
SHELL = [
    line.strip()
    for _, language, text in BLOCKS
    if language == "sh"
    for line in text.replace("\\\n", " ").splitlines()
]
VARIABLES = {"EXCHANGE_KEY"} | {
    option.envvar
    for group in typer.main.get_command(app).commands.values()  # type: ignore[attr-defined]  # a group has them
    for command in (group, *getattr(group, "commands", {}).values())
    for option in command.params
    if option.envvar
}
"""What a client's commands read, beside an operator's settings."""
START_S = 180.0


@dataclass
class Reader:
    """Somebody who reads on in one folder: a terminal for each shell block, one Python session for the others."""

    folder: Path
    replaced: dict[str, str]
    asked: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    session: dict[str, Any] = field(default_factory=dict)
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session["input"] = lambda prompt: self.asked[prompt]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}
        # A free port each time; the README's own one may be taken here.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environ = {**kept, "EXCHANGE_PORT": "0", "PATH": path, "PYTHONUNBUFFERED": "1"}

    def python(self, line: int, text: str) -> None:
        """Type a block into the one session."""
        exec(compile("\n" * line + self._here(text), "README.md", "exec"), self.session)

    def shell(self, line: int, text: str) -> None:
        """Run a block in a fresh terminal; a server goes on in it, once it says that it serves."""
        *before, last = self._here(text).strip().splitlines()
        if not last.startswith("exchange serve"):
            done = subprocess.run(
                ["bash", "-euc", self._here(text)],
                cwd=self.folder,
                env=self.environ,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"README.md:{line}: {done.stderr or done.stdout}"
            self.said.append(done.stdout)
            return
        heard = self.folder / f"terminal-{len(self.servers)}.txt"
        with heard.open("wb") as output:
            script = "\n".join([*before, f"exec {last}"])
            self.servers.append(
                subprocess.Popen(
                    ["bash", "-euc", script],
                    cwd=self.folder,
                    env=self.environ,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )
        deadline = time.monotonic() + START_S
        while "serving on http://" not in heard.read_text():
            assert self.servers[-1].poll() is None, f"README.md:{line}: {heard.read_text()}"
            assert time.monotonic() < deadline, f"README.md:{line}: {heard.read_text()}"
            time.sleep(0.05)
        self.said.append(heard.read_text())

    def stop(self) -> list[int]:
        """End the servers, the newest first, and give their exit statuses."""
        for client in self.session.values():
            if isinstance(client, Exchange):
                client.close()
        statuses = []
        for server in reversed(self.servers):
            if server.poll() is None:
                server.send_signal(signal.SIGTERM)
            statuses.append(server.wait(30))
        return statuses

    def _here(self, text: str) -> str:
        for written, meant in self.replaced.items():
            text = text.replace(written, meant)
        return text


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    with tempfile.TemporaryDirectory(prefix="exchange-readme-") as name:
        os.chmod(name, 0o711)  # the database's account has to pass
        folder = Path(name)
        shutil.copytree(PROJECT / "docs", folder / "docs")
        monkeypatch.chdir(folder)
        reader = Reader(folder, {"--port 8001": "--port 0"})
        try:
            yield reader
        finally:
            reader.stop()


@contextmanager
def made(postgres: Postgres, statements: str) -> Iterator[None]:
    """A database administrator types the SQL block; all of it is gone afterwards."""
    with psycopg.connect(postgres.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        for statement in filter(str.strip, statements.split(";")):
            connection.execute(statement.encode())
        yield
        for _, kind, name in re.findall(r"(CREATE) (ROLE|DATABASE) (\w+)", statements)[::-1]:
            force = " WITH (FORCE)" if kind == "DATABASE" else ""
            connection.execute(f"DROP {kind} {name}{force}".encode())


def test_a_person_who_reads_on_gets_from_an_empty_folder_to_a_restored_and_audited_market(
    reader: Reader, postgres: Postgres
) -> None:
    typed: dict[str, Callable[[int, str], None]] = {
        "sh": reader.shell,
        "python": reader.python,
        "toml": lambda line, text: None if tomllib.loads(text) else pytest.fail(f"README.md:{line}: empty"),
    }
    reader.replaced["db.example.cn:5432"] = f"127.0.0.1:{postgres.port}"
    sql = "".join(text for _, language, text in BLOCKS if language == "sql")
    with made(postgres, sql):
        for line, language, text in BLOCKS:
            if language == "sql" or text.startswith("make "):
                continue
            typed[language](line, text)
            if len(reader.servers) == 1 and not reader.asked:
                said = reader.said[-1]
                for name in ("log key", "one-time link"):
                    found = re.search(rf"{name} \([^)]*\)\s+(\S+)", said)
                    assert found is not None
                    reader.asked[f"{name}: "] = found[1]
                found = re.search(r"serving on (http://\S+)", said)
                assert found is not None
                reader.replaced["http://127.0.0.1:8000"] = found[1]
        assert reader.stop() == [0] * len(reader.servers)
    assert len(reader.servers) == 3
    # What the blocks printed and left is what the sentences around them say.
    assert reader.session["agent"].standing
    assert reader.session["again"].differences == []
    assert reader.session["again"].lots[reader.session["lot"]].state == "sold"
    assert (reader.folder / "product.parquet").read_bytes() == (
        reader.folder / "work" / "product.parquet"
    ).read_bytes()
    verdict = next(said for said in reader.said if "结论" in said)
    assert "[通过] 审计人自持的检查点在此日志上" in verdict
    assert "[未核对] 上链锚点与日志一致" in verdict
    assert any("restored and proven" in said for said in reader.said)
    assert any(" 0 lost, 0 ghosts" in said for said in reader.said)


def test_every_make_target_of_the_readme_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = {text.split()[1] for text in [*CODE, *SHELL] if text.startswith("make ")}
    assert {"demo", "test"} <= named <= targets


def test_the_readme_names_every_setting_and_no_other() -> None:
    settings = {f"EXCHANGE_{setting.name.upper()}" for setting in fields(Settings)}
    assert set(re.findall(r"EXCHANGE_[A-Z_]+[A-Z]", README)) == settings | VARIABLES


def test_the_table_of_settings_shows_the_true_defaults() -> None:
    fresh = Settings.from_environment({})
    rows = re.findall(r"^\| (`EXCHANGE_.*?) \| (.*?) \|", README, re.MULTILINE)
    shown = {
        name: default
        for names, defaults in rows
        for name, default in zip(
            re.findall(r"EXCHANGE_(\w+)", names), re.findall(r"`(.*?)`", defaults) or [""], strict=True
        )
    }
    for name, default in shown.items():
        value = getattr(fresh, name.lower())
        match value:
            case Path():
                assert (Path.cwd() / default).resolve() == value.resolve(), name
            case bool():
                assert default == str(value).lower(), name
            case _:
                assert default == ("" if value is None else str(value)), name


def _commands() -> dict[str, set[str]]:
    """Every command as it is typed, with its options."""
    found: dict[str, set[str]] = {}

    def walk(command: Any, name: str) -> None:
        options = {
            word for parameter in command.params for word in (*parameter.opts, *parameter.secondary_opts)
        }
        # What only stands between a group and its commands is no command.
        if not hasattr(command, "commands") or command.invoke_without_command:
            found[name] = options | {"--help"}
        for word, under in getattr(command, "commands", {}).items():
            walk(under, f"{name} {word}")

    walk(typer.main.get_command(app), "exchange")
    return found


def test_every_command_and_option_of_the_readme_exists() -> None:
    commands = _commands()
    typed = [text for text in [*CODE, *SHELL] if re.match(r"(EXCHANGE_\S+ )?exchange ", text)]
    assert typed
    named = set()
    for text in typed:
        words = re.sub(r"^EXCHANGE_\S+ ", "", text).split()
        name = max(
            (" ".join(words[:n]) for n in (1, 2, 3, 4) if " ".join(words[:n]) in commands),
            key=len,
            default="",
        )
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert name, text
        assert options <= commands[name], text
        named.add(name)
    # The demo is started by make.
    assert commands.keys() - {"exchange demo"} == named


def test_every_option_that_the_prose_names_by_itself_exists() -> None:
    options = set().union(*_commands().values())
    named = {word for text in CODE for word in re.findall(r"(?<![\w-])--[a-z-]+", text)}
    assert named <= options


def test_every_call_of_the_sdk_that_the_prose_names_exists() -> None:
    called = {
        name for text in CODE for name in re.findall(r"\b(?:approver|assessor|buyer|regulator)\.(\w+)", text)
    }
    assert called
    assert [name for name in called if not hasattr(Exchange, name)] == []


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PROSE)
    assert links
    assert [link for link in links if not (PROJECT / link).exists()] == []
