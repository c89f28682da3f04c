"""A cluster's configuration as its engines read it, and what is said of one that does not keep its promises.

A cluster that runs is in tests/stories/test_standby.py.
"""

from __future__ import annotations

import copy
import ipaddress
import json
import re
import stat
import subprocess
import sys
import tempfile
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from exchange.cluster import Member, Node, Passwords, Plan
from exchange.cluster.checking import Seen, Server, judge
from exchange.cluster.parent import children
from exchange.cluster.plan import scram_verifier
from exchange.embedded import SUPERUSER, Postgres, binaries
from exchange.errors import Misconfigured
from exchange.settings import Settings

PLAN = Plan(
    nodes=(Node("db1", "10.0.0.11"), Node("db2", "10.0.0.12")),
    members=(Member("db1", "10.0.0.11"), Member("db2", "10.0.0.12"), Member("web", "10.0.0.13")),
    config=Path("/etc/exchange-cluster"),
    data=Path("/var/lib/exchange-cluster"),
    binaries=binaries(),
    patroni=Path("/opt/exchange/bin/patroni"),
    etcd=Path("/usr/bin/etcd"),
    exchanges=("10.0.0.13",),
)
PASSWORDS = Passwords(*(f"{name}-password" for name in ("su", "repl", "rewind", "owner", "app", "api")))


def files(plan: Plan = PLAN) -> dict[str, str]:
    """The files of a plan, with salts that do not matter."""
    return plan.files(PASSWORDS, chance=bytes)


def read(text: str) -> Any:
    """YAML as Patroni and etcd read it."""
    yaml = pytest.importorskip("yaml", reason="Patroni is not installed: pip install 'patroni[etcd3]'")
    return yaml.safe_load(text)


