"""The floor plan is a test: the order of imports, what a fresh interpreter loads, and a docstring on every door."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ("exchange", "ledger", "pricing")
SERVER = ("fastapi", "starlette", "sqlmodel", "sqlalchemy", "psycopg", "web3")


def sources() -> list[Path]:
    return sorted(path for top in (*PACKAGES, "tests") for path in (PROJECT / top).rglob("*.py"))


def layers(container: str) -> set[str]:
    """The names on the floor plan of one package, built or not."""
    with (PROJECT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if one.get("containers") == [container]]
    assert contract["exhaustive"] is True
    return {name.strip(" ()") for layer in contract["layers"] for name in layer.split("|")}


@pytest.mark.parametrize("module", ["pricing", "ledger.audit", "exchange.client", "exchange.desensitization"])
def test_what_outsiders_import_loads_no_server(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(set({SERVER!r}) & set(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=PROJECT
    )
    assert (ran.returncode, ran.stdout.split()) == (0, []), ran.stderr


def test_a_command_starts_without_the_engines_that_it_may_not_need() -> None:
    engines = ("duckdb", "fastapi", "httpx", "ibis", "numpy", "pyarrow", "sqlalchemy", "web3")
    program = f"import sys, exchange.cli; print(*sorted(set({engines!r}) & set(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=PROJECT
    )
    assert (ran.returncode, ran.stdout.split()) == (0, []), ran.stderr


def test_the_contracts_on_imports_hold() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    ran = subprocess.run(
        [linter, "--no-cache", "--no-logo"], capture_output=True, text=True, check=False, cwd=PROJECT
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("container", ["exchange", "ledger"])
def test_every_module_has_its_place_on_the_floor_plan(container: str) -> None:
    built = {
        path.stem if path.is_file() else path.name
        for path in (PROJECT / container).iterdir()
        if (path.suffix == ".py" and path.stem != "__init__") or any(path.rglob("*.py"))
    }
    assert built - layers(container) == set()


def test_every_folder_of_code_is_a_package_that_the_linter_sees() -> None:
    folders = {path.parent for top in PACKAGES for path in (PROJECT / top).rglob("*.py")}
    folders.discard(PROJECT / "exchange" / "migrations" / "versions")  # scripts, which Alembic loads by path
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_module_opens_with_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, "open the file with a docstring that says what it is for"
