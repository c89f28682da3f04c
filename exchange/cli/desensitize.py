"""The department's command: scan a raw table inside its own network, desensitize it under an authorization, verify it."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from exchange.desensitization import policy as policies
from exchange.desensitization.detection.findings import KINDS
from exchange.desensitization.errors import NotAuthorized, PolicyRefused
from exchange.desensitization.pictures import percent
from exchange.desensitization.policy import Policy
from exchange.desensitization.policy.declaration import Declaration, load
from exchange.desensitization.report import html
from exchange.desensitization.verification import WHY, Check, Outcome
from ledger.checkpoint import Verifier
from ledger.entries import receipt_from_json, verify_receipt

if TYPE_CHECKING:
    from exchange.desensitization.certificate import Authorization
    from exchange.desensitization.department import Scan
    from exchange.desensitization.frontier import Candidate

app = typer.Typer(
    help=(
        "Desensitize a raw table inside the department, under an authorization.\n\n"
        "1. [bold]scan[/bold] finds what identifies persons and proposes a policy; [bold]plan[/bold] shows what else "
        "could be chosen, [bold]wizard[/bold] asks what you want of each column.\n\n"
        "2. [bold]queue assessment[/bold] and [bold]send[/bold] file it at the exchange; other people approve it "
        "([bold]queue approval[/bold]), then [bold]fetch[/bold] brings the authorization.\n\n"
        "3. [bold]apply[/bold] makes the product and its certificate, which alone may cross: [bold]queue release[/bold] "
        "and [bold]send[/bold].\n\n"
        "4. [bold]verify[/bold] recomputes a certificate from its product, for anyone."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
)

console = Console(highlight=False)
progress_console = Console(stderr=True, highlight=False)

SALT_FILE = "raw.salt"
KEY_FILE = "product.key"
SECRET_BYTES = 32

Lang = Literal["zh", "en"]

RawFile = Annotated[
    Path,
    typer.Argument(
        help="The raw table: CSV (UTF-8, UTF-16, GB 18030), Parquet, Excel (xlsx, xls), or a folder of such files.",
        exists=True,
    ),
]
OutDirectory = Annotated[
    Path,
    typer.Option(
        help="The asset's own directory at the department; its salt and key never leave it.", file_okay=False
    ),
]


@app.command()
def scan(
    raw: RawFile,
    out: OutDirectory,
    policy: Annotated[
        Path | None,
        typer.Option(
            help="Roles, hierarchies and demands that you declare (TOML), or a policy.json to be measured.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Find what identifies persons, measure the risk, propose a policy. Nothing of the raw table is kept.

    A table above 256 MiB passes through a nameless temporary file (TMPDIR), gone with the process.

    Writes to --out: report.json (for the risk assessment), report.html (for people, in both languages, with pictures),
    policy.json (to be authorized) and raw.salt (stays here: it binds the report to this very file).
    """
    from exchange.desensitization import department

    declaration = Declaration() if policy is None else load(_text(policy, "policy"), policy.parent)
    salt = _secret(_directory(out) / SALT_FILE)
    with _progress() as stage:
        scanned = department.scan(raw, declaration, salt, stage=stage)
    _show(scanned.report)
    _hand_over(scanned, out)


