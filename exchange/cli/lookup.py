"""The department's command for a person's question: open it inside, look it up in the raw table, seal the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from exchange.cli.inquiries import ANSWERS, QUESTIONS, private_file, read_form, read_key
from exchange.errors import Malformed

console = Console(highlight=False)
progress_console = Console(stderr=True, highlight=False)


def look_up(
    questions: Annotated[
        Path,
        typer.Argument(help="The file that `exchange inquiries fetch` wrote.", exists=True, dir_okay=False),
    ],
    raw: Annotated[Path, typer.Argument(help="The asset's raw table, as for scan.", exists=True)],
    asset: Annotated[str, typer.Option(help="Which asset the table is of, as `ast-…`.")],
    key: Annotated[
        Path,
        typer.Option(help="Your private key, from `exchange inquiries key`.", exists=True, dir_okay=False),
    ],
    column: Annotated[
        list[str],
        typer.Option(
            help="Which column is of which kind, as KIND=COLUMN: resident_id=身份证号. May be repeated."
        ),
    ],
    out: Annotated[Path, typer.Option(help="New file for the sealed answers: they alone leave.")],
    checked: Annotated[
        list[str] | None,
        typer.Option(help="Inquiry whose asker showed at your counter who they are. May be repeated."),
    ] = None,
    not_shown: Annotated[
        list[str] | None,
        typer.Option(
            help="Inquiry whose asker did not: answered with what is to be brought. May be repeated."
        ),
    ] = None,
    lang: Annotated[str, typer.Option("--lang", help="Language of what is printed: zh or en.")] = "en",
) -> None:
    """Answer people's questions from the raw table, inside: yes, no or cannot tell, sealed to whoever asked.

    Nobody learns of another: only an inquiry whose asker's identity was checked is looked up; one that is named neither way waits.
    """
    from exchange.desensitization import inquiry as sealing
    from exchange.desensitization.reading.limits import inside
    from exchange.desensitization.reading.source import read_batches, table_bytes

    private = read_key(key)
    public = sealing.public_of(private)
    columns = dict(_named(one) for one in column)
    looked, told = set(checked or ()), set(not_shown or ())
    asked = {
        one["inquiry"]: sealing.open_question(one["question"], private)
        for one in read_form(questions, QUESTIONS)["questions"]
        if one["asset"] == asset and one["public"] == public and one["inquiry"] in looked | told
    }
    if missing := sorted((looked | told) - asked.keys()):
        raise Malformed(
            "inquiry.unknown",
            f"{', '.join(missing)} not among the questions",
            field="--checked",
            rule="an inquiry about this asset, sealed to this key",
            remedy="fetch the questions again, or use the key from before",
        )
    schema, batches = read_batches(raw, inside(table_bytes(raw)))
    if absent := [one for one in columns.values() if one not in schema.names]:
        raise Malformed(
            "inquiry.column",
            f"no column {', '.join(absent)}",
            field="--column",
            rule=f"one of {', '.join(schema.names)}",
            remedy="name the columns as the raw table does",
        )
    names = [name for name in asked if name in looked]
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed} rows"),
        TimeElapsedColumn(),
        console=progress_console,
        transient=True,
    ) as bars:
        task = bars.add_task("looking up", total=None)
        found = dict(
            zip(
                names,
                sealing.look_up(
                    [asked[name].identifiers for name in names],
                    columns,
                    batches,
                    lambda rows: bars.advance(task, rows),
                ),
                strict=True,
            )
        )
    answers = []
    for name, question in asked.items():
        answer = found.get(name, "cannot_tell")
        reply = sealing.Reply(name, asset, answer, sealing.CONSEQUENCES[answer])
        answers.append({"answer": sealing.seal(reply, question.reply_to), "inquiry": name})
    private_file(out, json.dumps({"format": ANSWERS, "answers": answers}, indent=1))
    zh, en = f"{len(answers)} 个密封答复已写入 {out}", f"{len(answers)} sealed answers in {out}"
    console.print(f"[green]✓[/] {escape(zh if lang == 'zh' else en)}", soft_wrap=True)


def _named(said: str) -> tuple[str, str]:
    from exchange.desensitization.inquiry import IDENTIFIERS

    kind, equals, name = said.partition("=")
    if not equals or not name or kind not in IDENTIFIERS:
        raise Malformed(
            "inquiry.column",
            said,
            field="--column",
            rule=f"KIND=COLUMN, of the kinds {', '.join(IDENTIFIERS)}",
            remedy="write resident_id=身份证号, say",
        )
    return kind, name
