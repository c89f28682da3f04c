"""The cases that are drilled: each breaks a market of its own in one way, and says what was promised for it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import psycopg

from exchange import keys
from exchange.backup import Store, backups
from exchange.client import Exchange, Forked, NotFound
from exchange.drill.faults import FaultyLine
from exchange.drill.load import BIN_S, Phase
from exchange.drill.promises import judge, told
from exchange.drill.scene import DAY_US, START_FEN, Load, Scene, opened
from exchange.drill.stage import Missing, Stage, Words, words
from exchange.embedded import DATABASE, SUPERUSER, Postgres
from exchange.errors import Misconfigured
from exchange.witness import Witness, make
from ledger.anchor import new_key
from ledger.audit import audit
from ledger.audit.disclosed import bodies
from ledger.chain import Node, serve

Cause = Literal["power", "surge", "attack", "unforeseen"]

FOREVER_S: Final = 3600.0
IMPATIENT_S: Final = 1.5
"""The patience of a drill's clients: some give up during an outage, so that there is something unknown to settle."""
DISK_MIB: Final = 420
GOODPUT: Final = 0.85
NORMAL_WITHIN_S: Final = 10.0
ON_TIME_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Case:
    """One case: the plan's cause that it exercises, what it does, how long that takes, and what it is held to."""

    name: str
    cause: Cause
    does: Words
    promise: Words
    takes_s: int
    recovery_ms: int
    """The recovery time objective (RTO): within so long after each fault acts are acknowledged again. 0: none is set."""
    play: Callable[[Stage], None]


def _crowded(stage: Stage, scene: Scene) -> contextlib.AbstractContextManager[Load]:
    """Bidders who bid without an end, and now and then money that arrives."""
    return stage.crowd(
        scene.order(
            [Phase(FOREVER_S, stage.clients)],
            speakers=scene.speakers(scene.lot, bank_in=stage.clients),
            patience_s=IMPATIENT_S,
        )
    )


# power and network


def power(stage: Stage) -> None:
    with opened(say=stage.say) as scene:
        with _crowded(stage, scene) as load:
            stage.through(
                load, "断电:交易所与数据库同时消失", "power is cut: exchange and database are gone at once",
                scene.cut_power, lambda: _again(stage, scene),
            )  # fmt: skip
        stage.judge(scene, load)


def process(stage: Stage) -> None:
    with opened(say=stage.say) as scene:
        with _crowded(stage, scene) as load:
            stage.through(
                load, "交易所进程被终止(kill -9)", "the exchange's process is killed",
                scene.kill_exchange, lambda: _again(stage, scene),
            )  # fmt: skip
        stage.judge(scene, load)


def _again(stage: Stage, scene: Scene) -> None:
    scene.serve()
    stage.mark("recovered", "交易所已重新启动", "the exchange serves again")


def database(stage: Stage) -> None:
    with opened(say=stage.say) as scene:
        with _crowded(stage, scene) as load:
            stage.through(
                load, "数据库进程被终止(kill -9);交易所自行将其重启", "the database is killed; the exchange starts it again by itself",
                scene.kill_database, lambda: None,
            )  # fmt: skip
        stage.require(scene.serving, "交易所进程应当继续运行", "the exchange's process was to go on")
        stage.judge(scene, load)


def kills(stage: Stage, times: int = 10) -> None:
    """The database and the exchange are killed in turn, so often, in the middle of bidding."""
    with opened(say=stage.say) as scene:
        with _crowded(stage, scene) as load:
            for n in range(times):
                if n % 2:
                    stage.through(
                        load, f"第 {n + 1} 次:交易所进程被终止", f"kill {n + 1}: the exchange",
                        scene.kill_exchange, lambda: _again(stage, scene),
                    )  # fmt: skip
                else:
                    stage.through(
                        load, f"第 {n + 1} 次:数据库进程被终止", f"kill {n + 1}: the database",
                        scene.kill_database, lambda: None,
                    )  # fmt: skip
        stage.figures["kills"] = times
        stage.judge(scene, load)


