"""The schema, the two roles and the connections of the exchange."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from exchange.database import METADATA, Addresses, Database, addresses, check, privileges, upgrade
from exchange.embedded import APPLICATION, OWNER, SUPERUSER, Postgres
from exchange.errors import Misconfigured, Unavailable
from exchange.settings import Settings
from exchange.tables import Opening, Request

APPEND_ONLY = sorted(name for name, table in METADATA.tables.items() if table.info.get("append_only"))


def owner_of(database: Addresses) -> str:
    assert database.owner_url is not None
    return database.owner_url


@pytest.fixture
def migrated(postgres: Postgres) -> Addresses:
    """The migrated database from which the others are copied: for tests that only look at it."""
    return Addresses(postgres.app_url, postgres.owner_url)


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[Addresses]:
    """A database without a schema."""
    with psycopg.connect(postgres.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE empty TEMPLATE template0 OWNER {OWNER}")
        yield Addresses(postgres.url(APPLICATION, "empty"), postgres.url(OWNER, "empty"))
        connection.execute("DROP DATABASE empty WITH (FORCE)")


def test_the_migrated_database_is_what_the_tables_say(migrated: Addresses) -> None:
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(owner_of(migrated)), poolclass=NullPool
    )
    with engine.connect() as session:
        context = MigrationContext.configure(
            session, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, METADATA) == []


def test_checks_and_collations_are_what_the_tables_say(migrated: Addresses, empty: Addresses) -> None:
    """Alembic compares neither, so a database made from the tables directly is laid beside the migrated one."""
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(owner_of(empty)), poolclass=NullPool
    )
    with engine.begin() as session:
        METADATA.create_all(session)
    found = []
    for url in (owner_of(migrated), owner_of(empty)):
        with psycopg.connect(url) as connection:
            found.append(
                connection.execute(
                    "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,"
                    " a.attcollation::regcollation::text, a.attidentity, a.atthasdef"
                    " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
                    " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'"
                    " AND c.relname <> 'alembic_version' ORDER BY 1, 2"
                ).fetchall()
                + connection.execute(
                    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
                    " WHERE connamespace = 'public'::regnamespace"
                    " AND conrelid::regclass::text <> 'alembic_version' ORDER BY 1, 2"
                ).fetchall()
            )
    assert found[0] == found[1]
    assert found[0]


def test_no_column_makes_a_value_by_itself(migrated: Addresses) -> None:
    with psycopg.connect(owner_of(migrated)) as connection:
        defaults = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND (column_default IS NOT NULL OR is_identity = 'YES')"
        ).fetchall()
    assert defaults == []


def test_the_application_owns_nothing_and_may_do_what_the_tables_say(migrated: Addresses) -> None:
    with psycopg.connect(migrated.app_url) as connection:
        role = connection.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles"
            " WHERE rolname = current_user"
        ).fetchone()
        assert role == (False, False, False, False, False)
        owned = connection.execute(
            "SELECT refclassid, objid FROM pg_shdepend WHERE deptype = 'o' AND refobjid = %s::regrole",
            [APPLICATION],
        ).fetchall()
        assert owned == []
        granted: dict[str, set[str]] = {}
        for table, privilege in connection.execute(
            "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
            " WHERE grantee = current_user AND table_schema = 'public'"
        ):
            granted.setdefault(table, set()).add(privilege)
        assert granted == privileges()
        for forbidden in (
            "CREATE TABLE mine (a int)",
            "CREATE TEMP TABLE mine (a int)",
            "CREATE SCHEMA mine",
            "SET ROLE exchange_owner",
            "ALTER TABLE log_head ADD COLUMN mine int",
            "UPDATE alembic_version SET version_num = 'mine'",
            "SET session_replication_role = replica",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)
            connection.rollback()


def test_nobody_changes_an_append_only_table(migrated: Addresses) -> None:
    assert {"log_chunk", "log_tile", "request", "transfer", "bid", "trade"} <= set(APPEND_ONLY)
    with (
        psycopg.connect(migrated.app_url, autocommit=True) as application,
        psycopg.connect(owner_of(migrated), autocommit=True) as owner,
    ):
        for table in APPEND_ONLY:
            column = next(iter(METADATA.tables[table].columns)).name
            changes = [f'UPDATE "{table}" SET "{column}" = "{column}"', f'DELETE FROM "{table}"']
            truncate, disable = f'TRUNCATE "{table}" CASCADE', f'ALTER TABLE "{table}" DISABLE TRIGGER ALL'
            # The application has no privilege; the owner has, and the trigger stands in its way.
            for statement in (*changes, truncate, disable):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"denied|must be owner"):
                    application.execute(statement)
            for statement in (*changes, truncate):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                    owner.execute(statement)


def test_an_append_only_row_is_added_and_stays(database: Addresses) -> None:
    with psycopg.connect(database.app_url) as connection:
        connection.execute("INSERT INTO request VALUES ('p', 'k', 'd', 1) ON CONFLICT DO NOTHING")
        connection.commit()
        for statement in ("UPDATE request SET log_index = 2", "DELETE FROM request"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()
        assert connection.execute("SELECT log_index FROM request").fetchall() == [(1,)]


def test_upgrading_twice_changes_nothing(migrated: Addresses) -> None:
    first = upgrade(migrated.app_url, migrated.owner_url)
    assert upgrade(migrated.app_url, migrated.owner_url) == first
    assert upgrade(migrated.app_url, None) == first


def test_processes_that_start_at_once_do_not_collide(empty: Addresses) -> None:
    start = (
        "import sys; from exchange.database import upgrade; print('ready', flush=True);"
        "sys.stdin.readline(); print(upgrade(*sys.argv[1:]))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", start, empty.app_url, owner_of(empty)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert said == {upgrade(empty.app_url, None)}


def test_a_missing_or_older_schema_is_refused_without_the_owner(empty: Addresses) -> None:
    with pytest.raises(Misconfigured, match="missing") as caught:
        upgrade(empty.app_url, None)
    assert caught.value.field == "EXCHANGE_DATABASE_OWNER_URL"


def test_a_newer_schema_is_refused_and_left_alone(database: Addresses) -> None:
    with psycopg.connect(owner_of(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for owner_url in (database.owner_url, None):
        with pytest.raises(Misconfigured, match="9999") as caught:
            upgrade(database.app_url, owner_url)
        assert caught.value.code == "database.newer"
    with psycopg.connect(owner_of(database)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_grants_that_somebody_changed_are_made_right_at_the_next_start(database: Addresses) -> None:
    with psycopg.connect(owner_of(database)) as connection:
        connection.execute(f"GRANT UPDATE ON request TO {APPLICATION}")
        connection.execute(f"REVOKE SELECT ON market FROM {APPLICATION}")
    upgrade(database.app_url, database.owner_url)
    with psycopg.connect(database.app_url) as connection:
        assert connection.execute("SELECT * FROM market").fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("UPDATE request SET log_index = 1")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": "wrong"}, "refuses user"),
        ({"dbname": "nowhere"}, "no database 'nowhere'"),
        ({"port": "1"}, "nobody answers"),
        ({"host": "no-such-machine.invalid"}, "no machine is called"),
    ],
)
def test_a_wrong_address_says_what_to_correct(migrated: Addresses, change: dict[str, str], says: str) -> None:
    with pytest.raises(Misconfigured, match=says) as caught:
        check(make_conninfo(migrated.app_url, **change))
    assert caught.value.field == "EXCHANGE_DATABASE_URL"
    assert "EXCHANGE_DATABASE_URL" in str(caught.value.remedy)
    secret = str(conninfo_to_dict(migrated.app_url)["password"])
    assert secret not in str(caught.value.problem())


def test_the_settings_lead_to_a_cluster_of_others(migrated: Addresses) -> None:
    settings = Settings.from_environment(
        {"EXCHANGE_DATABASE_URL": migrated.app_url, "EXCHANGE_DATABASE_OWNER_URL": owner_of(migrated)}
    )
    with addresses(settings) as found:
        assert found == migrated
    assert "@" not in repr(found)


@pytest.mark.anyio
async def test_a_reader_sees_one_moment_and_changes_nothing(database: Addresses) -> None:
    reads = Database(database.app_url, readers=1)
    async with reads.reader() as session:
        assert await session.get(Opening, "c") is None
        async with await reads.connect() as writer:
            await writer.execute(
                "INSERT INTO opening (commitment, log_index, salt, value) VALUES ('c', 0, 's', 'v')"
            )
        assert await session.get(Opening, "c") is None
    async with reads.reader() as session:
        opening = await session.get(Opening, "c")
        assert opening is not None
        assert opening.value == "v"
        with pytest.raises(DBAPIError, match="read-only"):
            await session.execute(text("DELETE FROM opening"))
    await reads.close()


@pytest.mark.anyio
async def test_readers_are_bounded_and_the_next_one_is_told_to_come_back(migrated: Addresses) -> None:
    reads = Database(migrated.app_url, readers=1)
    async with reads.reader() as session:
        await session.execute(text("SELECT 1"))
        with pytest.raises(Unavailable) as caught:
            async with reads.reader() as second:
                await second.execute(text("SELECT 1"))
        assert caught.value.code == "database.busy"
    await reads.close()


@pytest.mark.anyio
async def test_a_reader_without_a_database_is_told_to_come_back() -> None:
    reads = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    with pytest.raises(Unavailable) as caught:
        async with reads.reader() as session:
            await session.execute(text("SELECT 1"))
    assert caught.value.code == "database.unavailable"
    await reads.close()


@pytest.mark.anyio
async def test_a_writer_commits_and_cannot_hold_the_head_for_ever(database: Addresses) -> None:
    writes = Database(database.app_url)
    connection = await writes.writer_connection()
    async with connection.begin():
        await connection.execute(
            sqlalchemy.insert(Request), {"party": "p", "key": "k", "digest": b"d", "log_index": 0}
        )
    await connection.close()
    raw = await writes.connect(transaction_timeout_ms=50)
    assert not raw.autocommit
    with pytest.raises(psycopg.errors.TransactionTimeout):
        await raw.execute("SELECT pg_sleep(1)")
    assert raw.closed
    async with writes.reader() as session:
        assert (await session.execute(text("SELECT count(*) FROM request"))).scalar() == 1
        assert (await session.execute(text("SHOW application_name"))).scalar() == "exchange reader"
    await writes.close()
