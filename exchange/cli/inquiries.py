"""Commands of a person's question: asked and read by the person, carried and looked up by the department."""

from __future__ import annotations

import json as jsons
import os
import secrets
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from exchange.cli.connection import (
    DEFAULT_URL,
    IdOption,
    JsonOption,
    KeyOption,
    LangOption,
    RememberOption,
    UrlOption,
    VkeyOption,
    connected,
    console,
    done,
    identified,
    line,
    moment,
    notes,
)
from exchange.errors import Misconfigured

app = typer.Typer(
    help=(
        "Ask whether a record about you is inside, without telling the exchange who you are.\n\n"
        "A person: [bold]ask[/bold], then [bold]read[/bold]. A department: [bold]key[/bold] once, then [bold]fetch[/bold] the "
        "sealed questions, carry them inside, [bold]exchange desensitize look-up[/bold] there, and [bold]answer[/bold]."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
)

QUESTIONS, ANSWERS, ASKED = "inquiry-questions@1", "inquiry-answers@1", "inquiry-asked@1"

FOUND = {
    "yes": ("有您的记录", "a record about you is inside"),
    "no": ("没有您的记录", "no record about you is inside"),
    "cannot_tell": ("无法判断", "it cannot be told"),
}
STATES = {"open": ("待答复", "open"), "answered": ("已答复", "answered")}


def private_file(path: Path, text: str) -> None:
    """Write a file for its owner alone; Misconfigured where there is one already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Misconfigured(
            "inquiry.file",
            f"{path}: {error.strerror}",
            field=str(path),
            rule="what is secret is written to a new file, and replaces none",
            remedy="name a file that does not exist, in a folder that you may write",
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_form(path: Path, form: str) -> dict[str, Any]:
    """A file of one of these forms; Misconfigured where it is another."""
    try:
        said = jsons.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Misconfigured(
            "inquiry.file", f"{path}: {error}", field=str(path), remedy="name the file as it was written"
        ) from error
    if not isinstance(said, dict) or said.get("format") != form:
        raise Misconfigured(
            "inquiry.file",
            f"{path} is no {form}",
            field=str(path),
            rule=f"a file of the form {form}",
            remedy="name the file as it was written",
        )
    return said


def read_key(path: Path) -> bytes:
    """A department's private key."""
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise Misconfigured(
            "inquiry.key", f"{path}: {error}", field="--key", remedy="name the file that `key` wrote"
        ) from error
    if len(key) != 32:
        raise Misconfigured("inquiry.key", f"{len(key)} bytes", field="--key", rule="32 bytes in hex")
    return key


@app.command()
def ask(
    asset: Annotated[str, typer.Argument(help="The asset, as `ast-…`.", metavar="ASSET")],
    who: Annotated[
        Path,
        typer.Argument(
            help='JSON file of what you are known by: {"resident_id": "…", "person_name": "…"}. It is sealed here.',
            exists=True,
            dir_okay=False,
            metavar="WHO",
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="New file for the tracking number and the key that opens the answer.")
    ],
    fingerprint: Annotated[
        str | None,
        typer.Option(
            help="Fingerprint of the department's key, as the department itself shows it: refused if another."
        ),
    ] = None,
    identifier: IdOption = None,
    url: UrlOption = DEFAULT_URL,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Ask a department whether a record about you is in an asset's raw table. Needs no key; nothing leaves in clear.

    By what you are known: person_name, resident_id, mobile, email, passport, person_identifier, bank_card, plate, landline.
    """
    from exchange.desensitization import inquiry as sealing

    try:
        identifiers = jsons.loads(who.read_text(encoding="utf-8"))
        assert isinstance(identifiers, dict)
        identifiers = {str(kind): str(value) for kind, value in identifiers.items()}
    except (ValueError, AssertionError) as error:
        raise Misconfigured(
            "inquiry.identifiers", f"{who}: {error}", field="FILE", rule="a JSON object of texts"
        ) from error
    sealing.check_identifiers(identifiers)
    private = secrets.token_bytes(32)
    identifier = identified(identifier, lang)
    with connected(url, None, vkey, remember, lang, keyed=False) as market:
        key = market.inquiry_key(asset)
        if fingerprint is not None and fingerprint.lower() != key.fingerprint:
            raise Misconfigured(
                "inquiry.fingerprint",
                f"the exchange names a key with the fingerprint {key.fingerprint}",
                field="--fingerprint",
                rule="a question is sealed to the department's own key, or not at all",
                remedy="nothing was sent: ask the department which is its key",
            )
        question = sealing.Question(asset, identifiers, sealing.public_of(private))
        sealed = sealing.seal(question, key.public)
        kept = {"format": ASKED, "asset": asset, "private": private.hex()}
        private_file(out, jsons.dumps(kept))  # before it is sent: an answer that nobody can open helps nobody
        came = market.inquire(asset, key.public, sealed, identifier=identifier)
    out.write_text(
        jsons.dumps({**kept, "inquiry": came.done.outcome["inquiry"], "tracking": came.number}), "utf-8"
    )
    due = moment(int(came.done.outcome["due_us"]))
    if fingerprint is None:
        print_ = notes.print
        print_(
            f"[dim]{'部门公钥指纹' if lang == 'zh' else 'fingerprint of the department'}[/] {key.fingerprint}"
        )
    done(
        came.done,
        f"问询 {came.done.outcome['inquiry']} 已密封送达,{due} 前答复;查询号与解密钥在 {out}",
        f"inquiry {came.done.outcome['inquiry']} is sealed and sent, to be answered before {due}; {out} opens the answer",
        lang,
        json=False,
    )


@app.command()
def read(
    asked: Annotated[
        Path, typer.Argument(help="The file that `ask` wrote.", exists=True, dir_okay=False, metavar="ASKED")
    ],
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Fetch the answer to your question and open it here."""
    from exchange.desensitization import inquiry as sealing

    kept = read_form(asked, ASKED)
    with connected(url, None, vkey, remember, lang, keyed=False) as market:
        found = market.follow_inquiry(kept["tracking"])
    if found.answer is None:
        late = ("(已逾期)" if lang == "zh" else " (overdue)") if found.overdue else ""
        console.print(
            f"{found.inquiry} {STATES[found.state][lang == 'en']}{late} [dim]→ {moment(found.due_us)}[/]"
        )
        return
    reply = sealing.open_reply(found.answer, bytes.fromhex(kept["private"]), found.inquiry)
    if json:
        line({"consequence": reply.consequence, "found": reply.found, "inquiry": reply.inquiry})
        return
    console.print(f"[bold]{FOUND[reply.found][lang == 'en']}[/]")
    console.print(f"  {escape(reply.consequence)}", soft_wrap=True)


@app.command()
def key(
    out: Annotated[Path, typer.Option(help="New file for the private key; it stays inside the department.")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Make the key that questions to your department are sealed to, and name its public half (supplier).

    Keep the key before this one until what was sealed to it is answered.
    """
    from hashlib import sha256

    from exchange.desensitization import inquiry as sealing

    private = secrets.token_bytes(32)
    public = sealing.public_of(private)
    private_file(out, private.hex() + "\n")
    identifier = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.set_inquiry_key(public, identifier=identifier)
    fingerprint = sha256(bytes.fromhex(public)).hexdigest()
    done(
        came,
        f"已公布问询公钥,指纹 {fingerprint},请同时在窗口和官网公示",
        f"the key is named; show its fingerprint at your counter and on your own pages too: {fingerprint}",
        lang,
        json=json,
    )


@app.command()
def fetch(
    out: Annotated[Path, typer.Option(help="File for the sealed questions, to be carried inside.")],
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Fetch the open questions to your department, still sealed (supplier)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = [one for one in market.inquiries() if one.state == "open"]
    questions = [
        {"asset": one.asset, "inquiry": one.inquiry, "public": one.public, "question": one.question}
        for one in found
    ]
    out.write_text(jsons.dumps({"format": QUESTIONS, "questions": questions}, indent=1), "utf-8")
    zh, en = f"{len(found)} 个密封问询已写入 {out}", f"{len(found)} sealed questions in {out}"
    console.print(f"[green]✓[/] {escape(zh if lang == 'zh' else en)}", soft_wrap=True)


@app.command()
def answer(
    answers: Annotated[
        Path,
        typer.Argument(
            help="The file that `exchange desensitize look-up` wrote.",
            exists=True,
            dir_okay=False,
            metavar="FILE",
        ),
    ],
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Send the sealed answers that were made inside; sent again, each counts once (supplier)."""
    said = read_form(answers, ANSWERS)["answers"]
    with connected(url, key_file, vkey, remember, lang) as market:
        for one in said:
            name = one["inquiry"]
            came = market.answer_inquiry(name, one["answer"], identifier=f"answer-{name}")
            done(came, f"{name} 已答复", f"{name} is answered", lang, json=json)


@app.command("list")
def list_(
    overdue: Annotated[
        bool,
        typer.Option("--overdue", help="Only those not answered in time; exit status 1 where there are any."),
    ] = False,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List the questions to your department; for a regulator all that were asked, and whether they were answered."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = [one for one in market.inquiries() if one.overdue or not overdue]
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
            continue
        late = (" [bold red]逾期[/]" if lang == "zh" else " [bold red]overdue[/]") if one.overdue else ""
        state = STATES[one.state][lang == "en"]
        console.print(
            f"{one.inquiry} {one.asset} {state}{late} [dim]→ {moment(one.due_us)}[/]", soft_wrap=True
        )
    if overdue and found:
        raise typer.Exit(1)