@app.command()
def plan(
    raw: RawFile,
    out: OutDirectory,
    policy: Annotated[
        Path | None,
        typer.Option(help="What you declare, as for scan.", exists=True, dir_okay=False),
    ] = None,
    k: Annotated[
        list[int] | None, typer.Option("--k", min=1, help="A k to try; may be repeated. Usually 2 to 50.")
    ] = None,
    suppress: Annotated[
        list[float] | None,
        typer.Option(
            "--suppress",
            min=0,
            max=100,
            help="A limit of rows dropped, in percent, to try; may be repeated. Usually 0 to 10.",
        ),
    ] = None,
    choose: Annotated[
        int | None, typer.Option(help="The number of the candidate whose policy is written.", min=1)
    ] = None,
) -> None:
    """Show what the table could become: for every k and suppression limit the best policy, its loss and its risk.

    Those marked are efficient: no other has less loss at no more risk. On a terminal it asks which one you take; with
    --choose it does not. What is chosen is rehearsed and written to --out as by scan.
    """
    from exchange.desensitization import department, frontier

    declaration = Declaration() if policy is None else load(_text(policy, "policy"), policy.parent)
    limits_ppm = None if suppress is None else [round(percent * 10_000) for percent in suppress]
    demands = frontier.grid(
        k or (*frontier.USUAL_K, declaration.k),
        limits_ppm or (*frontier.USUAL_LIMITS_PPM, declaration.suppression_limit_ppm),
    )
    salt = _secret(_directory(out) / SALT_FILE)
    with _progress() as stage:
        planned = department.plan(raw, declaration, salt, stage=stage, demands=demands)
        if choose is None:
            _show_candidates(planned.candidates)
    if not planned.candidates:
        raise PolicyRefused(
            "there is nothing to choose: no quasi-identifier is left to generalize, or no demand can be reached",
            field="k",
            rule="a plan chooses how far quasi-identifiers are generalized",
            remedy="run `exchange desensitize scan`, which says what is missing, or try a smaller k",
        )
    if choose is None and sys.stdin.isatty():
        choose = typer.prompt("Which one? (0 for none)", type=int, default=0) or None
    if choose is None:
        console.print("Take one with [bold]--choose NUMBER[/bold].")
        return
    if choose > len(planned.candidates):
        raise PolicyRefused(
            f"there is no candidate {choose}",
            field="choose",
            rule=f"a number from 1 to {len(planned.candidates)}",
            remedy="run the plan without --choose and take a number from its table",
        )
    with _progress() as stage:
        scanned = planned.scan(planned.candidates[choose - 1], stage)
    _show(scanned.report)
    _hand_over(scanned, out)


@app.command()
def wizard(
    raw: RawFile,
    out: OutDirectory,
    lang: Annotated[Lang, typer.Option(help="The language of questions and comments: en or zh.")] = "en",
) -> None:
    """Ask what you want of each column, and write it as a commented declaration to be scanned with.

    Writes declaration.toml to --out. Answers may be piped, one a line; an empty line takes what is proposed.
    """
    from exchange.cli.wizard import Wizard
    from exchange.desensitization import department
    from exchange.desensitization.commented import commented

    with _progress() as stage:
        proposer = department.look(raw, stage=stage)
    declaration, notes = Wizard(console, lang).declare(proposer)
    _write(_directory(out) / "declaration.toml", commented(declaration, lang, notes))
    console.print(f"\nwritten to {out}: declaration.toml", soft_wrap=True)
    console.print(
        f"Next: [bold]exchange desensitize scan[/bold] {raw} --policy {out / 'declaration.toml'} --out {out}",
        soft_wrap=True,
    )


@app.command()
def schema() -> None:
    """Print the JSON Schema of policies and declarations, for an editor or a program."""
    from exchange.desensitization.policy.schema import schema as made

    typer.echo(json.dumps(made(), ensure_ascii=False, indent=1))


def _hand_over(scanned: Scan, out: Path) -> None:
    """Write what the assessor files, what people read, and what is to be authorized."""
    _write(out / "report.json", json.dumps(scanned.report, ensure_ascii=False, indent=1) + "\n")
    _write(out / "report.html", html(scanned.report))
    # Exactly the canonical bytes: `sha256sum policy.json` is the policy digest.
    _write(out / "policy.json", scanned.policy.canonical().decode())
    console.print(f"\nwritten to {out}: report.json, report.html, policy.json", soft_wrap=True)
    console.print(
        "Next: file the risk assessment with report.json; a second person authorizes it; then "
        "[bold]exchange desensitize apply[/bold].",
        soft_wrap=True,
    )


