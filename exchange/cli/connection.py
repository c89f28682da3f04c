"""What every command over the SDK shares: where the exchange is, whose key it is, the reader's language, and how it ends.

Exit status: 0 done; 1 the exchange said no, on the record or not; 2 the command line or a setting is wrong; 3 no answer came,
and a write may have taken effect: repeat it with the same `--id`; 4 what came does not verify: keep it.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from exchange.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from exchange.client import Done, Exchange

NO, UNKNOWN, UNTRUSTED = 1, 3, 4

console = Console(highlight=False)
notes = Console(stderr=True, highlight=False)
"""What is said beside the answer, so that the answer alone can be piped on."""

Lang = Literal["zh", "en"]

UrlOption = Annotated[str, typer.Option("--url", envvar="EXCHANGE_URL", help="Where the exchange is.")]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        envvar="EXCHANGE_KEY_FILE",
        help="File with your API key; or put the key itself into EXCHANGE_KEY. It is never a word of the command.",
    ),
]
VkeyOption = Annotated[
    str | None,
    typer.Option(
        "--vkey", envvar="EXCHANGE_VKEY", help="The log's key, got elsewhere than from the exchange."
    ),
]
RememberOption = Annotated[
    Path | None,
    typer.Option(
        "--remember",
        envvar="EXCHANGE_REMEMBER",
        help="File that keeps the newest checkpoint seen, so that a log that forked or went back is noticed.",
        dir_okay=False,
    ),
]
LangOption = Annotated[Lang, typer.Option("--lang", help="Language of what is printed.")]
IdOption = Annotated[
    str | None,
    typer.Option("--id", help="Identifier of the request; the same one again gets the first answer again."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line, for programs.")]

DEFAULT_URL = "http://127.0.0.1:8000"

_SPAN = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d)")
_UNITS_US = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MARKET_ZONE = timezone(timedelta(hours=8))


@contextmanager
def connected(
    url: str,
    key_file: Path | None,
    vkey: str | None,
    remember: Path | None,
    lang: Lang,
    *,
    keyed: bool = True,
    timeout_s: float = 60.0,
    signing_key: bytes | None = None,
) -> Iterator[Exchange]:
    """A client for one command; whatever it ends in is told in words, with the exit status of its kind."""
    from exchange.client import ClientError, Exchange

    key = _key(key_file, keyed=keyed)
    try:
        with Exchange(
            url, key, vkey, timeout_s=timeout_s, remember=remember, signing_key=signing_key
        ) as market:
            yield market
    except ClientError as error:
        raise typer.Exit(_told(error, lang)) from error
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    except ValueError as error:
        raise Misconfigured(
            "connection.url", str(error), field="--url", remedy="write http://HOST:PORT"
        ) from error


def _key(file: Path | None, *, keyed: bool) -> str | None:
    """The key, from where no other user of the machine reads it."""
    held = os.environ.get("EXCHANGE_KEY", "").strip()
    if file is None:
        if held or not keyed:
            return held or None
        raise Misconfigured(
            "connection.key",
            "there is no key",
            field="--key-file",
            rule="a key comes from a file or from the environment, never from the command line, which others can read",
            remedy="pass --key-file FILE, or set EXCHANGE_KEY_FILE or EXCHANGE_KEY",
        )
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            notes.print(f"[yellow]![/] {escape(str(file))} can be read by others: chmod 600", soft_wrap=True)
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        raise Misconfigured(
            "connection.key",
            f"{file} cannot be read: {error}",
            field="--key-file",
            rule="a file that holds nothing but the key",
            remedy="name the file that you keep the key in",
        ) from error


def _told(error: Exception, lang: Lang) -> int:
    """Say what a call ended in; returns the exit status."""
    from exchange.client import ExchangeProblem, LogEnded, Refused, Unknown, Unreachable, Untrusted

    zh = lang == "zh"
    match error:
        case Refused():
            on = f"已入日志,第 {error.done.index} 条" if zh else f"on the record, entry {error.done.index}"
            status, head = NO, f"{error.code}: {error.detail} ({on})"
        case ExchangeProblem():
            nothing = "未产生任何效果" if zh else "nothing took effect"
            status, head = NO, f"{error.code}: {error.detail} ({nothing})"
        case Unknown():
            again = (
                f"结果未知;用同一标识重试即可:--id {error.identifier}"
                if zh
                else f"the outcome is unknown; repeat it with --id {error.identifier}, which takes effect once"
            )
            status, head = UNKNOWN, f"{error.detail}; {again}"
        case Unreachable():
            status, head = UNKNOWN, str(error)
        case LogEnded() | Untrusted():
            status, head = UNTRUSTED, str(error)
        case _:
            status, head = UNKNOWN, str(error)
    notes.print(f"[bold red]✗[/] {escape(head)}", soft_wrap=True)
    if isinstance(error, ExchangeProblem):
        for name, text in (
            (("规则" if zh else "rule"), error.rule),
            (("办法" if zh else "remedy"), error.remedy),
        ):
            if text:
                notes.print(f"  [dim]{name}[/]  {escape(text)}", soft_wrap=True)
    return status


def identified(identifier: str | None, lang: Lang) -> str:
    """The identifier of a write, told before it is sent: whoever is cut off repeats the command with it."""
    from exchange.client import Exchange

    name = identifier or Exchange.fresh_identifier()
    notes.print(f"[dim]{'标识' if lang == 'zh' else 'identifier'}[/] {escape(name)}", soft_wrap=True)
    return name


def done(came: Done, zh: str, en: str, lang: Lang, *, json: bool) -> None:
    """Say that a write was done, with its place in the log."""
    if json:
        line(
            {
                "identifier": came.identifier,
                "index": str(came.index),
                "outcome": came.outcome,
                "repeated": came.repeated,
            }
        )
        return
    where = f"日志第 {came.index} 条" if lang == "zh" else f"entry {came.index}"
    again = ("(此前已办理)" if lang == "zh" else " (done before)") if came.repeated else ""
    console.print(f"[green]✓[/] {escape(zh if lang == 'zh' else en)} [dim]{where}{again}[/]", soft_wrap=True)


def line(value: Any) -> None:
    """One JSON object on a line of its own."""
    sys.stdout.write(orjson.dumps(value).decode() + "\n")
    sys.stdout.flush()


def fen_of(yuan: str) -> int:
    """Yuan as people type them, in fen: 12500, 12500.00 or 12,500.00."""
    from pricing.money import parse_fen

    return parse_fen(re.sub(r"(?<=[0-9]),(?=[0-9]{3})", "", yuan))


def yuan(fen: int) -> str:
    """Fen as people read them."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def moment(us: int) -> str:
    """A time of the market's, in China's zone."""
    at = (_EPOCH + timedelta(microseconds=us)).astimezone(MARKET_ZONE)
    return f"{at:%Y-%m-%d %H:%M:%S}"


def span_us(text: str) -> int:
    """A length of time as people type it: 90s, 15m, 2h, 3d."""
    found = _SPAN.fullmatch(text.strip().removeprefix("+"))
    if found is None:
        raise Malformed(
            "span.form",
            f"{text!r} is no length of time",
            field="span",
            rule="a whole number and a unit: s, m, h or d",
            remedy="write 90s, 15m, 2h or 3d",
        )
    return int(found[1]) * _UNITS_US[found[2]]


def instant_us(text: str) -> int:
    """A moment as people type it: a day or a time, in China's zone unless it names another."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed(
            "moment.form",
            f"{text!r} is no moment",
            field="moment",
            rule="RFC 3339: a day, or a day and a time",
            remedy="write 2026-11-27 or 2026-11-27T09:30:00+08:00",
        ) from error
    at = at if at.tzinfo else at.replace(tzinfo=MARKET_ZONE)
    return (at - _EPOCH) // timedelta(microseconds=1)
