"""The scene of the benchmarks of the catalogue: markets that differ in nothing but how many assets are registered."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psycopg
from _bids import process, venue_code  # type: ignore[import-not-found]  # beside this script

from exchange.credentials import key_digest
from exchange.embedded import OWNER, Postgres
from exchange.tables import Asset
from exchange.taxonomy import KINDS, THEMES

SMALL, LARGE = 5_600, 300_000
"""Datasets of one city, and those registered nationally (DOMAIN S39-S41)."""
SUPPLIERS = 100
BATCH = 20_000
SECRET = "secret-of-the-benchmark"

PLACES = (
    "越秀区",
    "海珠区",
    "荔湾区",
    "天河区",
    "白云区",
    "黄埔区",
    "番禺区",
    "花都区",
    "南沙区",
    "从化区",
    "增城区",
    "福田区",
    "罗湖区",
    "南山区",
    "宝安区",
    "龙岗区",
)
SUBJECTS = (
    "企业登记",
    "个体工商户",
    "社会组织",
    "行政许可",
    "行政处罚",
    "信用评价",
    "住院病人",
    "门诊挂号",
    "药品采购",
    "疫苗接种",
    "医疗机构",
    "公交客流",
    "地铁进出站",
    "出租汽车",
    "共享单车",
    "道路拥堵",
    "停车泊位",
    "高速公路",
    "航班起降",
    "港口吞吐",
    "城市内涝",
    "热线工单",
    "垃圾分类",
    "路灯照明",
    "违章建筑",
    "公园绿地",
    "自来水水质",
    "污水处理",
    "中小学校",
    "幼儿园",
    "高等院校",
    "教师资格",
    "学位分布",
    "图书馆藏",
    "空气质量",
    "气象观测",
    "台风路径",
    "降水量",
    "河流水位",
    "不动产登记",
    "土地出让",
    "房屋租赁",
    "人口普查",
    "就业服务",
    "社会保险",
    "养老机构",
    "残疾人服务",
    "低保救助",
    "工业用电",
    "天然气",
    "财政收支",
    "税收收入",
    "固定资产投资",
    "进出口贸易",
    "农产品价格",
    "海洋渔业",
    "森林资源",
    "地质灾害",
    "食品抽检",
    "特种设备",
)
FORMS = ("统计", "明细", "月报", "目录", "指数", "接口", "台账", "汇总", "预测", "清单")
ENGLISH = ("visits", "permits", "flights", "sensors", "prices", "schools", "budgets", "licences")
KIND = tuple(KINDS)
THEME = tuple(THEMES)


def asset(number: int, chance: random.Random) -> Asset:
    """The `number`-th asset: a title and a summary as departments write them, on one of a department's few shelves."""
    supplier = number % SUPPLIERS
    kind = KIND[supplier % len(KIND)]
    opening = chance.choice(("open", "conditional", "conditional", "closed"))
    subject, form = chance.choice(SUBJECTS), chance.choice(FORMS)
    place, year = chance.choice(PLACES), 2012 + chance.randrange(15)
    made = Asset(
        id=f"ast-{number:016x}",
        supplier=f"org-{supplier}",
        operator=None,
        title=f"{place}{subject}{form}({year}年)",
        summary=f"{year}年{place}{subject}的{form},每月更新,{chance.choice(ENGLISH)} of the district, {chance.choice(SUBJECTS)}相关",
        kind=kind,
        theme=chance.choice((THEME[supplier % len(THEME)], THEME[(supplier + 3) % len(THEME)])),
        code=f"DA-2026-{KINDS[kind].letters}-{number:08x}",
        grade="general" if chance.random() < 0.95 else "important",
        state="registered",
        evidence={"desensitization": "1"},
        opening_declared=opening,
        opening=opening,
        opening_reason="",
        purposes=[],
        qualified=False,
        update_days=chance.choice((None, 30, 30, 365)),
        updated_us=1_790_000_000_000_000,
        stale=chance.random() < 0.1,
        log_index=number,
    )
    made.words = made.found_by()
    return made


