"""Commands of whoever runs a cluster: write and explain its configuration, and look whether it keeps its promises."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from exchange.errors import Misconfigured

if TYPE_CHECKING:
    from exchange.cluster import Finding, Member, Node

app = typer.Typer(
    help=(
        "A synchronous standby that takes over by itself, and hands back: PostgreSQL under Patroni and etcd.\n\n"
        "1. [bold]init[/bold] writes the configuration of each machine, and a runbook that explains it.\n\n"
        "2. [bold]check[/bold], as often as you like: does what is promised hold?"
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
)
console = Console(highlight=False, soft_wrap=True)

API_PORT: Final = 8008
PRIVATE: Final = frozenset({"exchange.env", "patroni.yml", "roles.sql"})

T = TypeVar("T")


@app.command()
def init(
    node: Annotated[
        list[str], typer.Option(help="A machine for PostgreSQL and Patroni: NAME=ADDRESS; two or more.")
    ],
    etcd: Annotated[
        list[str], typer.Option(help="A machine for etcd: NAME=ADDRESS; three, or one to try it.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write, which must not exist or be empty.")],
    exchange: Annotated[
        list[str] | None,
        typer.Option(help="Address of a machine that runs the exchange; default: the nodes themselves."),
    ] = None,
    config_dir: Annotated[
        Path, typer.Option(help="Where the files will lie on the machines.")
    ] = Path("/etc/exchange-cluster"),
    data_dir: Annotated[
        Path, typer.Option(help="Where the data will lie on the machines.")
    ] = Path("/var/lib/exchange-cluster"),
    bin_dir: Annotated[
        Path | None, typer.Option(help="PostgreSQL's programs there; default: the ones that came with the exchange.")
    ] = None,
    account: Annotated[str, typer.Option(help="The account that runs all of it there.")] = "postgres",
    archive: Annotated[
        Path | None,
        typer.Option(help="Keep finished log segments there for your backup, which has to take them away."),
    ] = None,
) -> None:  # fmt: skip
    """Write the configuration of a cluster, with passwords of its own, and a runbook in Chinese and English."""
    from exchange.cluster import Member, Node, Passwords, Plan
    from exchange.embedded import binaries

    programs = Path(sys.executable).parent
    plan = Plan(
        nodes=[Node(*_named("--node", text)) for text in node],
        members=[Member(*_named("--etcd", text)) for text in etcd],
        config=config_dir,
        data=data_dir,
        binaries=bin_dir or binaries(),
        patroni=programs / "patroni",
        etcd=programs / "etcd" if (programs / "etcd").exists() else Path("/usr/bin/etcd"),
        account=account,
        exchanges=exchange or (),
        archive=archive,
    )
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        empty = not any(out.iterdir())
    except OSError as error:
        raise _no_folder(out, str(error.strerror)) from error
    if not empty:
        raise _no_folder(out, "it holds files already, perhaps the passwords of a cluster")
    for name, text in plan.files(Passwords.draw()).items():
        path = out / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600 if path.name in PRIVATE else 0o700 if path.suffix == ".sh" else 0o644)
        path.write_text(text, encoding="utf-8")
    console.print(f"[green]✓[/] {out}: a folder for each machine, its passwords readable by you alone")
    for machine in plan.machines:
        console.print(f"  {machine.name:<12} {machine.address:<16} {_part(machine)}")
    for warning in plan.warnings():
        console.print(f"[yellow]![/] {warning}")
    console.print(f"Next: read [bold]{out / 'README.en.md'}[/] (中文:[bold]{out / 'README.zh.md'}[/])")


@app.command()
def check(
    api: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"Where each machine's Patroni answers, ADDRESS[:PORT]; default: the hosts of EXCHANGE_DATABASE_URL, port {API_PORT}."
        ),
    ] = None,
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of the report.")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Say whether the standby is synchronous and keeps up, and whether all that the exchange needs holds.

    Exit status 1 where something does not.
    """
    from psycopg.conninfo import conninfo_to_dict

    from exchange.cluster import look
    from exchange.settings import Settings

    url = Settings.from_environment(os.environ).database_url
    hosts = str(conninfo_to_dict(url).get("host", "")).split(",") if url else []
    found = look([_api(text) for text in api or hosts if text], url)
    if as_json:
        print(
            json.dumps(
                {
                    "findings": [
                        {"code": f.code, "holds": f.holds, "seen": f.seen, "words": f.words(lang)} for f in found
                    ],
                    "holds": all(f.holds for f in found),
                },
                ensure_ascii=False,
            )
        )  # fmt: skip
    else:
        console.print(_table(found, lang))
        if not url:
            console.print(
                "EXCHANGE_DATABASE_URL is not set: the database itself was not asked"
                if lang == "en"
                else "未设置 EXCHANGE_DATABASE_URL:没有询问数据库本身"
            )
    if not all(f.holds for f in found):
        raise typer.Exit(1)


def _table(found: list[Finding], lang: Literal["zh", "en"]) -> Table:
    table = Table(*(("", "承诺", "所见") if lang == "zh" else ("", "promise", "seen")))
    for finding in found:
        table.add_row("[green]✓[/]" if finding.holds else "[red]✗[/]", finding.words(lang), finding.seen)
    return table


def _named(option: str, text: str) -> tuple[str, str]:
    name, equals, address = text.partition("=")
    if not equals:
        raise Misconfigured(
            "cluster.plan",
            f"{option} is {text!r}",
            field=option,
            rule="a machine is given as NAME=ADDRESS",
            remedy=f"write {option} db1=10.0.0.11",
        )
    return name, address


def _part(machine: Node | Member) -> str:
    from exchange.cluster import Node

    return "PostgreSQL, Patroni" if isinstance(machine, Node) else "etcd"


def _api(text: str) -> str:
    """The address of a Patroni, from what a person types."""
    bare = text.removeprefix("http://").rstrip("/")
    if bare.startswith("https://"):
        return bare
    if bare.count(":") > 1 and not bare.startswith("["):
        bare = f"[{bare}]"
    has_port = ":" in bare.rpartition("]")[2]
    return f"http://{bare}" if has_port else f"http://{bare}:{API_PORT}"


def _no_folder(out: Path, problem: str) -> Misconfigured:
    return Misconfigured(
        "cluster.folder",
        f"{out} cannot be written: {problem}",
        field="--out",
        rule="a cluster's passwords are made once, into a folder of their own",
        remedy="name a folder that does not exist yet",
    )
