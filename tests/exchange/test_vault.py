"""The vault keeps files whole under the digest of their bytes, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from exchange.errors import Malformed, NotFound, TooLarge, Unavailable, Unprocessable
from exchange.objects import opened
from exchange.settings import Bucket, Settings
from exchange.vault import STAGED_LIMIT, Vault

PARTY = "org-1"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def arriving(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def receive(vault: Vault, data: bytes, *, party: str = PARTY, digest: str | None = None) -> int:
    return asyncio.run(vault.receive(party, digest or sha256(data), arriving([data[:3], b"", data[3:]])))


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def test_a_file_is_staged_kept_and_read_back_with_its_bytes(tmp_path: Path) -> None:
    vault, data = Vault(tmp_path), b"a desensitized table"
    assert receive(vault, data) == len(data)
    staged = vault.staged(PARTY, sha256(data))
    assert staged is not None
    assert staged.read_bytes() == data

    vault.keep(PARTY, sha256(data))
    vault.discard(PARTY, sha256(data))
    assert vault.staged(PARTY, sha256(data)) is None
    with vault.at_hand(sha256(data)) as path:
        assert path.read_bytes() == data
    assert len(files(tmp_path)) == 1


def test_every_name_below_the_directory_is_a_digest_and_nobody_else_may_read_a_file(tmp_path: Path) -> None:
    vault, data = Vault(tmp_path), b"rows"
    receive(vault, data, party="../../etc")
    vault.keep("../../etc", sha256(data))
    for path in tmp_path.rglob("*"):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected
    for path in files(tmp_path):
        assert path.name == sha256(data)
        assert path.parent.name in {sha256(b"../../etc"), sha256(data)[:2]}


@pytest.mark.parametrize("name", ["", "..", "a" * 63, "A" * 64, "../" + "a" * 61, "a" * 64 + "\n", "g" * 64])
def test_a_name_that_is_no_digest_is_refused_by_every_call(tmp_path: Path, name: str) -> None:
    vault = Vault(tmp_path)
    for call in (
        lambda: receive(vault, b"x", digest=name) if name else vault.open(name),
        lambda: vault.staged(PARTY, name),
        lambda: vault.keep(PARTY, name),
        lambda: vault.discard(PARTY, name),
        lambda: vault.open(name),
    ):
        with pytest.raises(Malformed):
            call()
    assert files(tmp_path) == []


def test_bytes_that_hash_to_another_digest_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(Unprocessable) as refused:
        receive(Vault(tmp_path), b"rows", digest=sha256(b"other rows"))
    assert refused.value.code == "upload.digest"
    assert files(tmp_path) == []


def test_a_file_over_the_limit_is_cut_off_while_it_arrives(tmp_path: Path) -> None:
    taken = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            taken.append(1)
            yield bytes(10)

    with pytest.raises(TooLarge):
        asyncio.run(Vault(tmp_path, limit_bytes=35).receive(PARTY, sha256(b""), endless()))
    assert len(taken) == 4
    assert files(tmp_path) == []
    assert receive(Vault(tmp_path, limit_bytes=35), bytes(35)) == 35


def test_a_sender_who_goes_away_leaves_nothing_behind(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half of the"
        raise ConnectionResetError

    with pytest.raises((ConnectionResetError, Unavailable)):
        asyncio.run(Vault(tmp_path).receive(PARTY, sha256(b"half of the rows"), broken()))
    assert files(tmp_path) == []


def test_one_party_neither_sees_nor_deletes_what_another_has_staged(tmp_path: Path) -> None:
    vault, data = Vault(tmp_path), b"rows"
    receive(vault, data)
    assert vault.staged("org-2", sha256(data)) is None
    vault.discard("org-2", sha256(data))
    with pytest.raises(NotFound):
        vault.keep("org-2", sha256(data))
    assert vault.staged(PARTY, sha256(data)) is not None


def test_files_that_wait_are_bounded_and_the_first_gives_way(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    for n in range(STAGED_LIMIT + 2):
        receive(vault, b"%d" % n)
        staged = vault.staged(PARTY, sha256(b"%d" % n))
        assert staged is not None
        os.utime(staged, ns=(n, n))
    waiting = [n for n in range(STAGED_LIMIT + 2) if vault.staged(PARTY, sha256(b"%d" % n))]
    assert waiting == list(range(2, STAGED_LIMIT + 2))


def test_a_product_is_written_once_and_a_changed_one_is_never_served(tmp_path: Path) -> None:
    vault, data = Vault(tmp_path), b"rows"
    for _ in range(2):
        receive(vault, data)
        vault.keep(PARTY, sha256(data))
        vault.discard(PARTY, sha256(data))
    with vault.at_hand(sha256(data)) as product:
        product.write_bytes(b"rowz")
    with pytest.raises(Unavailable) as refused:
        vault.open(sha256(data))
    assert refused.value.code == "vault.changed"


def test_a_staged_file_that_was_changed_never_becomes_a_product(tmp_path: Path) -> None:
    vault, data = Vault(tmp_path), b"rows"
    receive(vault, data)
    staged = vault.staged(PARTY, sha256(data))
    assert staged is not None
    staged.write_bytes(b"rowz")
    with pytest.raises(Unavailable):
        vault.keep(PARTY, sha256(data))
    with pytest.raises(NotFound):
        vault.open(sha256(data))


def test_a_file_that_is_not_here_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Vault(tmp_path).open(sha256(b"nothing"))


@given(pieces=st.lists(st.binary(max_size=40), max_size=8))
def test_whatever_the_pieces_the_file_is_their_sum(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    vault, data = Vault(tmp_path_factory.mktemp("vault")), b"".join(pieces)
    assert asyncio.run(vault.receive(PARTY, sha256(data), arriving(pieces))) == len(data)
    staged = vault.staged(PARTY, sha256(data))
    assert staged is not None
    assert staged.read_bytes() == data


@pytest.fixture(scope="module")
def bucket() -> Iterator[Callable[[str], Bucket]]:
    """An S3-compatible server of its own on 127.0.0.1, and places in it by prefix."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    httpx.put(f"{endpoint}/products", timeout=120)  # the first request loads all that the server can do
    environ = {
        "AWS_ACCESS_KEY_ID": "exchange",
        "AWS_SECRET_ACCESS_KEY": "a secret of the store",
        "AWS_ENDPOINT_URL": endpoint,
    }

    def place(prefix: str) -> Bucket:
        given = {**environ, "EXCHANGE_PRODUCTS_TARGET": f"s3://products/{prefix}"}
        target = Settings.from_environment(given).products_target
        assert target is not None
        return target

    yield place
    server.stop()


