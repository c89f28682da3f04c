"""The engine: how the exchange reaches PostgreSQL, and how its schema comes to be the one of this code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import alembic.command
import psycopg
import sqlalchemy
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

import exchange.tables
import ledger.tables
from exchange.embedded import own_cluster
from exchange.errors import Misconfigured, Unavailable
from exchange.settings import Settings

METADATA: Final = SQLModel.metadata
"""Every table of the exchange and of the ledger: importing this module imports both."""

TABLE_MODULES: Final = (exchange.tables, ledger.tables)

_OLDEST_SERVER: Final = 170_000  # the first with `transaction_timeout`
_MIGRATION_LOCK: Final = 0x65786368  # "exch"; any number will do that nobody else takes
_READER_TIMEOUT_MS: Final = 15_000
_WRITER_TIMEOUT_MS: Final = 2_000
SILENCE_S: Final = 5.0
"""How long the gate waits for one answer of a server, which by itself ends a transaction after two seconds."""
_CONFIRM: Final = "SELECT pg_logical_emit_message(true, 'exchange', ''::text)"


class Database:
    """Connections of the application's role: a bounded pool for reading, single ones for writing.

    Nothing connects before the first use; `close` ends what was opened. One instance serves one event loop.
    """

    def __init__(self, url: str, *, synchronous: bool = False, readers: int = 8) -> None:
        """`url` is a libpq address; at most `readers` sessions read at a time.

        With several hosts in it, whichever is primary is used: nothing is decided from a replica, nor read.
        `synchronous` demands a standby that confirms each commit.
        """
        self._url = url
        self.synchronous = synchronous
        # A page sees one moment of the market, however many queries it takes, and can change nothing.
        self._readers = _engine(
            url,
            "exchange reader",
            silence_s=_READER_TIMEOUT_MS / 1000 + 5,
            statement_timeout_ms=_READER_TIMEOUT_MS,
            pool_size=readers,
            max_overflow=0,
            pool_timeout=2.0,
            pool_pre_ping=True,
            pool_use_lifo=True,
        ).execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._writers = _engine(
            url,
            "exchange gate",
            silence_s=SILENCE_S,
            transaction_timeout_ms=_WRITER_TIMEOUT_MS,
            poolclass=NullPool,
        ).execution_options(isolation_level="READ COMMITTED")

    @contextlib.asynccontextmanager
    async def reader(self) -> AsyncIterator[AsyncSession]:
        """A session in one read-only transaction of the newest committed state; a query ends after 15 s.

        Raises `Unavailable` when all sessions are taken for two seconds, or the database does not answer.
        """
        try:
            async with AsyncSession(self._readers, expire_on_commit=False) as session:
                yield session
        except PoolTimeout as error:
            raise Unavailable("database.busy", "too many readers", retry_after_s=2) from error
        except (DBAPIError, psycopg.OperationalError) as error:
            if isinstance(getattr(error, "orig", error), psycopg.OperationalError):
                raise Unavailable(
                    "database.unavailable", "the database did not answer in time", retry_after_s=2
                ) from error
            raise

    async def writer_connection(self) -> AsyncConnection:
        """A connection of its own for the gate, READ COMMITTED; the caller closes it.

        The server ends it when a transaction lasts longer than two seconds, whatever keeps it. A COMMIT returns
        when the disk has it and, where the server names synchronous standbys, one of theirs: `on`, not
        `remote_apply`, because what counts is that no loss of one machine takes it along, and nobody reads from
        the standby.
        Raises `Unavailable` where a standby is demanded and the server waits for none.
        """
        connection = await self._writers.connect()
        if self.synchronous:
            try:
                raw = await driver(connection)
                cursor = await raw.execute("SELECT current_setting('synchronous_standby_names') <> ''")
                require_standby(await cursor.fetchone() == (True,))
                await raw.rollback()
            except BaseException:
                await connection.close()
                raise
        return connection

    async def connect(
        self, *, transaction_timeout_ms: int | None = None, application_name: str = "exchange"
    ) -> psycopg.AsyncConnection[Any]:
        """A psycopg connection of its own, not in autocommit; the caller closes it."""
        return await _Line.connect(
            _conninfo(self._url, application_name, transaction_timeout_ms=transaction_timeout_ms),
            prepare_threshold=1,
        )

    async def close(self) -> None:
        """End the pool; sessions that are out end when they are given back."""
        await self._readers.dispose()
        await self._writers.dispose()


async def driver(session: AsyncConnection | AsyncSession) -> psycopg.AsyncConnection[Any]:
    """The psycopg connection under a SQLAlchemy connection or session, for the ledger and for pipelines."""
    over = session if isinstance(session, AsyncConnection) else await session.connection()
    connection = (await over.get_raw_connection()).driver_connection
    assert isinstance(connection, psycopg.AsyncConnection)
    return connection


async def confirm(connection: psycopg.AsyncConnection[Any]) -> None:
    """Commit what is open here, after which the synchronous standby has all that was committed before.

    A commit that wrote nothing waits for nobody, so a message of no content is written to the log, which
    nothing reads. What committed before lies in front of it.
    """
    await connection.execute(_CONFIRM)
    await connection.commit()


def require_standby(named: bool) -> None:
    """Raise `Unavailable` unless the server names standbys for which a COMMIT waits."""
    if not named:
        raise Unavailable(
            "database.not_synchronous",
            "the database waits for no standby, so that what is answered could be lost with one machine",
            retry_after_s=5,
            remedy="bring the standby back (`exchange cluster check` says what is missing), or leave"
            " EXCHANGE_DATABASE_SYNCHRONOUS out and do without it",
        )


class _Line(psycopg.AsyncConnection[Any]):
    """A connection whose line is cut when its server says nothing for `silence_s`: whoever waits fails at once.

    The server is paused, or cut off so that its kernel still answers, or a COMMIT waits for a standby that is
    gone. Cancelling the wait would be no way: the driver would ask the server to cancel, and that COMMIT would
    then return without the standby.
    """

    silence_s = 60.0

    async def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        """Consume a generator of the driver, as its own form does, for as long as the line holds."""
        late = asyncio.get_running_loop().call_later(self.silence_s, self._cut)
        try:
            return await super().wait(gen, *args, **options)
        finally:
            late.cancel()

    def _cut(self) -> None:
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


def check(url: str, variable: str = "EXCHANGE_DATABASE_URL") -> None:
    """Log in once and look at the version. Raises `Misconfigured` saying which part of `variable` is wrong."""
    with _connection(url, variable) as connection:
        version = connection.info.server_version
    if version < _OLDEST_SERVER:
        raise Misconfigured(
            "database.version",
            f"{variable} leads to PostgreSQL {version // 10_000}",
            field=variable,
            rule=f"the exchange needs PostgreSQL {_OLDEST_SERVER // 10_000} or newer",
            remedy="upgrade that cluster, or leave the variable out for one of the exchange's own",
        )


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where one exchange's database is, as each of its two roles; both carry passwords."""

    app_url: str = field(repr=False)
    owner_url: str | None = field(default=None, repr=False)


