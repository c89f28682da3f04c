"""The settings of one exchange, and the only reader of the environment."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

from exchange.errors import Misconfigured

Profile = Literal["cn-venue", "generic"]

DEFAULT_ORIGIN: Final = "localhost/data-asset-exchange"
_HOST_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_BUCKET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})

MEANINGS: Final[Mapping[str, str]] = {
    "data_dir": "everything that lives on this machine: database, keys, product files",
    "database_url": "a PostgreSQL cluster instead of one of our own, as the application's role",
    "database_owner_url": "the same database as the role that owns the schema, for migrations",
    "database_synchronous": "nothing is signed before a synchronous standby of that cluster confirmed it",
    "chain_url": "JSON-RPC address of the EVM chain on which checkpoints are anchored",
    "anchor_every_s": "seconds from one anchor to the next",
    "anchor_every_entries": "entries after which a checkpoint is anchored before that time",
    "anchor_confirmations": "blocks under which an anchor counts as final, its own included",
    "anchor_price_limit_gwei": "what a unit of gas may cost at most, in the billionth part of the chain's coin",
    "witnesses": "policy file (c2sp.org/tlog-policy) that names the log's witnesses with their addresses",
    "witness_every_s": "seconds from one question to the witnesses to the next",
    "host": "address to listen on",
    "port": "port to listen on",
    "site": "where browsers open the console, https://NAME; passkeys belong to it. Without: http://localhost, this machine alone",
    "origin": "name of the log in every checkpoint; changes only with `exchange succeed`",
    "sandbox": "a market whose clock can be moved; its log says so in its first entry",
    "profile": "rulebook profile: cn-venue or generic",
    "crash_at": "for drills: the named point at which this process kills itself",
    "backup_target": "store that takes backups: a directory, or s3://BUCKET/PREFIX",
    "products_target": "bucket that takes accepted products, s3://BUCKET/PREFIX; the data directory without",
    "backup_every_s": "seconds from one backup to the next; every 28th is a full one",
    "backup_keep_days": "days back to which every moment can be restored",
    "webhook_loopback": "a sandbox may send webhooks to http://127.0.0.1, which production never does",
    "party_quota": "requests that one party may send to one process in ten seconds; of a batch each bid is one",
}
"""What each setting means, for whoever sets it."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A place in an S3-compatible store, and what logs in there: from the usual AWS_… variables."""

    name: str
    prefix: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str = "us-east-1"
    endpoint: str | None = None

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}".rstrip("/")