def test_patroni_itself_finds_nothing_wrong_with_the_configuration(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="Patroni is not installed: pip install 'patroni[etcd3]'")
    plan = replace(
        PLAN,
        nodes=(Node("db1", "127.0.0.2"), Node("db2", "127.0.0.3")),
        members=(Member("web", "127.0.0.4"),),  # nobody listens there, which it may say
        data=tmp_path,
        archive=tmp_path / "archive",
    )
    for name in ("db1", "db2"):
        path = tmp_path / f"{name}.yml"
        path.write_text(files(plan)[f"{name}/patroni.yml"])
        # As a process of its own: it sets the umask after what it finds in the data directory.
        done = subprocess.run(
            [sys.executable, "-m", "patroni", "--validate-config", "--ignore-listen-port", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        said = (done.stdout + done.stderr).splitlines()
        assert [line.split()[0] for line in said] == ["etcd3.hosts.0"], said


def test_nothing_commits_on_one_machine_alone_and_the_lead_outlasts_two_retries() -> None:
    config = read(files()["db1/patroni.yml"])
    dcs = config["bootstrap"]["dcs"]
    assert (dcs["synchronous_mode"], dcs["synchronous_mode_strict"], dcs["failsafe_mode"]) == (True,) * 3
    assert dcs["loop_wait"] + 2 * dcs["retry_timeout"] <= dcs["ttl"]
    parameters = dcs["postgresql"]["parameters"]
    assert {parameters[name] for name in ("fsync", "full_page_writes", "synchronous_commit")} == {"on"}
    assert dcs["postgresql"]["use_pg_rewind"]
    assert "data-checksums" in config["bootstrap"]["initdb"]


def test_each_machine_gets_its_own_address_and_the_same_passwords() -> None:
    made = files()
    first, second = (read(made[f"{name}/patroni.yml"]) for name in ("db1", "db2"))
    assert first["postgresql"]["listen"] == "10.0.0.11:5432"
    assert second["restapi"]["connect_address"] == "10.0.0.12:8008"
    assert first["postgresql"]["authentication"] == second["postgresql"]["authentication"]
    assert first["etcd3"]["hosts"] == ["10.0.0.11:2379", "10.0.0.12:2379", "10.0.0.13:2379"]
    assert set(made) == {
        "exchange.env",
        "README.en.md",
        "README.zh.md",
        *(f"{node}/{name}" for node in ("db1", "db2") for name in ("patroni.yml", "patroni.service")),
        *(f"{node}/{name}" for node in ("db1", "db2") for name in ("roles.sql", "roles.sh")),
        *(f"{member}/{name}" for member in ("db1", "db2", "web") for name in ("etcd.yml", "etcd.service")),
    }
    seat = read(made["web/etcd.yml"])
    assert seat["initial-cluster"].split(",")[2] == "web=http://10.0.0.13:2380"
    assert seat["enable-grpc-gateway"] is True


def test_only_named_machines_log_in_and_the_superuser_only_from_its_own() -> None:
    lines = read(files()["db2/patroni.yml"])["postgresql"]["pg_hba"]
    assert all(line.endswith(" scram-sha-256") for line in lines)
    assert [line for line in lines if " postgres " in line and "rewinder" not in line] == [
        "host all postgres 10.0.0.12/32 scram-sha-256"
    ]
    assert [line.split()[3] for line in lines if "exchange_app" in line] == ["10.0.0.13/32"]


def test_passwords_stand_in_private_files_alone_and_the_exchange_gets_both_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = files()
    for name, text in made.items():
        if not name.endswith(("patroni.yml", "exchange.env")):
            assert "-password" not in text.replace("no password", ""), name
    environ = dict(re.findall(r"^(EXCHANGE_\w+)='?([^'\n]*)'?$", made["exchange.env"], re.MULTILINE))
    found = Settings.from_environment({**environ, "EXCHANGE_DATA_DIR": str(tmp_path)})
    assert found.database_synchronous
    given = conninfo_to_dict(found.database_url or "")
    assert (given["host"], given["port"]) == ("10.0.0.11,10.0.0.12", "5432,5432")
    assert (given["user"], given["password"]) == ("exchange_app", "app-password")
    assert given["target_session_attrs"] == "read-write"


def test_the_runbook_says_the_same_in_both_languages() -> None:
    made = files()
    english, chinese = made["README.en.md"], made["README.zh.md"]
    for text in (english, chinese):
        assert "$" not in text
        for word in (
            "10.0.0.11",
            "10.0.0.12",
            "10.0.0.13",
            "patronictl",
            "pg_rewind",
            "exchange cluster check",
        ):
            assert word in text
    for pattern in (r"^## ", r"^\|", r"^    \S", r"\*\*"):
        assert len(re.findall(pattern, english, re.M)) == len(re.findall(pattern, chinese, re.M)), pattern


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"nodes": PLAN.nodes[:1]}, "--node"),
        ({"nodes": (PLAN.nodes[0], Node("db1", "10.0.0.12"))}, "--node"),
        ({"nodes": (PLAN.nodes[0], Node("db2", "10.0.0.11"))}, "--node"),
        ({"nodes": (PLAN.nodes[0], Node("db2", "db2.example.cn"))}, "--node"),
        ({"nodes": (PLAN.nodes[0], Node("db2", "::"))}, "--node"),
        ({"nodes": (PLAN.nodes[0], Node("db2", "fe80::1%eth0"))}, "--node"),
        ({"nodes": (PLAN.nodes[0], Node("DB 2", "10.0.0.12"))}, "--node"),
        ({"members": PLAN.members[:2]}, "--etcd"),
        ({"members": ()}, "--etcd"),
        ({"exchanges": ("0.0.0.0/0",)}, "--exchange"),
        ({"data": Path("relative")}, "--data-dir"),
        ({"config": Path("/etc/a b")}, "--config-dir"),
        ({"archive": Path("/a\n/b")}, "--archive"),
        ({"account": "root; rm"}, "--account"),
    ],
)
def test_a_cluster_that_could_not_work_is_refused_by_option_rule_and_remedy(
    changed: dict[str, Any], field: str
) -> None:
    with pytest.raises(Misconfigured) as refused:
        replace(PLAN, **changed)
    assert refused.value.field == field
    assert refused.value.rule
    assert refused.value.remedy


def test_what_a_plan_does_not_survive_is_said() -> None:
    assert len(replace(PLAN, members=PLAN.members[:1]).warnings()) == 2
    third = Node("db3", "10.0.0.14")
    assert replace(PLAN, nodes=(*PLAN.nodes, third)).warnings() == []


ADDRESSES = st.ip_addresses().filter(lambda a: not (a.is_unspecified or a.is_multicast)).map(str)