@dataclass(frozen=True)
class Market:
    """A market with so many registered assets on a PostgreSQL of its own; `environ` is what serves it."""

    assets: int
    postgres: Postgres
    environ: dict[str, str] = field(repr=False)

    @contextmanager
    def serving(self, *words: str) -> Iterator[int]:
        """The port of a process that serves it."""
        with process("-m", "exchange", "serve", "--port", "0", *words, environ=self.environ) as port:
            yield port


@contextmanager
def market(assets: int) -> Iterator[Market]:
    """A new market, gone at the end: written straight into the tables, analyzed, durable as in production."""
    with tempfile.TemporaryDirectory(prefix="bench-catalogue-") as folder:
        os.chmod(folder, 0o711)
        environ = {
            **os.environ,
            "EXCHANGE_DATA_DIR": folder,
            "EXCHANGE_SANDBOX": "1",
            "EXCHANGE_PARTY_QUOTA": "999999999",
        }
        subprocess.run(
            [sys.executable, "-m", "exchange", "init", "--uscc", venue_code(), "--name", "venue", "--administrator", "one"],
            env=environ, check=True, capture_output=True,
        )  # fmt: skip
        with Postgres.start(Path(folder)) as postgres:
            with psycopg.connect(postgres.url(OWNER)) as connection:
                furnish(connection, assets)
            with psycopg.connect(postgres.url(OWNER), autocommit=True) as connection:
                connection.execute("VACUUM (ANALYZE)")
            environ |= {
                "EXCHANGE_DATABASE_URL": postgres.app_url,
                "EXCHANGE_DATABASE_OWNER_URL": postgres.owner_url,
            }
            yield Market(assets, postgres, environ)


def furnish(connection: psycopg.Connection[Any], assets: int) -> None:
    """Suppliers, each with a key under `SECRET`-N, their assets, and an offer of every other one."""
    for n in range(SUPPLIERS):
        fill(
            connection,
            "party",
            id=f"org-{n}",
            uscc=f"code-{n}",
            name=f"第{n}局",
            roles=["supplier"],
            state="active",
        )
        fill(connection, "person", id=f"per-{n}", party=f"org-{n}", name="name", state="active")
        fill(connection, "api_key", digest=key_digest(f"{SECRET}-{n}"), person=f"per-{n}", label="key")
    chance = random.Random(1)
    # Each asset is entered once, with its offer, by the very function that the triggers call.
    for table in ("asset", "listing"):
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    for first in range(0, assets, BATCH):
        upto = min(first + BATCH, assets)
        copy_assets(connection, list(Asset.model_fields), [asset(n, chance) for n in range(first, upto)])
        connection.execute(
            'INSERT INTO listing (id, asset, seller, mode, "grant", reason, term_days, licences, remaining, price_fen, state,'
            " log_index, contract, terms, terms_digest) SELECT 'lst-' || id, id, supplier, CASE WHEN log_index %% 4 = 0 THEN 'auction' ELSE 'fixed' END,"
            " 'licence', '', 365, 10, 10, 100000 + log_index, 'open', log_index, 'provision', '{}', '' FROM asset"
            " WHERE log_index >= %s AND log_index < %s AND log_index %% 2 = 0",
            (first, upto),
        )
        connection.execute(
            "SELECT catalogue_enter(ARRAY(SELECT id FROM asset WHERE log_index >= %s AND log_index < %s))",
            (first, upto),
        )
        connection.commit()
    for table in ("asset", "listing"):
        connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def copy_assets(connection: psycopg.Connection[Any], columns: list[str], made: list[Asset]) -> None:
    """COPY, which also is what bulk registration is held against."""
    with connection.cursor().copy(f"COPY asset ({', '.join(columns)}) FROM STDIN") as copy:
        for one in made:
            copy.write_row(
                [
                    orjson.dumps(value).decode() if isinstance(value, dict) else value
                    for value in (getattr(one, name) for name in columns)
                ]
            )


def fill(connection: psycopg.Connection[Any], table: str, **values: Any) -> None:
    """A row of which nothing matters but `values`: its other columns that cannot be NULL are blank."""
    known = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND is_nullable = 'NO'",
        (table,),
    ).fetchall()
    blanks = {"jsonb": "{}", "ARRAY": [], "boolean": False, "bytea": b""}
    row = {name: blanks.get(kind, "0") for name, kind in known} | values
    connection.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", list(row.values())
    )
