"""Settings: each variable is read once, checked, and refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exchange.errors import Misconfigured
from exchange.settings import Bucket, Settings, store_address

APPLICATION = "postgresql://exchange_app:secret-app@db.example.cn:5432/exchange"
OWNER = "postgresql://exchange_owner:secret-owner@db.example.cn:5432/exchange"


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings(data_dir=Path.cwd() / "var")
    assert settings.database_url is None
    assert (settings.host, settings.port, settings.profile) == ("127.0.0.1", 8000, "cn-venue")
    assert settings.origin == "localhost/data-asset-exchange"


def test_a_sandbox_has_a_log_origin_of_its_own() -> None:
    settings = Settings.from_environment({"EXCHANGE_SANDBOX": "yes"})
    assert settings.sandbox
    assert settings.origin == "localhost/data-asset-exchange/sandbox"


def test_every_variable_is_read(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {
            "EXCHANGE_DATA_DIR": str(tmp_path),
            "EXCHANGE_DATABASE_URL": APPLICATION,
            "EXCHANGE_DATABASE_OWNER_URL": OWNER,
            "EXCHANGE_CHAIN_URL": "http://127.0.0.1:8545",
            "EXCHANGE_HOST": "::1",
            "EXCHANGE_PORT": "0",
            "EXCHANGE_SITE": "https://exchange.example.cn",
            "EXCHANGE_ORIGIN": "exchange.example.cn/log",
            "EXCHANGE_SANDBOX": "FALSE",
            "EXCHANGE_PROFILE": "generic",
        }
    )
    assert settings == Settings(
        data_dir=tmp_path,
        database_url=APPLICATION,
        database_owner_url=OWNER,
        chain_url="http://127.0.0.1:8545",
        host="::1",
        port=0,
        site="https://exchange.example.cn",
        origin="exchange.example.cn/log",
        sandbox=False,
        profile="generic",
    )


BUCKET = {"AWS_ACCESS_KEY_ID": "exchange", "AWS_SECRET_ACCESS_KEY": "a secret of the store"}


def test_backups_go_to_a_directory_or_to_a_bucket_with_the_usual_variables(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {
            "EXCHANGE_BACKUP_TARGET": str(tmp_path / "copies"),
            "EXCHANGE_BACKUP_EVERY_S": "3600",
            "EXCHANGE_BACKUP_KEEP_DAYS": "90",
            "EXCHANGE_PARTY_QUOTA": "500",
        }
    )
    assert settings.backup_target == tmp_path / "copies"
    assert (settings.backup_every_s, settings.backup_keep_days, settings.party_quota) == (3600, 90, 500)
    given = {
        **BUCKET,
        "EXCHANGE_BACKUP_TARGET": "s3://exchange-backup/market/one/",
        "AWS_REGION": "cn-north-1",
        "AWS_ENDPOINT_URL": "https://s3.example.cn/",
    }
    bucket = Settings.from_environment(given).backup_target
    assert bucket == Bucket(
        "exchange-backup",
        "market/one",
        "exchange",
        "a secret of the store",
        region="cn-north-1",
        endpoint="https://s3.example.cn",
    )
    assert str(bucket) == "s3://exchange-backup/market/one"
    assert "a secret" not in repr(bucket)
    local = store_address(
        "--store", "s3://exchange-backup", {**BUCKET, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000"}
    )
    assert isinstance(local, Bucket)
    assert local.endpoint == "http://127.0.0.1:9000"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"EXCHANGE_BACKUP_TARGET": "s3://"}, "EXCHANGE_BACKUP_TARGET"),
        ({"EXCHANGE_BACKUP_TARGET": "s3://UPPER/x"}, "EXCHANGE_BACKUP_TARGET"),
        ({"EXCHANGE_BACKUP_TARGET": "s3://bucket/../x"}, "EXCHANGE_BACKUP_TARGET"),
        ({"AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID"),
        ({"AWS_SECRET_ACCESS_KEY": " "}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ENDPOINT_URL": "http://s3.example.cn"}, "AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "https://user:secret-word@s3.example.cn"}, "AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "s3.example.cn"}, "AWS_ENDPOINT_URL"),
        ({"EXCHANGE_BACKUP_KEEP_DAYS": "0"}, "EXCHANGE_BACKUP_KEEP_DAYS"),
        ({"EXCHANGE_BACKUP_KEEP_DAYS": "forever"}, "EXCHANGE_BACKUP_KEEP_DAYS"),
        ({"EXCHANGE_PARTY_QUOTA": "0"}, "EXCHANGE_PARTY_QUOTA"),
        ({"EXCHANGE_BACKUP_EVERY_S": "0"}, "EXCHANGE_BACKUP_EVERY_S"),
    ],
)
def test_a_store_that_cannot_be_one_is_refused_by_name(given: dict[str, str], named: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        Settings.from_environment({"EXCHANGE_BACKUP_TARGET": "s3://bucket/x", **BUCKET, **given})
    assert caught.value.field == named
    assert "secret" not in caught.value.detail


def test_an_empty_value_counts_as_absent() -> None:
    assert Settings.from_environment({"EXCHANGE_PORT": " ", "EXCHANGE_DATABASE_URL": ""}) == (
        Settings.from_environment({})
    )


def test_a_list_of_hosts_and_a_socket_folder_are_addresses() -> None:
    for url in (
        "postgresql://exchange_app@a.example:5432,b.example:5433/exchange?target_session_attrs=read-write",
        "postgresql://exchange_app@/exchange?host=/run/postgresql",
    ):
        assert Settings.from_environment({"EXCHANGE_DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXCHANGE_DATA_DIR", __file__),
        ("EXCHANGE_DATABASE_URL", "mysql://u:secret@h/d"),
        ("EXCHANGE_DATABASE_URL", "postgresql://h/d"),
        ("EXCHANGE_DATABASE_URL", "postgresql://u:secret@/d"),
        ("EXCHANGE_DATABASE_URL", "postgresql://u:secret@h"),
        ("EXCHANGE_DATABASE_URL", "postgresql://u:secret@[h/d"),
        ("EXCHANGE_CHAIN_URL", "ws://127.0.0.1:8545"),
        ("EXCHANGE_CHAIN_URL", "http://"),
        ("EXCHANGE_HOST", "127.0.0.1:80"),
        ("EXCHANGE_HOST", "-a"),
        ("EXCHANGE_PORT", "65536"),
        ("EXCHANGE_PORT", "-1"),
        ("EXCHANGE_PORT", "八"),
        ("EXCHANGE_PORT", "8e3"),
        ("EXCHANGE_ORIGIN", "an origin"),
        ("EXCHANGE_ORIGIN", "a+b"),
        ("EXCHANGE_ORIGIN", "a\u2028b"),
        ("EXCHANGE_SANDBOX", "maybe"),
        ("EXCHANGE_PROFILE", "cn"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_rule_and_remedy(name: str, value: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        Settings.from_environment({name: value})
    error = caught.value
    assert error.field == name
    assert name in error.detail
    assert error.rule
    assert error.remedy
    assert "secret" not in str(error.problem())


def test_the_owner_needs_an_application_address_and_another_role() -> None:
    with pytest.raises(Misconfigured, match="set alone"):
        Settings.from_environment({"EXCHANGE_DATABASE_OWNER_URL": OWNER})
    with pytest.raises(Misconfigured, match="same role"):
        Settings.from_environment({"EXCHANGE_DATABASE_URL": OWNER, "EXCHANGE_DATABASE_OWNER_URL": OWNER})


def test_the_printed_settings_show_no_password() -> None:
    settings = Settings.from_environment(
        {"EXCHANGE_DATABASE_URL": APPLICATION, "EXCHANGE_DATABASE_OWNER_URL": OWNER}
    )
    assert "secret" not in repr(settings)


def test_a_relative_data_directory_is_fixed_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environment({"EXCHANGE_DATA_DIR": "here"})
    monkeypatch.chdir(os.sep)
    assert settings.data_dir == tmp_path / "here"
    assert settings.keys_dir == tmp_path / "here" / "keys"


@pytest.mark.parametrize(
    ("text", "site"),
    [
        ("https://Exchange.Example.cn/", "https://exchange.example.cn"),
        ("https://exchange.example.cn:443", "https://exchange.example.cn"),
        ("https://exchange.example.cn:8443", "https://exchange.example.cn:8443"),
        ("http://localhost:8000", "http://localhost:8000"),
    ],
)
def test_the_site_of_passkeys_is_an_origin_as_browsers_write_it(text: str, site: str) -> None:
    assert Settings.from_environment({"EXCHANGE_SITE": text}).site == site


@pytest.mark.parametrize(
    "text",
    [
        *(
            "http://exchange.example.cn",
            "https://192.0.2.7",
            "https://[::1]",
            "https://exchange.example.cn/zh",
        ),
        *(
            "exchange.example.cn",
            "https://a@exchange.example.cn",
            "https://",
            "https://x:99999",
            "https://a_b",
        ),
    ],
)
def test_a_site_that_no_passkey_can_belong_to_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        Settings.from_environment({"EXCHANGE_SITE": text})
    assert caught.value.field == "EXCHANGE_SITE"