@given(st.lists(ADDRESSES, min_size=3, max_size=3, unique=True), st.booleans())
@settings(max_examples=40)
def test_any_addresses_give_files_that_read_back(addresses: list[str], archived: bool) -> None:
    first, second, seat = addresses
    plan = replace(
        PLAN,
        nodes=(Node("db1", first), Node("db2", second)),
        members=(Member("seat", seat),),
        exchanges=(),
        archive=Path("/archive") if archived else None,
    )
    made = files(plan)
    config = read(made["db2/patroni.yml"])
    host, _, port = config["postgresql"]["listen"].rpartition(":")
    assert (ipaddress.ip_address(host.strip("[]")), port) == (ipaddress.ip_address(second), "5432")
    for line in config["postgresql"]["pg_hba"]:
        assert ipaddress.ip_network(line.split()[3]).num_addresses == 1
    parameters = config["bootstrap"]["dcs"]["postgresql"]["parameters"]
    assert ("archive_library" in parameters) == archived != ("archive_command" in parameters)
    given = conninfo_to_dict(plan.url("exchange_app", "p@ss/word"))
    assert given["host"] == f"{first},{second}"
    assert given["password"] == "p@ss/word"
    assert read(made["seat/etcd.yml"])["name"] == "seat"


def test_what_is_kept_of_a_password_is_what_postgresql_itself_would_keep(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url(SUPERUSER, "postgres")) as connection:
        theirs = connection.pgconn.encrypt_password(b"a-password", b"somebody", b"scram-sha-256").decode()
    salt = theirs.split("$")[1].partition(":")[2]
    assert scram_verifier("a-password", b64decode(salt)) == theirs


NOW_S = 1_795_729_158.0
CONFIG = {
    "ttl": 20,
    "synchronous_mode": True,
    "synchronous_mode_strict": True,
    "failsafe_mode": True,
    "postgresql": {
        "use_pg_rewind": True,
        "parameters": {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"},
    },
}
MEMBERS = {
    "members": [
        {"name": "db1", "role": "leader", "state": "running", "host": "10.0.0.11", "port": 5432, "timeline": 3},
        {
            "name": "db2",
            "role": "sync_standby",
            "state": "streaming",
            "host": "10.0.0.12",
            "port": 5433,
            "timeline": 3,
            "lag": 0,
        },
    ]
}  # fmt: skip
APIS = ("http://10.0.0.11:8008", "http://10.0.0.12:8008")


def healthy() -> Seen:
    """What a cluster that keeps its promises answers."""
    return Seen(
        {
            APIS[0]: {"state": "running", "role": "primary", "dcs_last_seen": NOW_S - 1},
            APIS[1]: {"state": "running", "role": "replica", "dcs_last_seen": NOW_S - 1},
        },
        {api: copy.deepcopy(MEMBERS) for api in APIS},
        copy.deepcopy(CONFIG),
        NOW_S,
        Server(frozenset({("10.0.0.11", 5432), ("10.0.0.12", 5433)}), 5432, "db2", "on", False),
    )


def standby(seen: Seen, **changed: Any) -> Seen:
    """The same with the second machine in another state."""
    for cluster in seen.clusters.values():
        assert cluster is not None
        cluster["members"][1].update(changed)
    return seen


def config(seen: Seen, **changed: Any) -> Seen:
    return replace(seen, config={**seen.config, **changed})


def server(seen: Seen, **changed: Any) -> Seen:
    assert seen.server is not None
    return replace(seen, server=replace(seen.server, **changed))


def test_a_healthy_cluster_keeps_every_promise() -> None:
    found = judge(healthy())
    assert len(found) == 13
    assert [finding.code for finding in found if not finding.holds] == []


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda s: replace(s, statuses={**s.statuses, APIS[1]: None}), {"answers"}),
        (lambda s: standby(s, role="leader", state="running"), {"leader", "standby", "lag"}),
        (lambda s: replace(s, statuses=dict.fromkeys(APIS, s.statuses[APIS[0]])), {"leader"}),
        (lambda s: standby(s, role="replica"), {"standby", "lag"}),
        (lambda s: standby(s, state="start failed"), {"standby", "lag"}),
        (lambda s: standby(s, timeline=2), {"standby", "lag"}),
        (lambda s: standby(s, lag=1 << 30), {"lag"}),
        (lambda s: standby(s, lag="unknown"), {"lag"}),
        (lambda s: config(s, synchronous_mode_strict=False), {"strict"}),
        (lambda s: config(s, synchronous_mode="quorum"), {"strict"}),
        (lambda s: config(s, failsafe_mode=False), {"failsafe"}),
        (lambda s: config(s, postgresql={"use_pg_rewind": True, "parameters": {"fsync": "off"}}), {"durable"}),
        (lambda s: config(s, postgresql={"parameters": {"synchronous_commit": "local"}}), {"durable", "rewind"}),
        (lambda s: replace(s, clusters={APIS[0]: {**MEMBERS, "pause": True}}), {"automatic"}),
        (lambda s: replace(s, now_s=NOW_S + 60), {"etcd"}),
        (lambda s: server(s, hosts=frozenset({("10.0.0.11", 5432)})), {"address"}),
        (lambda s: server(s, port=5433), {"primary"}),
        (lambda s: server(s, in_recovery=True), {"primary"}),
        (lambda s: server(s, synchronous_standby_names=""), {"waits"}),
        (lambda s: server(s, synchronous_commit="remote_write"), {"waits"}),
        (lambda s: replace(s, server=None, refusal="nobody"), {"primary"}),
    ],
)  # fmt: skip
def test_each_broken_promise_is_named(change: Callable[[Seen], Seen], broken: set[str]) -> None:
    found = judge(change(healthy()))
    assert {finding.code for finding in found if not finding.holds} == broken
    for finding in found:
        assert finding.words("en") != finding.words("zh")