@contextlib.contextmanager
def addresses(
    settings: Settings, *, beside: bool = False, say: Callable[[str], None] = lambda line: None
) -> Iterator[Addresses]:
    """The database that the settings name, for as long as the context lasts.

    Without `EXCHANGE_DATABASE_URL` that is a PostgreSQL of our own, which is started again when it is killed, and ends with the context. `beside`
    is for commands that may run next to an exchange: they use its server when it runs.
    """
    if settings.database_url is not None:
        yield Addresses(settings.database_url, settings.database_owner_url)
        return
    with own_cluster(settings.data_dir, beside=beside, say=say) as postgres, postgres.guarded():
        yield Addresses(postgres.app_url, postgres.owner_url)


def upgrade(app_url: str, owner_url: str | None) -> str:
    """Bring the schema to the revision of this code and return that revision.

    Of any number of processes that start at once one does the work and the others wait for it; it happens
    whole or not at all. The application's role gets exactly what `privileges` says. Without an owner's
    address nothing is changed and an older schema is refused. A schema that this code does not know,
    because a newer version made it, is refused.
    """
    scripts = ScriptDirectory.from_config(alembic_config())
    head = scripts.get_current_head()
    assert head is not None
    check(app_url)
    if owner_url is None:
        with _connection(app_url, "EXCHANGE_DATABASE_URL") as connection:
            _refuse_unless_current(connection, scripts, head)
        return head
    check(owner_url, "EXCHANGE_DATABASE_OWNER_URL")
    application = str(conninfo_to_dict(app_url)["user"])
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(_conninfo(owner_url, "exchange migration")),
        poolclass=NullPool,
    )
    with engine.begin() as session:
        session.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        found = MigrationContext.configure(session).get_current_revision()
        _refuse_unknown(found, scripts)
        if found != head:
            config = alembic_config()
            config.attributes["connection"] = session
            alembic.command.upgrade(config, "head")
        driver = session.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        _grant(driver, application)
    return head


def privileges() -> dict[str, frozenset[str]]:
    """What the application's role may do with each table: add, read, and change what is not append-only; never delete."""
    granted = {"alembic_version": frozenset({"SELECT"})}
    for name, table in METADATA.tables.items():
        allowed = {"SELECT", "INSERT"}
        if not table.info.get("append_only"):
            allowed.add("UPDATE")
        granted[name] = frozenset(allowed)
    return granted


def _grant(connection: psycopg.Connection[Any], role: str) -> None:
    """Make the grants what they should be, and touch nothing when they are."""
    wanted = {(table, word) for table, words in privileges().items() for word in words}
    found = set(
        connection.execute(
            "SELECT c.relname, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a"
            " WHERE c.relnamespace = 'public'::regnamespace AND a.grantee = %s::regrole",
            [sql.Identifier(role).as_string(connection)],
        )
    )
    if found == wanted:
        return
    name = sql.Identifier(role)
    connection.execute(sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(name))
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
    for table, words in sorted(privileges().items()):
        connection.execute(
            sql.SQL("GRANT {} ON {} TO {}").format(
                sql.SQL(", ").join(sql.SQL(word) for word in sorted(words)), sql.Identifier(table), name
            )
        )