def _show_candidates(candidates: Sequence[Candidate]) -> None:
    """The candidates by number, the loss of each column under its name."""
    table = Table(
        title="candidates",
        title_justify="left",
        caption="✓ efficient: no other has less loss at no more risk",
    )
    searched = list(candidates[0].left.loss_ppm) if candidates else []
    for header in ("", "", "k", "suppress up to", "rows dropped", "loss", "mean risk", "highest risk"):
        table.add_column(header, justify="right")
    for column in searched:
        table.add_column(Text(f"loss of {column}"), justify="right", overflow="fold")
    for number, one in enumerate(candidates, start=1):
        table.add_row(
            str(number),
            "✓" if one.efficient else "",
            str(one.k),
            percent(str(one.suppression_limit_ppm)),
            str(one.left.dropped_rows),
            f"{one.left.loss[0]:.4g}",
            percent(str(one.left.marketer_ppm)),
            percent(str(one.left.prosecutor_ppm)),
            *(percent(str(one.left.loss_ppm[column])) for column in searched),
            style="bold" if one.efficient else "",
        )
    console.print(table)


@app.command()
def apply(
    raw: RawFile,
    policy: Annotated[Path, typer.Option(help="The authorized policy.json.", exists=True, dir_okay=False)],
    authorization: Annotated[
        Path,
        typer.Option(
            help="The authorization with its receipt: /v1/assets/ASSET/authorizations/ID/document at the exchange.",
            exists=True,
            dir_okay=False,
        ),
    ],
    vkey: Annotated[
        str,
        typer.Option(
            help="The exchange's log key, as text or as a file: name+id+key. The receipt is checked with it."
        ),
    ],
    out: OutDirectory,
) -> None:
    """Make the product that was authorized, and nothing else.

    Refuses unless the receipt is the exchange's and this raw file and this policy are the ones it binds.
    Writes product.parquet and certificate.json to --out; product.key stays there and makes the pseudonyms.
    """
    from exchange.desensitization import department

    authorized = _authorization(authorization, vkey)
    agreed = _policy(policy)
    salt_file = out / SALT_FILE
    if not salt_file.is_file():
        raise NotAuthorized(
            f"{out} holds no {SALT_FILE}",
            field="out",
            rule="the raw digest is made with the salt of the scan",
            remedy="pass as --out the directory that `exchange desensitize scan` wrote to",
        )
    with _progress() as stage:
        made = department.apply(
            raw,
            agreed,
            authorized,
            salt=_secret(salt_file),
            key=_secret(out / KEY_FILE),
            product=out / "product.parquet",
            certificate=out / "certificate.json",
            stage=stage,
        )
    _show_risk(made.certificate)
    console.print(f"\n[green]✓[/] {out / 'product.parquet'}", soft_wrap=True)
    console.print(f"  product digest      {made.measurement.file_digest}", soft_wrap=True)
    console.print(f"  certificate digest  {made.certificate_digest}", soft_wrap=True)
    console.print("Next: upload product.parquet and release it with certificate.json.")


@app.command()
def verify(
    certificate: Annotated[Path, typer.Argument(help="The certificate.json.", exists=True, dir_okay=False)],
    product: Annotated[
        Path, typer.Argument(help="The product that it speaks of.", exists=True, dir_okay=False)
    ],
    raw: Annotated[
        Path | None,
        typer.Option(help="Also the raw table: what is said of it is recomputed too.", exists=True),
    ] = None,
    salt: Annotated[
        Path | None, typer.Option(help="With --raw: the raw.salt of the scan.", exists=True, dir_okay=False)
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            help="With --raw: the product.key of apply; the product is made again, byte by byte.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
    lang: Annotated[Lang, typer.Option(help="The language of the words: en or zh.")] = "en",
) -> None:
    """Recompute a certificate from the file: what agrees, what differs, what could not be checked.

    Ends with status 1 where anything differs. The exchange does the same with what arrives.
    """
    from exchange.desensitization import department

    if (raw is None) != (salt is None):
        raise PolicyRefused(
            "--raw and --salt go together",
            field="salt" if salt is None else "raw",
            rule="the raw digest is made with the salt of the scan",
            remedy="pass --raw RAW --salt DIRECTORY/raw.salt, or neither",
        )
    if key is not None and raw is None:
        raise PolicyRefused(
            "--key without --raw",
            field="raw",
            rule="the product is made again from the raw table",
            remedy="pass --raw RAW --salt DIRECTORY/raw.salt too",
        )
    document = _object(certificate, "certificate")
    with _progress() as stage:
        checks = department.verify(
            document,
            product,
            raw=raw,
            salt=b"" if salt is None else salt.read_bytes(),
            key=None if key is None else _secret(key),
            stage=stage,
        )
    differs = any(check.outcome == "differs" for check in checks)
    if json_:
        answer = {"agrees": not differs, "checks": [check.to_json() for check in checks]}
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=1))
    else:
        _show_checks(checks, 0 if lang == "zh" else 1)
    if differs:
        raise typer.Exit(1)