def network(stage: Stage) -> None:
    with opened(say=stage.say) as scene, FaultyLine(scene.port, seed=1) as line:
        order = scene.order(
            [Phase(FOREVER_S, min(stage.clients, 32))],
            speakers=scene.speakers(scene.lot, bank_in=32),
            port=line.port,
            attempt_s=0.8,
            patience_s=2.4,
        )
        with stage.crowd(order) as load:
            load.wait_for(stage.acts)
            stage.mark("fault", "应答延迟", "answers come late")
            line.fault = "delay"
            load.wait_for(stage.acts // 8)
            stage.mark("note", "应答丢失,线路仍通", "answers are swallowed, lines stay open")
            line.fault = "drop"
            load.wait_for(stage.acts // 8)
            stage.mark("note", "请求送达后线路被切断", "lines are cut behind the request")
            line.fault = "reset"
            load.wait_for(stage.acts // 4)
            line.fault = "none"
            stage.mark("recovered", "线路恢复", "the line is whole again")
            load.wait_for(stage.acts)
        stage.figures["answers_struck"] = line.struck
        stage.judge(scene, load)


def standby(stage: Stage) -> None:
    from exchange.cluster import Loopback

    stage.say("建立两机集群", "making a cluster of two machines")
    with _passable() as folder, Loopback.start(folder) as cluster:
        more = {
            "EXCHANGE_DATABASE_URL": cluster.app_url,
            "EXCHANGE_DATABASE_OWNER_URL": cluster.owner_url,
            "EXCHANGE_DATABASE_SYNCHRONOUS": "1",
        }
        with opened(say=stage.say, environ=more) as scene:
            first = cluster.primary()
            assert first is not None
            with _crowded(stage, scene) as load:

                def take_over() -> None:
                    taker = cluster.wait_for_take_over(first)
                    stage.mark("detected", f"备机 {taker} 接管", f"the standby, {taker}, took over")
                    cluster.start_machine(first)
                    cluster.wait_until_synchronous()
                    stage.mark(
                        "recovered", f"{first} 作为备机恢复同步", f"{first} is back, as synchronous standby"
                    )

                stage.through(
                    load, f"主机 {first} 丢失", f"the primary, {first}, is lost",
                    lambda: cluster.kill_machine(first), take_over,
                )  # fmt: skip
                stage.through(
                    load, f"有序回切到 {first}", f"fail-back to {first}, in order",
                    cluster.switch_over, cluster.wait_until_synchronous,
                )  # fmt: skip
            stage.judge(scene, load)
            for name in cluster.nodes:
                with psycopg.connect(cluster.superuser_url(name)) as connection:
                    row = connection.execute("SELECT max(size) FROM log_chunk").fetchone()
                stage.figures[f"entries_on_{name}"] = 0 if row is None else int(row[0])
            stage.require(
                len({stage.figures[f"entries_on_{name}"] for name in cluster.nodes}) == 1,
                "两台机器上的日志应当相同", "both machines were to hold the same log",
            )  # fmt: skip


def chain(stage: Stage, away_s: float = 15.0) -> None:
    """The chain that takes the anchors is away for a while, and then takes five blocks back; bids go on through both."""
    key = new_key()
    node = Node(key)
    with _served(node) as port, FaultyLine(port, seed=1) as line:
        line.part = 1.0
        more = {
            "EXCHANGE_CHAIN_URL": f"http://127.0.0.1:{line.port}",
            "EXCHANGE_ANCHOR_EVERY_S": "1",
            "EXCHANGE_ANCHOR_CONFIRMATIONS": "6",
        }
        with opened(say=stage.say, environ=more, anchor_key=key) as scene:
            few = [Phase(FOREVER_S, 4)]  # for as long as a chain takes, a crowd would fill a log
            with stage.crowd(scene.order(few, speakers=scene.speakers(scene.lot, bank_in=4))) as load:
                load.wait_for(min(stage.acts, 500))
                _wait(lambda: _anchored(scene) > 0, "nothing was anchored")
                line.fault = "reset"
                stage.mark("fault", "链节点失联", "the node of the chain is away")
                _wait(
                    lambda: scene.administrator.anchor_watch()["trouble"] == "unreachable", "nobody noticed"
                )
                stage.mark("detected", "监测显示节点失联", "the watch tells that the node is away")
                time.sleep(away_s)
                line.fault = "none"
                size = scene.administrator.checkpoint().size
                _wait(lambda: _anchored(scene) >= size, "anchoring did not go on", 90.0)
                stage.mark("recovered", "锚定继续", "anchoring goes on")

                before = node.state()
                size = scene.administrator.checkpoint().size
                _wait(lambda: _anchored(scene) >= size, "nothing was anchored")
                node.mine(4)
                stage.mark("fault", "链重组:五个区块被收回", "the chain takes five blocks back")
                node.reorganise(before, 5)
                _wait(lambda: bool(_reorganised(scene)), "nobody noticed")
                stage.mark("detected", "被收回的锚定已发现", "what was taken back is noticed")
                _wait(
                    lambda: all(one["state"] in ("confirmed", "final", "refused") for one in _reorganised(scene))
                    and _anchored(scene) >= size,
                    "the anchors did not come back",
                )  # fmt: skip
                stage.mark("recovered", "锚定已重新上链", "the anchors are back on the chain")
            stage.figures["anchors"] = len(scene.administrator.anchors())
            stage.figures["anchors_taken_back"] = len(_reorganised(scene))
            stage.figures["gas_of_an_anchor"] = max(
                int(one["gas_used"]) for one in scene.administrator.anchors()[1:] if one["gas_used"]
            )
            stage.judge(scene, load)


@contextlib.contextmanager
def _served(node: Node) -> Iterator[int]:
    server = serve(node, 0)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _reorganised(scene: Scene) -> list[dict[str, Any]]:
    """The anchors that a chain took back at least once."""
    return [one for one in scene.administrator.anchors() if one["reorganised"] != "0"]


def _anchored(scene: Scene) -> int:
    """The largest size that is in a block, as far as the exchange knows."""
    stand = [
        int(one["size"]) for one in scene.administrator.anchors() if one["state"] in ("confirmed", "final")
    ]
    return max(stand, default=0)


def _wait(until: Callable[[], bool], otherwise: str, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        with contextlib.suppress(NotFound):
            if until():
                return
        if time.monotonic() > deadline:
            raise Misconfigured("drill.failed", f"{otherwise} within {within_s:.0f} s")
        time.sleep(0.2)


# surge


def surge(stage: Stage) -> None:
    """Ten times the measured capacity for half a minute, with retries; a lot closes in the middle."""
    found = surged(stage, seconds=30.0, clients=4000)
    stage.require(
        found["goodput"] >= GOODPUT,
        f"有效吞吐应不低于容量的 {GOODPUT:.0%}", f"goodput was to be at least {GOODPUT:.0%} of the capacity",
    )  # fmt: skip
    stage.require(
        found["back_s"] <= NORMAL_WITHIN_S,
        f"应在 {NORMAL_WITHIN_S:.0f} 秒内恢复正常", f"it was to be back to normal within {NORMAL_WITHIN_S:.0f} s",
    )  # fmt: skip
    stage.require(
        max(found["closed_us"], found["settled_us"]) <= ON_TIME_US,
        "标的应按时截止并结算", "the lot was to close and settle on time",
    )  # fmt: skip


def surged(
    stage: Stage, *, seconds: float, clients: int, calm_s: float = 5.0, after_s: float = NORMAL_WITHIN_S + 5
) -> dict[str, float]:
    """Measure the capacity C, offer ten times C for some seconds, and see what became of it; gives the ratios.

    C is measured by as many clients as it takes to fill batches, each sending its next bid when the last one was
    answered. Then acts come by the clock, whatever the answers do, from so many clients with a connection each; who is
    not answered in two seconds hangs up and sends the same again, and who finds no connection free for as long goes
    away. Goodput counts acts by their first acknowledgement. The crowd's own cost lies on the same cores, in both
    measurements: of more clients than one process can drive it would measure that process.
    """
    with opened(say=stage.say) as scene:
        only_bids = scene.speakers(scene.lot, bank_in=1000)[:-1]
        with Load(scene.order([Phase(1.0 + calm_s, 256)], speakers=only_bids)) as measured:
            measured.finish()
        capacity = _rate(measured.bins, 1.0, 1.0 + calm_s)
        stage.say(
            f"容量:256 个客户端每秒 {capacity:,.0f} 笔",
            f"capacity: {capacity:,.0f} bids a second by 256 clients",
        )
        # This lot closes in the middle of the surge.
        closing = scene.open_lot(DAY_US)
        scene.bidders[0].client.place_bid(closing, START_FEN)
        closes_us = scene.administrator.lot(closing).closes_us
        scene.move_to(closes_us - round((calm_s + seconds / 2) * 1_000_000))
        scene.mark()
        order = scene.order(
            [
                Phase(calm_s, 256, capacity / 2),
                Phase(seconds, clients, 10 * capacity),
                Phase(after_s, 256, capacity / 2),
            ],
            speakers=only_bids,
            patience_s=10.0,
        )
        with stage.crowd(order) as load:
            time.sleep(max(0.0, calm_s - stage.now_s()))
            begun = stage.mark(
                "fault",
                f"涌入容量的十倍:每秒 {10 * capacity:,.0f} 笔",
                f"ten times the capacity comes: {10 * capacity:,.0f} acts a second",
            )
            time.sleep(max(0.0, calm_s + seconds - stage.now_s()))
            over = stage.mark("note", "洪峰结束", "the surge is over")
            load.finish()
        goodput = _rate(stage.bins, begun + 1.0, over)
        calm_ms = _p99(stage.bins, 1.0, begun)
        normal = next(
            (n * BIN_S for n in range(int(over / BIN_S), len(stage.bins) - 10)
             if _p99(stage.bins, n * BIN_S, n * BIN_S + 1.0) <= max(3 * calm_ms, 250.0)
             and _rate(stage.bins, n * BIN_S, n * BIN_S + 1.0) >= 0.4 * capacity),
            float("inf"),
        )  # fmt: skip
        back_s = max(0.0, normal - over)
        if normal < float("inf"):
            stage.mark("recovered", "时延恢复正常", "latency is normal again", normal)
        stage.judge(scene, load)
        late = {
            body["kind"]: int(body["time"]) - closes_us
            for _, body in bodies(stage.bundle)
            if body["kind"] in ("lot_closed", "lot_settled") and _lot_of(body) == closing
        }
        closed, settled = late.get("lot_closed", 1 << 62), late.get("lot_settled", 1 << 62)
        stage.figures.update(
            {
                "capacity_per_s": round(capacity),
                "offered_per_s": round(
                    sum(line["offered"] for line in _between(stage.bins, begun, over)) / (over - begun)
                ),
                "goodput_per_s": round(goodput),
                "goodput_ratio": round(goodput / capacity, 3),
                "p99_before_ms": round(calm_ms),
                "p99_during_ms": round(_p99(stage.bins, begun + 1, over)),
                "back_to_normal_s": round(back_s, 1),
                "closed_late_us": closed,
                "settled_late_us": settled,
            }
        )
    return {"goodput": goodput / capacity, "back_s": back_s, "closed_us": closed, "settled_us": settled}


def _rate(bins: list[dict[str, float]], from_s: float, to_s: float) -> float:
    """Acts acknowledged a second."""
    return sum(line["acknowledged"] for line in _between(bins, from_s, to_s)) / (to_s - from_s)


def _p99(bins: list[dict[str, float]], from_s: float, to_s: float) -> float:
    """The worst tenth of a second's 99th of a hundred, in ms; of a time without an answer the longest wait there is."""
    among = [line for line in _between(bins, from_s, to_s) if line["acknowledged"]]
    return max((line["p99_ms"] for line in among), default=1000 * IMPATIENT_S)


def _between(bins: list[dict[str, float]], from_s: float, to_s: float) -> list[dict[str, float]]:
    return bins[int(from_s / BIN_S) : int(to_s / BIN_S)]


def _lot_of(body: dict[str, dict[str, str]]) -> str:
    act: dict[str, object] = dict(body["act"])
    voucher = act.get("voucher")
    return str(act.get("lot") or (voucher.get("lot") if isinstance(voucher, dict) else ""))


# the disk


def disk_full(stage: Stage) -> None:
    """The disk that holds everything is filled up while bids come, and room is made again."""
    with _small_disk() as disk, opened(say=stage.say, below=disk) as scene:
        journal = stage.folder / "journal.tsv"  # the clients are elsewhere, and have room
        order = scene.order(
            [Phase(FOREVER_S, stage.clients)],
            speakers=scene.speakers(scene.lot, bank_in=stage.clients),
            patience_s=IMPATIENT_S,
            journal=str(journal),
        )
        with stage.crowd(order) as load:
            load.wait_for(stage.acts)
            stage.mark("fault", "磁盘写满", "the disk is full")
            ballast = disk / "ballast"
            _fill(ballast)
            shed = _until_shed(load)
            stage.mark("detected", "请求得到 503 与补救说明", "requests are answered 503, with a remedy")
            time.sleep(3.0)
            ballast.unlink()
            stage.mark("note", "腾出空间", "room is made")
            room_s = stage.now_s()
            load.wait_for(stage.acts)
        stage.figures["recovered_after_room_ms"] = round(1000 * (stage.outages()[0].to_s - room_s))
        stage.figures["answered_503"] = sum(line["shed"] for line in stage.bins)
        stage.require(shed, "写满时应当回答 503", "a full disk was to be answered with 503")
        stage.require(scene.serving, "交易所进程应当继续运行", "the exchange's process was to go on")
        stage.judge(scene, load)
        journal.unlink()


def _fill(ballast: Path) -> None:
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))


def _until_shed(load: Load, within_s: float = 20.0) -> bool:
    """Wait until a request is answered 503."""
    deadline = time.monotonic() + within_s
    seen = len(load.bins)
    while time.monotonic() < deadline:
        if any(line["shed"] for line in load.bins[seen:]):
            return True
        time.sleep(0.05)
    return False


@contextlib.contextmanager
def _small_disk() -> Iterator[Path]:
    """A small file system in memory; Missing where this process may not mount one."""
    with _passable() as folder:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0711", "drill", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        ) if os.geteuid() == 0 and shutil.which("mount") else None  # fmt: skip
        if done is None or done.returncode:
            raise Missing(
                "drill.disk",
                "a small disk cannot be mounted" + (f": {done.stderr.strip()}" if done else ""),
                rule="this case fills a file system of its own, never one that others use",
                remedy="run it as root on a machine that may mount tmpfs",
            )
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def _passable() -> Iterator[Path]:
    """A temporary folder that the database's account can pass."""
    with tempfile.TemporaryDirectory(prefix="exchange-drill-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


# the machine is lost, and comes back from its backup


def restore(stage: Stage) -> None:
    """The machine is lost under load; its disk can be read. All of it is restored, then a second of it."""
    with _passable() as elsewhere:
        store = elsewhere / "store"
        with opened(say=stage.say, environ={"EXCHANGE_BACKUP_TARGET": str(store)}) as scene:
            key = keys.backup_key(scene.settings.keys_dir, make=True)
            _wait_for_backup(store, key)
            order = scene.order(
                [Phase(FOREVER_S, stage.clients)],
                speakers=scene.speakers(scene.lot, bank_in=stage.clients),
                patience_s=120.0,
            )
            with stage.crowd(order) as load:
                load.wait_for(stage.acts)
                size, chosen_us = scene.administrator.checkpoint().size, time.time_ns() // 1000
                load.wait_for(stage.acts)
                stage.mark("fault", "机器丢失", "the machine is lost")
                scene.cut_power()
                lost = scene.data_dir.rename(scene.folder / "lost")
                scene.data_dir.mkdir(mode=0o711)
                shutil.copytree(lost / "keys", scene.settings.keys_dir)  # the officers' shares, joined
                begun = time.monotonic()
                cluster = (lost / "postgres").resolve()
                _exchange(
                    scene,
                    "restore",
                    str(store),
                    "--wal",
                    str(cluster / "wal_archive"),
                    "--wal",
                    str(cluster / "data" / "pg_wal"),
                )
                stage.figures["restored_in_ms"] = round(1000 * (time.monotonic() - begun))
                stage.mark("note", "恢复并经核验", "restored, and proven")
                scene.serve()
                stage.mark("recovered", "恢复后的交易所开始服务", "the exchange that came back serves")
                load.wait_for(stage.acts)
            stage.judge(scene, load)
            _restore_to(stage, scene, load, store, chosen_us, size)


def _restore_to(stage: Stage, scene: Scene, load: Load, store: Path, chosen_us: int, size: int) -> None:
    """Restore to a chosen moment beside the running exchange: all that was acknowledged before it, nothing from behind."""
    aside = scene.folder / "aside"
    aside.mkdir(mode=0o711)
    shutil.copytree(scene.settings.keys_dir, aside / "keys")
    moment = (
        time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(chosen_us // 1_000_000))
        + f".{chosen_us % 1_000_000:06d}Z"
    )
    lost = (scene.folder / "lost" / "postgres").resolve()
    begun = time.monotonic()
    try:
        _exchange(
            scene, "restore", str(store), "--to", moment,
            "--wal", str(lost / "wal_archive"), "--wal", str(lost / "data" / "pg_wal"), data_dir=aside,
        )  # fmt: skip
        stage.figures["restored_to_a_second_in_ms"] = round(1000 * (time.monotonic() - begun))
        bundle = stage.folder / "then.zip"
        _exchange(scene, "audit", "export", str(bundle), data_dir=aside)
    finally:
        if (aside / "postgres").exists():
            Postgres.start(aside, durable=False).discard()
    verdict = audit(bundle, [scene.vkey])
    times = [int(body["time"]) for _, body in bodies(bundle)]
    then = judge(
        told(load.journal), bundle, scene.vkey, lambda identifier: None, since=scene.size, until=verdict.size
    )
    bundle.unlink()
    stage.figures["entries_at_the_second"] = verdict.size
    stage.require(
        verdict.ok and verdict.size >= size and max(times) <= chosen_us + scene.moved_us and then.lost == 0,
        "恢复到指定时刻应当恰好到该时刻", "the restore to a moment was to bring exactly what came before it",
    )  # fmt: skip


def _wait_for_backup(store: Path, key: bytes) -> None:
    deadline = time.monotonic() + 90
    while True:
        with contextlib.suppress(Misconfigured, OSError):
            if backups(Store(store, key)):
                return
        if time.monotonic() > deadline:
            raise Misconfigured("drill.failed", "no backup was taken in 90 s")
        time.sleep(0.2)


def _exchange(scene: Scene, *command: str, data_dir: Path | None = None) -> str:
    """Run a command of the exchange's operator and give what it printed."""
    environ = {**scene.environ, **({} if data_dir is None else {"EXCHANGE_DATA_DIR": str(data_dir)})}
    environ.pop("EXCHANGE_BACKUP_TARGET", None)
    done = subprocess.run(
        [sys.executable, "-m", "exchange", *command], env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Misconfigured(
            "drill.failed", f"exchange {command[0]}: {' '.join((done.stderr or done.stdout).split())[-500:]}"
        )
    return done.stdout


# attack


def attack(stage: Stage) -> None:
    """The owner of the machine sets the database back to an old copy and signs on with the true keys, then edits a row."""
    with opened(say=stage.say) as scene, contextlib.ExitStack() as stack:
        watcher = scene.bidders[0].client
        witness_folder = scene.folder / "witness"
        make(witness_folder, name="drill.example/w1", log_vkey=scene.vkey, url=scene.url)
        witness = Witness(witness_folder, lambda: int(time.time()), scene.regulator_secret)
        stack.callback(witness.close)
        stage.acts //= 2
        old, true = scene.folder / "old", scene.folder / "true"
        with _crowded(stage, scene) as load:
            load.wait_for(stage.acts)
            scene.stop()
            _copy(scene.database_data(), old)
            scene.serve()
            load.wait_for(stage.acts)
        stage.judge(scene, load)
        watcher.checkpoint()
        witness.look()
        stage.require(witness.alarm is None, "真实的日志不应触发警报", "the true log was to raise no alarm")
        held = watcher.newest_note()
        scene.stop()
        _swap(scene.database_data(), true, old)
        scene.serve()
        begun = stage.mark(
            "fault",
            "数据库被换成旧备份,并以真钥继续签署",
            "the database is set back to an old copy, and signed on with the true keys",
        )
        scene.bank.client.top_up(scene.bidders[0].id, 1_00, "slip-forged")
        _noticed(
            stage, begun, "client", "记得检查点的客户端", "a client that remembers", lambda: _forked(watcher)
        )
        _noticed(
            stage,
            begun,
            "witness",
            "监管见证人",
            "the witness",
            lambda: witness.look() is None or witness.alarm is not None,
        )
        stage.require(witness.alarm is not None, "见证人应当报警", "the witness was to raise the alarm")
        _noticed(
            stage,
            begun,
            "audit",
            "持有旧检查点的审计",
            "an audit with a checkpoint that was kept",
            lambda: not _audited(stage, scene, held),
        )
        scene.stop()
        _swap(scene.database_data(), scene.folder / "forged", true)
        scene.serve()
        stage.mark("recovered", "真实的数据库放回原处", "the true database is back")
        stage.require(_audited(stage, scene, held), "放回后审计应当通过", "the audit was to pass again")

        begun = stage.mark("fault", "绕过触发器修改一行账户余额", "a balance is edited behind the triggers")
        _edit(scene, "+ 1")
        _noticed(stage, begun, "audit_of_rows", "审计", "the audit", lambda: not _audited(stage, scene, held))
        _edit(scene, "- 1")
        stage.mark("recovered", "改动已撤回", "the edit is taken back")
        stage.require(_audited(stage, scene, held), "撤回后审计应当通过", "the audit was to pass again")


def _copy(source: Path, target: Path) -> None:
    """With owners and modes, which the database insists on."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def _swap(place: Path, aside: Path, other: Path) -> None:
    place.rename(aside)
    _copy(other, place)


def _noticed(stage: Stage, begun: float, name: str, zh: str, en: str, find: Callable[[], bool]) -> None:
    """Let somebody look, and note how long it took from the attack to what they found."""
    found = find()
    at_s = stage.mark("detected", f"{zh}发现", f"found by {en}") if found else stage.now_s()
    stage.figures[f"found_by_{name}_ms"] = round(1000 * (at_s - begun))
    stage.require(found, f"{zh}应当发现", f"{en} was to find it")


def _forked(watcher: Exchange) -> bool:
    try:
        watcher.checkpoint()
    except Forked:
        return True
    return False


def _audited(stage: Stage, scene: Scene, held: str) -> bool:
    """Whether an audit passes that has a checkpoint from earlier."""
    bundle = stage.folder / "audited.zip"
    with scene.client(scene.regulator_secret) as fresh:  # one that remembers nothing
        fresh.audit_bundle(bundle)
    verdict = audit(bundle, [scene.vkey], held=[held])
    bundle.unlink()
    return verdict.ok


def _edit(scene: Scene, change: str) -> None:
    with psycopg.connect(Postgres.attach(scene.data_dir).url(SUPERUSER, DATABASE)) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            f"UPDATE account SET credits_posted = credits_posted {change} WHERE id ="  # noqa: S608  # two texts of ours
            " (SELECT min(id) FROM account WHERE code = 'cash' AND credits_posted > 0)"
        )


CASES: Final[tuple[Case, ...]] = (
    Case(
        "power", "power",
        words("断电:交易所与数据库同时被终止,再启动", "power is cut: exchange and database killed at once, and started again"),
        words("已确认的不丢;重启后自行恢复", "nothing acknowledged is lost; it recovers by itself once started"),
        25, 30_000, power,
    ),
    Case(
        "process", "power",
        words("交易所进程被终止,再启动;数据库继续运行", "the exchange is killed and started again; its database goes on"),
        words("已确认的不丢;重启后自行恢复", "nothing acknowledged is lost; it recovers by itself once started"),
        25, 30_000, process,
    ),
    Case(
        "database", "power",
        words("数据库被终止,由交易所自行重启", "the database is killed, and started again by the exchange itself"),
        words("已确认的不丢;无人值守即恢复", "nothing acknowledged is lost; it recovers with nobody there"),
        20, 15_000, database,
    ),
    Case(
        "kills", "power",
        words("数据库与交易所进程轮流被终止,共十次", "the database and the exchange are killed in turn, ten times"),
        words("每次之后自行恢复;已确认的不丢,无重复", "it recovers each time; nothing acknowledged is lost, nothing happens twice"),
        90, 30_000, kills,
    ),
    Case(
        "network", "power",
        words("客户端与交易所之间的线路延迟、吞掉、切断应答", "the line between clients and exchange delays, swallows and cuts answers"),
        words("每个没有应答的请求都能查明结果,且至多生效一次", "every request without an answer is settled by looking it up, and takes effect at most once"),
        30, 0, network,
    ),
    Case(
        "standby", "power",
        words("主机丢失,备机接管,再有序回切", "the primary is lost, the standby takes over, and hands back in order"),
        words("已确认的不丢;接管在 90 秒内", "nothing acknowledged is lost; take-over within 90 s"),
        100, 90_000, standby,
    ),
    Case(
        "chain", "unforeseen",
        words("锚定所用的链失联,随后收回五个区块", "the chain of the anchors is away for a while, and then takes five blocks back"),
        words("交易不受影响;失联与重组均被发现,锚定自行补齐", "bidding goes on; both are noticed, and the anchors come back by themselves"),
        60, 0, chain,
    ),
    Case(
        "disk-full", "unforeseen",
        words("数据库所在磁盘写满,再腾出空间(需 root)", "the disk of the database is filled up, and room is made again (needs root)"),
        words("已确认的不丢;写满时回答 503;有空间后自行恢复", "nothing acknowledged is lost; 503 while it is full; it recovers by itself when there is room"),
        25, 30_000, disk_full,
    ),
    Case(
        "restore", "unforeseen",
        words("机器丢失,从备份与残留日志恢复;并恢复到某一秒", "the machine is lost and comes back from its backup and what its disk still has; and to a second"),
        words("磁盘可读时已确认的不丢;恢复经根哈希核验", "nothing acknowledged is lost where the disk can be read; what comes back is proven by its root"),
        60, 300_000, restore,
    ),
    Case(
        "attack", "attack",
        words("机器的主人回滚数据库并用真钥续签,又改动余额", "the machine's owner sets the database back, signs on with the true keys, and edits a balance"),
        words("客户端、见证人、审计各自发现", "found by a client, by the witness and by the audit, each alone"),
        40, 0, attack,
    ),
    Case(
        "surge", "surge",
        words("涌入所测容量的十倍,持续 30 秒,带重试;其间有标的截止", "ten times the measured capacity for 30 s, with retries; a lot closes in the middle"),
        words(
            f"有效吞吐不低于容量的 {GOODPUT:.0%},结束后 {NORMAL_WITHIN_S:.0f} 秒内恢复正常,标的按时截止并结算",
            f"goodput at least {GOODPUT:.0%} of the capacity, back to normal within {NORMAL_WITHIN_S:.0f} s, the lot closes and settles on time",
        ),
        180, 0, surge,
    ),
)  # fmt: skip
"""All cases, in the order in which `exchange drill all` plays them."""
