"""`exchange appraise`: a value from a form and the data themselves, on the appraiser's own machine; or a report, again."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from exchange.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from exchange.messages.assets import AppraisalMessage
    from pricing.appraisal import Report

console = Console(highlight=False)
progress_console = Console(stderr=True, highlight=False)

KEY_BYTES = 32


def appraise(
    file: Annotated[
        Path,
        typer.Argument(
            help="A form such as docs/appraisal.json, or a report, which is computed again.",
            exists=True,
            dir_okay=False,
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="The table, CSV or Parquet, whose quality is measured.", exists=True, dir_okay=False
        ),
    ] = None,
    asset: Annotated[
        str | None,
        typer.Option(
            help="The asset as the report names it; on an exchange its code and title. The form's name else."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report, its text and its pictures.", file_okay=False)
    ] = None,
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of text and pictures.")] = "en",
    key: Annotated[
        Path | None,
        typer.Option(
            help="Your private key, made if there is none: signs the form, which --out then holds as form.json.",
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Appraise a data asset and print the report, or compute a report again and say whether it holds."""
    from pricing.appraisal import words

    written = file.read_bytes()
    members = _object(file, written)
    if "format" in members:
        report = _again(written)
    else:
        form = _form(file, members)
        report, form = _appraised(form, data, asset, key)
        if out is not None and form.signature is not None:
            out.mkdir(parents=True, exist_ok=True)
            _write(out / "form.json", form.model_dump_json(indent=2) + "\n")
    console.print(words(report, lang), markup=False, soft_wrap=True)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        _put(report, out, lang)


def _again(written: bytes) -> Report:
    """A report as a stranger reads it: computed again, and its signature verified where it has one."""
    from exchange.appraisal import ed25519
    from pricing.appraisal import read_report, require_signature

    report = read_report(written)
    said = "not signed"
    if report.signature is not None:
        require_signature(report, ed25519)
        said = f"signed under {report.signature.public_key}"
    progress_console.print(f"[green]✓[/] computed again to the same bytes; {said}", soft_wrap=True)
    return report


def _appraised(
    form: AppraisalMessage, data: Path | None, asset: str | None, key: Path | None
) -> tuple[Report, AppraisalMessage]:
    """The report on a form, and the form with the signature that it was given here."""
    from exchange.appraisal import ed25519
    from exchange.desensitization.reading.limits import Limits
    from exchange.desensitization.reading.source import read_table
    from exchange.messages.assets import SignatureMessage
    from pricing.appraisal import appraise as compute
    from pricing.appraisal import require_signature

    quality, indicators = None, None
    if data is not None:
        with progress_console.status("measuring the quality of the table"):
            quality, indicators = form.quality.measured(read_table(data, Limits()), time.time_ns() // 1000)
    inputs = form.inputs(asset or form.information.get("name", ""), quality, indicators)
    if key is not None:
        signature = _sign(key, inputs.parameters)
        form = form.model_copy(update={"signature": SignatureMessage(**signature)})
    with progress_console.status("computing"):
        report = compute(inputs, form.signed())
    if report.signature is not None:
        require_signature(report, ed25519)
    return report, form


def _put(report: Report, out: Path, lang: Literal["zh", "en"]) -> None:
    from pricing.appraisal import distribution, tornado, words

    files = {"report.txt": words(report, lang) + "\n"}
    if report.spread is not None:
        files |= {"tornado.svg": tornado(report, lang), "distribution.svg": distribution(report, lang)}
    for name, text in files.items():
        _write(out / name, text)
    (out / "report.json").write_bytes(report.canonical)
    names = ", ".join(sorted(["report.json", *files]))
    progress_console.print(f"[green]✓[/] {out}: {names}", soft_wrap=True)
    if report.spread is None:
        progress_console.print("[dim]no pictures: the form names no uncertain figure[/]")


def _sign(path: Path, message: bytes) -> dict[str, str]:
    """The signature of the key in a file, which is made for its owner alone if there is none."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        secret = path.read_bytes()
        if len(secret) != KEY_BYTES or path.stat().st_mode & 0o077:
            raise Misconfigured(
                "appraise.key",
                f"{path} is no private key of an appraiser",
                field="--key",
                rule=f"{KEY_BYTES} bytes that nobody else may read (mode 0600)",
                remedy="name the file that this command made, or a new one",
            ) from None
    else:
        secret = secrets.token_bytes(KEY_BYTES)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        progress_console.print(f"[green]✓[/] {path} is private: keep it, and a copy", soft_wrap=True)
    private = Ed25519PrivateKey.from_private_bytes(secret)
    return {
        "public_key": private.public_key().public_bytes_raw().hex(),
        "signature": private.sign(message).hex(),
    }


def _form(file: Path, members: dict[str, Any]) -> AppraisalMessage:
    from pydantic import ValidationError

    from exchange.messages.assets import AppraisalMessage

    try:
        return AppraisalMessage.model_validate(members)
    except ValidationError as refused:
        first = refused.errors()[0]
        raise Malformed(
            "appraise.form",
            f"{file} is no form of an appraisal: {first['msg']}",
            field=".".join(map(str, first["loc"])),
            rule="the members of docs/appraisal.json, amounts and rates as decimal text",
            remedy="correct the member that is named",
        ) from refused


def _object(file: Path, written: bytes) -> dict[str, Any]:
    try:
        found = json.loads(written)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Malformed(
            "appraise.file",
            f"{file} holds no JSON object",
            field="FILE",
            rule="a form of an appraisal, or a report, as JSON in UTF-8",
            remedy="start from docs/appraisal.json",
        )
    return found


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