def _refuse_unless_current(connection: psycopg.Connection[Any], scripts: ScriptDirectory, head: str) -> None:
    found: str | None = None
    if connection.execute("SELECT to_regclass('public.alembic_version')").fetchone() != (None,):
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        found = None if row is None else str(row[0])
    _refuse_unknown(found, scripts)
    if found != head:
        raise Misconfigured(
            "database.older",
            f"the schema is {'missing' if found is None else f'of revision {found}'}, this code needs {head}",
            field="EXCHANGE_DATABASE_OWNER_URL",
            rule="migrations run under the role that owns the schema, never under the application's",
            remedy="set EXCHANGE_DATABASE_OWNER_URL to that role's address for one start",
        )


def _refuse_unknown(found: str | None, scripts: ScriptDirectory) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise Misconfigured(
            "database.newer",
            f"the schema is of revision {found}, which this code does not know: a newer version made it",
            field="EXCHANGE_DATABASE_URL",
            rule="an exchange never works on a schema that is newer than its code",
            remedy="install the version that made it, or restore a backup from before into a new directory",
        )


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _engine(
    url: str,
    application_name: str,
    *,
    silence_s: float,
    **options: Any,
) -> AsyncEngine:
    conninfo = _conninfo(
        url,
        application_name,
        statement_timeout_ms=options.pop("statement_timeout_ms", None),
        transaction_timeout_ms=options.pop("transaction_timeout_ms", None),
    )

    async def connect() -> psycopg.AsyncConnection[Any]:
        # libpq reads the address, so that lists of hosts and socket folders work. psycopg would forget its plans, in one
        # round trip more, whenever a transaction ends without a COMMIT; a batch keeps its own (`ledger.pipeline`).
        connection = await _Line.connect(conninfo, prepare_threshold=None)
        connection.silence_s = silence_s
        return connection

    return create_async_engine("postgresql+psycopg://", async_creator=connect, **options)


def _conninfo(
    url: str,
    application_name: str,
    *,
    statement_timeout_ms: int | None = None,
    transaction_timeout_ms: int | None = None,
) -> str:
    given = conninfo_to_dict(url)
    settings = [str(given["options"])] if given.get("options") else []
    settings.append("-c synchronous_commit=on")  # whatever a role or a database was set to
    if statement_timeout_ms is not None:
        settings.append(f"-c statement_timeout={statement_timeout_ms}")
    if transaction_timeout_ms is not None:
        settings.append(f"-c transaction_timeout={transaction_timeout_ms}")
    return make_conninfo(
        url,
        application_name=application_name,
        options=" ".join(settings),
        # Of several hosts the primary; a standby, or a primary that was demoted, is passed over.
        target_session_attrs="read-write",
        # A machine that vanished is noticed in seconds, not in the kernel's fifteen minutes.
        connect_timeout=given.get("connect_timeout", 5),
        tcp_user_timeout=given.get("tcp_user_timeout", 5000),
    )


@contextlib.contextmanager
def _connection(url: str, variable: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        connection = psycopg.connect(_conninfo(url, "exchange start"), autocommit=True)
    except psycopg.Error as error:
        raise _refused(str(error), url, variable) from error
    with connection:
        yield connection


def _refused(said: str, url: str, variable: str) -> Misconfigured:
    """A login that failed, as what to change; the server's own words are kept, the password is not shown."""
    given = conninfo_to_dict(url)
    user, database = given.get("user"), given.get("dbname")
    where = f"{given.get('host', 'localhost')}:{given.get('port', 5432)}"
    words = " ".join(said.split())
    if "password authentication failed" in words or "no password supplied" in words:
        detail, remedy = (
            f"{where} refuses user {user!r} with this password",
            "correct user and password in {}",
        )
    elif "does not exist" in words and "database" in words:
        detail, remedy = f"{where} has no database {database!r}", "create it, or correct the database in {}"
    elif "session is read-only" in words or "server is in hot standby mode" in words:
        detail, remedy = f"only a standby answers at {where}", "name every machine of the cluster in {}"
    elif "Connection refused" in words or "timeout" in words or "No route to host" in words:
        detail, remedy = (
            f"nobody answers at {where}",
            "start the server there, or correct host and port in {}",
        )
    elif (
        "could not translate host name" in words
        or "failed to resolve host" in words
        or "getaddrinfo" in words
    ):
        detail, remedy = f"no machine is called {given.get('host')!r}", "correct the host in {}"
    else:
        detail, remedy = f"{where} cannot be used", "correct {}"
    return Misconfigured(
        "database.unreachable",
        f"{variable}: {detail} ({words})",
        field=variable,
        rule="the exchange has to be able to log in to its database when it starts",
        remedy=remedy.format(variable),
    )
