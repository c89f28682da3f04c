"""What all tests share: borrowed vectors, one PostgreSQL, a fresh database each, and no silent skip in CI.

The shared cluster runs without fsync, because no test that uses it asks what a crash of the machine leaves;
tests of durability start their own. Asynchronous tests carry `@pytest.mark.anyio`.
"""

from __future__ import annotations

import gc
import inspect
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from exchange.database import Addresses, upgrade
from exchange.embedded import APPLICATION, DATABASE, OWNER, SUPERUSER, Postgres

# Hypothesis counts examples here, never milliseconds: a slow machine is not a wrong answer.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Nor is a busy one: whoever calls a server here without a limit of its own waits longer than httpx does.
inspect.signature(httpx.Client).parameters[
    "timeout"
].default.read = 60.0  # one object, the default of all its functions

PROJECT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI", "").lower() == "true"
RECURSION_LIMIT = sys.getrecursionlimit()
MEMORY_BYTES = 4 << 30  # more than the clusters of all workers come to
DRILL = bool(os.environ.get("EXCHANGE_DRILL"))
LAST = ("exchange", "ledger", "pricing")
"""Folders of many short tests, in whose time the long ones of the others end: no process is left with a long one alone."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process more than there are cores: many a test waits for a clock, a database or another process."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests first; and the long form is left out unless it is asked for by name."""
    items.sort(
        key=lambda item: ("", *LAST).index(item.path.parent.name) if item.path.parent.name in LAST else 0
    )
    if DRILL or "drill" in str(config.getoption("markexpr")):
        return
    drills = [item for item in items if item.get_closest_marker("drill")]
    if drills:
        config.hook.pytest_deselected(items=drills)
        items[:] = [item for item in items if not item.get_closest_marker("drill")]


def pytest_collection_finish() -> None:
    """What was loaded to collect the tests stays: the collector of garbage need not look through it for each of them."""
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give each test the recursion limit of a fresh interpreter: importing py-evm, as tests of the chain do at
    their top, raises it so far that deep JSON ends the process instead of raising.
    """
    sys.setrecursionlimit(RECURSION_LIMIT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None]:  # the hook's answer travels as the generator's return value
    """In CI a test that was skipped has failed: nobody would read why."""
    report: pytest.TestReport = yield  # type: ignore[assignment]  # pluggy sends the report in
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report  # type: ignore[return-value]  # and takes it back here


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """The same for a module that was skipped as a whole."""
    report: pytest.CollectReport = yield  # type: ignore[assignment]
    if IN_CI and report.skipped:
        report.outcome = "failed"
    return report  # type: ignore[return-value]


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop that serves in production."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of others' vectors and expected values."""
    folder = Path(os.environ.get("EXCHANGE_VECTORS") or PROJECT.parent / "shared" / "vectors")
    if not folder.is_dir():
        pytest.skip(f"no vectors in {folder}: set EXCHANGE_VECTORS to their folder")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One cluster for the whole run, its database `exchange` migrated and left empty.

    It lies in memory where a machine has room for that: there a database of eight hundred files is copied twenty times faster.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > MEMORY_BYTES
    with tempfile.TemporaryDirectory(prefix="exchange-tests-", dir=memory if roomy else None) as folder:
        os.chmod(folder, 0o711)  # the server's account has to pass; it is not root
        server = Postgres.start(Path(folder), durable=False)
        try:
            upgrade(server.app_url, server.owner_url)
            yield server
        finally:
            server.discard()


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def database(postgres: Postgres, _numbers: Iterator[int]) -> Iterator[Addresses]:
    """A fresh, migrated, empty database, as both roles; it is gone after the test."""
    with fresh_database(postgres, f"test_{next(_numbers)}") as addresses:
        yield addresses


@pytest.fixture
def second_database(postgres: Postgres, _numbers: Iterator[int]) -> Iterator[Addresses]:
    """One more, for what comes back elsewhere."""
    with fresh_database(postgres, f"test_{next(_numbers)}") as addresses:
        yield addresses


@contextmanager
def fresh_database(postgres: Postgres, name: str) -> Iterator[Addresses]:
    """A database made from the migrated one, for as long as the context lasts."""
    identifiers = {
        "name": sql.Identifier(name),
        "template": sql.Identifier(DATABASE),
        "owner": sql.Identifier(OWNER),
        "app": sql.Identifier(APPLICATION),
    }
    with psycopg.connect(postgres.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        for statement in (
            "CREATE DATABASE {name} TEMPLATE {template} OWNER {owner} STRATEGY file_copy",
            "REVOKE ALL ON DATABASE {name} FROM PUBLIC",
            "GRANT CONNECT ON DATABASE {name} TO {app}",
        ):
            connection.execute(sql.SQL(statement).format(**identifiers))
        yield Addresses(postgres.url(APPLICATION, name), postgres.url(OWNER, name))
        connection.execute(sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**identifiers))
