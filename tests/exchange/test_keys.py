"""The exchange's own keys: drawn once, private, whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exchange.errors import Misconfigured
from exchange.keys import NAMES, backup_key, load


def test_keys_are_drawn_once_and_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = load(folder, make=True)
    assert len({made.log, made.mac, made.links}) == 3
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {(folder / f"{name}.key").stat().st_mode & 0o777 for name in (*NAMES, "backup")} == {0o600}
    assert load(folder) == made
    assert load(folder, make=True) == made
    assert load(tmp_path / "others", make=True) != made


def test_a_missing_key_is_drawn_only_when_asked(tmp_path: Path) -> None:
    made = load(tmp_path, make=True)
    (tmp_path / "links.key").unlink()
    with pytest.raises(Misconfigured) as missing:
        load(tmp_path)
    assert missing.value.code == "keys.missing"
    assert "exchange init" in str(missing.value.remedy)
    again = load(tmp_path, make=True)
    assert (again.log, again.mac) == (made.log, made.mac)
    assert again.links != made.links


def test_the_backup_key_is_drawn_where_an_older_exchange_has_none(tmp_path: Path) -> None:
    load(tmp_path, make=True)
    first = backup_key(tmp_path)
    (tmp_path / "backup.key").unlink()
    with pytest.raises(Misconfigured) as missing:
        backup_key(tmp_path)
    assert missing.value.code == "keys.missing"
    assert "exchange keys join" in str(missing.value.remedy)
    made = backup_key(tmp_path, make=True)
    assert made != first
    assert backup_key(tmp_path, make=True) == made


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666, 0o610])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    load(tmp_path, make=True)
    (tmp_path / "mac.key").chmod(mode)
    with pytest.raises(Misconfigured) as open_to_others:
        load(tmp_path)
    assert open_to_others.value.code == "keys.permissions"
    assert "chmod 600" in str(open_to_others.value.remedy)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_length_is_refused(tmp_path: Path, size: int) -> None:
    load(tmp_path, make=True)
    (tmp_path / "log.key").write_bytes(bytes(size))
    with pytest.raises(Misconfigured) as wrong:
        load(tmp_path)
    assert wrong.value.code == "keys.length"


def test_of_processes_that_draw_at_once_all_read_the_same_keys(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda _: load(tmp_path, make=True), range(16)))
    assert len({keys.log + keys.mac + keys.links for keys in drawn}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}.key" for name in (*NAMES, "backup")
    )


def test_no_key_is_ever_printed(tmp_path: Path) -> None:
    made = load(tmp_path, make=True)
    for secret in (made.log, made.mac, made.links):
        assert secret.hex() not in repr(made)
        assert repr(secret) not in repr(made)
    assert made.signer("exchange.example/log").vkey.startswith("exchange.example/log+")