_OUTCOMES: Mapping[Outcome, tuple[str, str, str]] = {
    "agrees": ("一致", "agrees", "green"),
    "differs": ("不一致", "differs", "bold red"),
    "unchecked": ("未能核验", "not checked", "yellow"),
}


def _show_checks(checks: Sequence[Check], language: int) -> None:
    """Differences first and in full, then what was not checked and why, then what agrees."""
    order: tuple[Outcome, ...] = ("differs", "unchecked", "agrees")
    for outcome in order:
        found = [check for check in checks if check.outcome == outcome]
        zh, en, style = _OUTCOMES[outcome]
        console.print(Text(f"{(zh, en)[language]}: {len(found)}", style=style))
        for check in found:
            line = f"  {check.member}: {WHY[check.why][language]}"
            if outcome == "differs":
                said, real = (json.dumps(one, ensure_ascii=False) for one in (check.said, check.found))
                line += f"; 证书 {said}，实际 {real}" if language == 0 else f"; said {said}, found {real}"
            console.print(Text(line), soft_wrap=True)


def _authorization(path: Path, vkey: str) -> Authorization:
    """The authorization in a file, believed only as far as the exchange's signed log bears it out."""
    from exchange.desensitization.certificate import Authorization

    document = _object(path, "authorization")
    said, receipt = document.get("authorization"), document.get("receipt")
    if not isinstance(said, dict) or not isinstance(receipt, dict):
        raise _unauthorized("authorization", "it holds no authorization with its receipt")
    known = Verifier.parse(_text(Path(vkey), "vkey").strip() if Path(vkey).is_file() else vkey)
    proven = receipt_from_json(receipt)
    verify_receipt(proven, [known])
    body = proven.said()
    act = body.get("act")
    if (
        body.get("kind") != "release_authorized"
        or not isinstance(act, dict)
        or act.get("state") != "authorized"
    ):
        raise _unauthorized("receipt", "the receipt is of another act, or of one that was refused")
    for field, name in (
        ("id", "authorization"),
        ("asset", "asset"),
        ("raw_digest", "raw_digest"),
        ("policy_digest", "policy_digest"),
        ("exempt_from_k", "exempt_from_k"),
    ):
        if said.get(field) is None or said[field] != act.get(name):
            raise _unauthorized(
                f"authorization.{field}", "the authorization says something else than the log"
            )
    return Authorization(
        id=str(act["authorization"]),
        asset=str(act["asset"]),
        raw_digest=str(act["raw_digest"]),
        policy_digest=str(act["policy_digest"]),
        exempt_from_k=act["exempt_from_k"] is True,
    )


def _unauthorized(field: str, detail: str) -> NotAuthorized:
    return NotAuthorized(
        detail,
        field=field,
        rule="only what the exchange's log shows as authorized is carried out",
        remedy="fetch the authorization and its receipt from the exchange again",
    )


def _policy(path: Path) -> Policy:
    return policies.parse(_object(path, "policy"))