@dataclass(frozen=True, slots=True)
class Settings:
    """All that an operator decides outside the rulebook; each field is one `EXCHANGE_…` variable.

    `database_url` is None when the exchange runs a PostgreSQL of its own below `data_dir`; otherwise it
    names the application's role, and `database_owner_url` the role that owns the schema, without which
    migrations are refused. `origin` is the name of the log in every checkpoint and can never change for
    a log that exists; a sandbox has its own.
    """

    data_dir: Path
    database_url: str | None = field(default=None, repr=False)  # carries a password
    database_owner_url: str | None = field(default=None, repr=False)  # carries a password
    database_synchronous: bool = False
    chain_url: str | None = field(default=None, repr=False)  # may carry a node provider's key
    anchor_every_s: int = 600
    anchor_every_entries: int = 1_000_000
    anchor_confirmations: int = 64
    anchor_price_limit_gwei: int = 200
    witnesses: Path | None = None
    witness_every_s: int = 10
    host: str = "127.0.0.1"
    port: int = 8000
    site: str | None = None
    origin: str = DEFAULT_ORIGIN
    sandbox: bool = False
    profile: Profile = "cn-venue"
    crash_at: str | None = None  # for drills: a named point at which this process kills itself
    backup_target: Path | Bucket | None = None
    products_target: Bucket | None = None
    backup_every_s: int = 21_600
    backup_keep_days: int = 30
    party_quota: int = 20_000
    webhook_loopback: bool = False

    @property
    def keys_dir(self) -> Path:
        """Private keys: mode 0700, never part of a database backup."""
        return self.data_dir / "keys"

    @property
    def vault_dir(self) -> Path:
        """Product files, named by their digests."""
        return self.data_dir / "vault"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check every variable; an empty value counts as absent.

        Raises `Misconfigured` naming the first variable that breaks its rule. The message never repeats
        a password.
        """

        def read(name: str, parse: Callable[[str, str], T], default: T) -> T:
            text = environ.get(name, "").strip()
            return parse(name, text) if text else default

        sandbox = read("EXCHANGE_SANDBOX", _boolean, False)
        webhook_loopback = read("EXCHANGE_WEBHOOK_LOOPBACK", _boolean, False)
        if webhook_loopback and not sandbox:
            raise _refuse(
                "EXCHANGE_WEBHOOK_LOOPBACK",
                "is set outside a sandbox",
                "belongs to a sandbox: production calls nobody inside its own walls",
                "leave it out, or set EXCHANGE_SANDBOX to 1",
            )
        database_url = read("EXCHANGE_DATABASE_URL", _database_url, None)
        database_owner_url = read("EXCHANGE_DATABASE_OWNER_URL", _database_url, None)
        if database_owner_url is not None:
            _check_roles(database_url, database_owner_url)
        database_synchronous = read("EXCHANGE_DATABASE_SYNCHRONOUS", _boolean, False)
        if database_synchronous and database_url is None:
            raise _refuse(
                "EXCHANGE_DATABASE_SYNCHRONOUS",
                "is set without a cluster",
                "belongs to EXCHANGE_DATABASE_URL, because a PostgreSQL of the exchange's own has no standby",
                "set EXCHANGE_DATABASE_URL to a cluster, which `exchange cluster init` configures, or leave both out",
            )
        return cls(
            data_dir=read("EXCHANGE_DATA_DIR", _directory, Path("var")).absolute(),
            database_url=database_url,
            database_owner_url=database_owner_url,
            database_synchronous=database_synchronous,
            chain_url=read("EXCHANGE_CHAIN_URL", _chain_url, None),
            anchor_every_s=read("EXCHANGE_ANCHOR_EVERY_S", _seconds, 600),
            anchor_every_entries=read("EXCHANGE_ANCHOR_EVERY_ENTRIES", _count, 1_000_000),
            anchor_confirmations=read("EXCHANGE_ANCHOR_CONFIRMATIONS", _count, 64),
            anchor_price_limit_gwei=read("EXCHANGE_ANCHOR_PRICE_LIMIT_GWEI", _count, 200),
            witnesses=read("EXCHANGE_WITNESSES", _file, None),
            witness_every_s=read("EXCHANGE_WITNESS_EVERY_S", _seconds, 10),
            host=read("EXCHANGE_HOST", _host, "127.0.0.1"),
            port=read("EXCHANGE_PORT", _port, 8000),
            site=read("EXCHANGE_SITE", _site, None),
            origin=read(
                "EXCHANGE_ORIGIN", log_name, f"{DEFAULT_ORIGIN}/sandbox" if sandbox else DEFAULT_ORIGIN
            ),
            sandbox=sandbox,
            profile=read("EXCHANGE_PROFILE", _profile, "cn-venue"),
            crash_at=read("EXCHANGE_CRASH_AT", lambda _, text: text, None),
            backup_target=read(
                "EXCHANGE_BACKUP_TARGET", lambda name, text: store_address(name, text, environ), None
            ),
            products_target=read(
                "EXCHANGE_PRODUCTS_TARGET", lambda name, text: _bucket_address(name, text, environ), None
            ),
            backup_every_s=read("EXCHANGE_BACKUP_EVERY_S", _seconds, 21_600),
            backup_keep_days=read("EXCHANGE_BACKUP_KEEP_DAYS", _days, 30),
            party_quota=read("EXCHANGE_PARTY_QUOTA", _count, 20_000),
            webhook_loopback=webhook_loopback,
        )


def _refuse(name: str, problem: str, rule: str, remedy: str) -> Misconfigured:
    return Misconfigured(
        "settings.invalid", f"{name} {problem}: it {rule}", field=name, rule=rule, remedy=remedy
    )


def _directory(name: str, text: str) -> Path:
    path = Path(text).expanduser()
    if "\0" in text or (path.exists() and not path.is_dir()):
        raise _refuse(
            name,
            f"is {text!r}",
            "has to name a directory, which is made when it is missing",
            f"set {name} to a directory, or leave it out for ./var",
        )
    return path


def _file(name: str, text: str) -> Path | None:
    path = Path(text).expanduser()
    if "\0" in text or not path.is_file():
        raise _refuse(
            name, f"is {text!r}", "has to name a file that is there", f"correct {name}, or leave it out"
        )
    return path.absolute()


def _seconds(name: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= 86_400 or len(text) > 9:
        raise _refuse(
            name, f"is {text!r}", "has to be 1 to 86400 seconds", f"set {name} to 600, or leave it out"
        )
    return int(text)


def _count(name: str, text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) >= 1:
        return int(text)
    raise _refuse(name, f"is {text!r}", "has to be 1 to 999999999", f"correct {name}, or leave it out")


def _days(name: str, text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) >= 1:
        return int(text)
    raise _refuse(name, f"is {text!r}", "has to be 1 to 99999 days", f"set {name} to 30, or leave it out")


def _bucket_address(name: str, text: str, environ: Mapping[str, str]) -> Bucket:
    address = store_address(name, text, environ)
    if isinstance(address, Bucket):
        return address
    raise _refuse(
        name,
        f"is {text!r}",
        "has to name a bucket and a prefix",
        f"set {name} to an address such as s3://exchange-products/market, or leave it out: products lie in the data directory then",
    )


def store_address(name: str, text: str, environ: Mapping[str, str]) -> Path | Bucket:
    """Read where backups go: a directory, or `s3://BUCKET/PREFIX` with what `environ` says of the store.

    Raises `Misconfigured` naming `name` or the AWS_… variable that breaks its rule.
    """
    if not text.startswith("s3://"):
        return _directory(name, text).absolute()
    bucket, _, prefix = text.removeprefix("s3://").partition("/")
    if not _BUCKET_NAME.fullmatch(bucket) or not text.isprintable() or ".." in text or "//" in prefix:
        raise _refuse(
            name,
            f"is {text!r}",
            "has to name a directory, or a bucket and a prefix",
            f"set {name} to a directory or to an address such as s3://exchange-backup/market",
        )

    def given(*variables: str) -> str | None:
        return next((value for v in variables if (value := environ.get(v, "").strip())), None)

    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        if given(variable) is None:
            raise _refuse(
                variable,
                "is not set",
                "belongs to an s3:// address",
                f"set {variable} to what the store gave you for this exchange",
            )
    return Bucket(
        name=bucket,
        prefix=prefix.strip("/"),
        access_key_id=given("AWS_ACCESS_KEY_ID") or "",
        secret_access_key=given("AWS_SECRET_ACCESS_KEY") or "",
        session_token=given("AWS_SESSION_TOKEN"),
        region=given("AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1",
        endpoint=_endpoint(given("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")),
    )


def _endpoint(text: str | None) -> str | None:
    if text is None:
        return None
    name, rule = "AWS_ENDPOINT_URL", "has to be an https address; http is for a store on 127.0.0.1 alone"
    remedy = f"set {name} to an address such as https://s3.example.cn"
    parts = _split(name, text, rule, remedy)
    local = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    if (
        not parts.hostname
        or parts.username
        or not (parts.scheme == "https" or (parts.scheme == "http" and local))
    ):
        raise _refuse(name, f"has the scheme {parts.scheme!r} and the host {parts.hostname!r}", rule, remedy)
    return text.rstrip("/")


def _split(name: str, text: str, rule: str, remedy: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError as error:
        # The address is not repeated: it may hold a password.
        raise _refuse(name, "cannot be read as an address", rule, remedy) from error


def _database_url(name: str, text: str) -> str:
    rule = "has to be a PostgreSQL address with a user, a host and a database"
    remedy = f"set {name} to postgresql://USER:PASSWORD@HOST:5432/DATABASE"
    parts = _split(name, text, rule, remedy)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise _refuse(name, f"has the scheme {parts.scheme!r}", rule, remedy)
    # A list of hosts (`a:5432,b:5432`) is libpq's to read, so hosts and ports are not taken apart here.
    credentials, _, hosts = parts.netloc.rpartition("@")
    missing = [
        word
        for word, present in (
            ("user", credentials.partition(":")[0]),
            ("host", hosts or "host=" in parts.query),
            ("database", parts.path.strip("/")),
        )
        if not present
    ]
    if missing:
        raise _refuse(name, f"names no {' and no '.join(missing)}", rule, remedy)
    return text


def _check_roles(database_url: str | None, owner_url: str) -> None:
    name = "EXCHANGE_DATABASE_OWNER_URL"
    if database_url is None:
        raise _refuse(
            name,
            "is set alone",
            "belongs to EXCHANGE_DATABASE_URL",
            "set EXCHANGE_DATABASE_URL too, or neither for a PostgreSQL of the exchange's own",
        )
    application, owner = urlsplit(database_url), urlsplit(owner_url)
    if application.username == owner.username:
        raise _refuse(
            name,
            f"names the same role {owner.username!r} as EXCHANGE_DATABASE_URL",
            "has to name another role, because the application's role owns nothing",
            "make two roles: one that owns the database, one that may only log in",
        )


def _chain_url(name: str, text: str) -> str:
    rule = "has to be the http or https address of an Ethereum JSON-RPC node"
    remedy = f"set {name} to an address such as http://127.0.0.1:8545, or leave it out"
    parts = _split(name, text, rule, remedy)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise _refuse(name, f"has the scheme {parts.scheme!r}", rule, remedy)
    return text


def _host(name: str, text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if _HOST_NAME.fullmatch(text) and len(text) <= 253:
            return text
    raise _refuse(
        name,
        f"is {text!r}",
        "has to be an IP address or a host name, without a port",
        f"set {name} to 127.0.0.1 (this machine only) or 0.0.0.0 (all networks)",
    )


def _port(name: str, text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) <= 65535:
        return int(text)
    raise _refuse(
        name,
        f"is {text!r}",
        "has to be a whole number from 0 to 65535, 0 for any free port",
        f"set {name} to 8000, or leave it out",
    )


def _site(name: str, text: str) -> str:
    """An origin as browsers write it (RFC 6454 §6.2): in small letters, without the scheme's own port."""
    rule = "has to be https://NAME, where NAME is a host name and no address of numbers, which no passkey can belong to"
    remedy = f"set {name} to an address such as https://exchange.example.cn, without a path"
    parts = _split(name, text.lower().rstrip("/"), rule, remedy)
    host = parts.hostname or ""
    try:
        port = parts.port
    except ValueError as error:
        raise _refuse(name, f"is {text!r}", rule, remedy) from error
    own_port = {"https": 443, "http": 80}.get(parts.scheme)
    if (
        own_port is None
        or (parts.scheme == "http" and host != "localhost")
        or not _HOST_NAME.fullmatch(host)
        or re.fullmatch(r"[0-9.]+", host)
        or parts.netloc not in {host, f"{host}:{port}"}
        or parts.path + parts.query + parts.fragment
    ):
        raise _refuse(name, f"is {text!r}", rule, remedy)
    return f"{parts.scheme}://{host}" + ("" if port in {None, own_port} else f":{port}")


def log_name(name: str, text: str) -> str:
    """The origin of a log, which is also the name of the key that signs (C2SP tlog-checkpoint and signed-note).

    Misconfigured, naming the setting `name`, where it cannot be one.
    """
    if len(text) <= 200 and text.isprintable() and not any(c.isspace() or c == "+" for c in text):
        return text
    raise _refuse(
        name,
        f"is {text!r}",
        "has to be at most 200 printable characters without spaces or plus signs",
        f"set {name} to a name you own without a scheme, such as exchange.example.cn/log",
    )


def _boolean(name: str, text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise _refuse(name, f"is {text!r}", "has to be true or false", f"set {name} to true or false")


def _profile(name: str, text: str) -> Profile:
    if text == "cn-venue":
        return "cn-venue"
    if text == "generic":
        return "generic"
    raise _refuse(
        name,
        f"is {text!r}",
        "has to name a profile of the rulebook",
        f"set {name} to cn-venue or generic",
    )