def exchange(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command line, without a setting of this machine's."""
    return subprocess.run(
        [sys.executable, "-m", "exchange", "cluster", *words],
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "300", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_init_writes_private_files_once_and_check_fails_where_nobody_answers(tmp_path: Path) -> None:
    out = tmp_path / "cluster"
    words = ("--node", "a=127.0.0.1", "--node", "b=127.0.0.2", "--etcd", "a=127.0.0.1", "--out", str(out))
    done = exchange("init", *words)
    assert done.returncode == 0, done.stderr
    assert "one etcd" in done.stdout
    assert "two machines" in done.stdout
    for path in out.rglob("*"):
        private = path.name in ("exchange.env", "patroni.yml", "roles.sql")
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o022 == 0
        assert not private or mode == 0o600
    secrets = re.findall(r"password: '([^']+)'", (out / "a" / "patroni.yml").read_text())
    assert len(set(secrets)) == 4
    assert not any(secret in done.stdout for secret in secrets)
    again = exchange("init", *words)
    assert again.returncode == 2
    assert "passwords of a cluster" in again.stderr
    env = dict(re.findall(r"^(\w+)='?([^'\n]*)'?$", (out / "exchange.env").read_text(), re.MULTILINE))
    silent = exchange("check", "127.0.0.1:1", "--lang", "zh", "--json", **env)
    assert silent.returncode == 1, silent.stderr
    said = json.loads(silent.stdout)
    assert not said["holds"]
    assert {f["code"] for f in said["findings"] if not f["holds"]} >= {
        "answers",
        "leader",
        "standby",
        "primary",
    }
    assert env["EXCHANGE_DATABASE_URL"].split(":")[2].partition("@")[0] not in silent.stdout + silent.stderr
    nameless = exchange("check")
    assert nameless.returncode == 2
    assert "EXCHANGE_DATABASE_URL" in nameless.stderr


def test_a_synchronous_database_needs_a_cluster() -> None:
    with pytest.raises(Misconfigured, match="without a cluster") as refused:
        Settings.from_environment({"EXCHANGE_DATABASE_SYNCHRONOUS": "1"})
    assert "exchange cluster init" in str(refused.value.remedy)


def test_whoever_a_machine_leaves_behind_is_reaped_and_ended_with_it() -> None:
    """A grandchild whose parent is gone: process 1 might never reap it, and a server would take it for a living one."""
    script = "import os, time; os.fork() or (os.fork() or time.sleep(600)) or os._exit(0); time.sleep(600)"
    with tempfile.TemporaryFile("w+") as log:
        parent = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-I",
                    str(Path(__file__).parents[2] / "exchange" / "cluster" / "parent.py"),
                ),
                *("0", "0", sys.executable, "-c", script),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert parent.stdin is not None
        assert parent.stdout is not None
        program = int(parent.stdout.readline())
        assert program in children(parent.pid)
        parent.stdin.close()
        assert parent.wait(20) == 0
        parent.stdout.close()
        assert not Path(f"/proc/{program}").exists()