def test_products_lie_in_a_bucket_as_in_a_directory(tmp_path: Path, bucket: Callable[[str], Bucket]) -> None:
    place = bucket("market")
    vault, data = Vault(tmp_path, products=place), b"PAR1" + b"rows" * 1000
    receive(vault, data)
    for _ in range(2):
        vault.keep(PARTY, sha256(data))
    vault.discard(PARTY, sha256(data))
    assert files(tmp_path) == []
    product = Vault(tmp_path / "another process", products=place).open(sha256(data))
    assert (product.size_bytes, product.suffix) == (len(data), ".parquet")
    assert asyncio.run(product.read(4, 12)) == b"rowsrows"
    with vault.at_hand(sha256(data)) as path:
        assert path.read_bytes() == data
    assert files(tmp_path) == []
    with pytest.raises(NotFound):
        vault.open(sha256(b"nothing"))


def test_an_object_that_was_changed_in_the_bucket_is_never_served(
    tmp_path: Path, bucket: Callable[[str], Bucket]
) -> None:
    place = bucket("changed")
    vault, data = Vault(tmp_path, products=place), b"rows"
    receive(vault, data)
    vault.keep(PARTY, sha256(data))
    vault.open(sha256(data)).close()
    obstore.put(opened(place), f"{sha256(data)[:2]}/{sha256(data)}", b"rowz")
    with pytest.raises(Unavailable) as refused:
        vault.open(sha256(data))
    assert refused.value.code == "vault.changed"


def test_a_bucket_that_is_not_there_says_so_and_names_what_to_look_at(
    tmp_path: Path, bucket: Callable[[str], Bucket]
) -> None:
    gone = replace(bucket("market"), name="no-such-bucket")
    vault = Vault(tmp_path, products=gone)
    receive(vault, b"rows")
    with pytest.raises(Unavailable) as refused:
        vault.keep(PARTY, sha256(b"rows"))
    assert (refused.value.code, refused.value.status) == ("vault.bucket", 503)
    assert "EXCHANGE_PRODUCTS_TARGET" in str(refused.value.remedy)
    assert "a secret of the store" not in f"{refused.value.detail}"