def _object(path: Path, field: str) -> dict[str, Any]:
    try:
        document = json.loads(_text(path, field))
    except ValueError as error:
        raise PolicyRefused(
            f"{path} is no JSON: {error}",
            field=field,
            rule="a JSON object",
            remedy="fetch or write the file again",
        ) from error
    if not isinstance(document, dict):
        raise PolicyRefused(
            f"{path} holds no JSON object",
            field=field,
            rule="a JSON object",
            remedy="fetch or write the file again",
        )
    return document


def _text(path: Path, field: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyRefused(
            f"{path} cannot be read as UTF-8 text",
            field=field,
            rule="a readable text file in UTF-8",
            remedy="check the path and save the file as UTF-8",
        ) from error


def _directory(path: Path) -> Path:
    """The asset's directory, open to its owner alone when it is made here."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _secret(path: Path) -> bytes:
    """The secret in a file, drawn from the system's random source and written for its owner alone if there is none."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        secret = path.read_bytes()
        if len(secret) != SECRET_BYTES:
            raise PolicyRefused(
                f"{path} holds {len(secret)} bytes",
                field=path.name,
                rule=f"a secret has {SECRET_BYTES} bytes",
                remedy="restore the file; without it the authorization and earlier pseudonyms are void",
            ) from None
        return secret
    secret = secrets.token_bytes(SECRET_BYTES)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    return secret


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


_STAGES: Mapping[str, str] = {
    "digest": "digest the raw file",
    "read": "read the table",
    "detect": "look at the columns",
    "search": "search for a policy",
    "frontier": "search for what else could be chosen",
    "apply": "desensitize",
    "measure": "measure the product",
}


@contextmanager
def _progress() -> Iterator[Any]:
    """A progress bar a stage, on standard error, gone when all is done."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=progress_console,
        transient=True,
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def stage(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(_STAGES[name], total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield stage


def _show(report: Mapping[str, Any]) -> None:
    """The scan in a glance: what was found in each column, and what the policy does with it."""
    found = {finding["column"]: finding for finding in report["findings"]}
    table = Table(title=f"{report['raw']['rows']} rows", title_justify="left")
    for header in ("column", "found", "form", "role", "what is done", "loss"):
        table.add_column(header, overflow="fold")
    for column in report["columns"]:
        finding = found.get(column["name"])
        table.add_row(
            Text(column["name"]),
            KINDS[finding["kind"]].en if finding else "",
            Text(finding["samples"][0] if finding and finding["samples"] else ""),
            column["role"].replace("_", " "),
            column["technique"],
            percent(report["loss_ppm"][column["name"]]),
        )
    console.print(table)
    biometric = [finding["column"] for finding in report["findings"] if finding["kind"] == "biometric"]
    if biometric:
        console.print(
            Text(
                f"Biometric data in {', '.join(biometric)}: the exchange refuses it outright. ",
                style="bold red",
            )
            + Text("Take the columns out of the raw table and scan again.")
        )
    if report["policy"]["exempt_from_k"]:
        console.print(
            "No column about a person was found. The policy claims the [bold]exemption from k[/bold]: it has to be "
            "assessed and authorized."
        )
    else:
        _show_risk(report)


def _show_risk(document: Mapping[str, Any]) -> None:
    before, after = document["before"], document["after"]
    table = Table(title="risk", title_justify="left")
    for header in ("", "before", "after"):
        table.add_column(header)
    table.add_row("k", before["k"], after["k"])
    for column in {**before["l"], **after["l"]}:
        table.add_row(Text(f"l ({column})"), before["l"].get(column, ""), after["l"].get(column, ""))
    for name, member in (
        ("unique rows", "uniqueness_ppm"),
        ("prosecutor", "prosecutor_ppm"),
        ("marketer", "marketer_ppm"),
    ):
        table.add_row(name, percent(before[member]), percent(after[member]))
    table.add_row("rows", before["rows"], after["rows"])
    console.print(table)
