"""What to do when it is no drill: a plan for each of the four causes, step by step, with who does it and what proves it.

The causes are those that the paper's plan for emergencies names: power and network, surge, attack, the unforeseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchange.drill.cases import CASES, Cause
from exchange.drill.stage import Language, Words, words


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: who, and what."""

    who: Words
    does: Words


@dataclass(frozen=True, slots=True)
class Plan:
    """One cause: how it is noticed, what happens by itself, what people do, and when it is over."""

    cause: Cause
    title: Words
    noticed: Words
    by_itself: Words
    steps: tuple[Step, ...]
    over: Words

    def text(self, language: Language) -> str:
        """The plan as Markdown."""
        heads = {
            "zh": ("如何发现", "系统自行完成", "处置步骤", "何时结束", "由以下演练验证"),
            "en": ("How it is noticed", "What happens by itself", "What people do", "When it is over", "Proven by the drills"),
        }[language]  # fmt: skip
        steps = "\n".join(
            f"{n}. **{step.who[language]}**{':' if language == 'zh' else ': '}{step.does[language]}"
            for n, step in enumerate(self.steps, 1)
        )
        proven = "、" if language == "zh" else ", "
        cases = proven.join(f"`exchange drill {case.name}`" for case in CASES if case.cause == self.cause)
        parts = (self.noticed[language], self.by_itself[language], steps, self.over[language], cases)
        body = "\n\n".join(f"**{head}**\n\n{part}" for head, part in zip(heads, parts, strict=True))
        return f"## {self.title[language]}\n\n{body}\n"


_OPERATOR = words("系统管理员", "System administrator")
_SECURITY = words("安全管理员", "Security administrator")
_AUDITOR = words("审计管理员", "Audit administrator")
_OFFICERS = words("密钥保管人", "Key officers")
_REGULATOR = words("监管部门", "Regulator")

PLANS: Final[tuple[Plan, ...]] = (
    Plan(
        "power",
        words("电力与网络中断", "Power and network"),
        words(
            "/health 无应答;客户端报告结果未知;`exchange cluster check` 退出码非零。",
            "/health does not answer; clients report unknown outcomes; `exchange cluster check` exits non-zero.",
        ),
        words(
            "数据库被终止会自动重启;主机丢失由同步备机接管;客户端以同一标识重发;未被应答的请求可查询,至多生效一次。",
            "A killed database is started again; a lost primary is taken over by the synchronous standby; clients send again"
            " under the same identifier; whatever was not answered can be looked up, and took effect at most once.",
        ),
        (
            Step(_OPERATOR, words("确认只有一台主机可写:`exchange cluster check`。", "See that one machine alone takes writes: `exchange cluster check`.")),
            Step(_OPERATOR, words("启动交易所:`exchange serve`;不要改动数据目录。", "Start the exchange: `exchange serve`; leave the data directory as it is.")),
            Step(_OPERATOR, words("标的在中断期间到期的,由系统在恢复后立即截止;告知参与人以日志时间为准。", "Lots whose time came meanwhile are closed at once afterwards; tell the parties that the log's time counts.")),
            Step(_AUDITOR, words("导出并核验日志:`exchange audit export`、`exchange audit verify --held`。", "Export the log and audit it against a checkpoint from before: `exchange audit export`, `exchange audit verify --held`.")),
            Step(_OPERATOR, words("故障机修复后作为备机加入,再择时有序回切。", "Let the mended machine join as standby, and hand back in order when it suits.")),
        ),
        words("审计通过、备机重新同步、`/health` 正常。", "The audit passes, the standby is in step, `/health` is well."),
    ),
    Plan(
        "surge",
        words("访问洪峰", "Surge"),
        words("503 与 Retry-After 增多;应答时延上升。", "More answers of 503 with Retry-After; answers take longer."),
        words(
            "入口限量:截止与结算优先,其次出价,最后浏览;超出者得到 503 与等待时间;标的按时截止。",
            "Admission is limited: closing and settling first, then bids, then looks; who is too many gets 503 and how long"
            " to wait; lots close on time.",
        ),
        (
            Step(_OPERATOR, words("查看排队与拒绝量,确认截止按时。", "Look at what waits and what is turned away, and that lots close on time.")),
            Step(_SECURITY, words("来自同一主体的异常流量:暂停该主体(`set_party_state`),说明理由并留痕。", "Where one party sends it all: suspend that party (`set_party_state`), with the reason on the record.")),
            Step(_OPERATOR, words("增加无状态进程或更换更大机器;日志只有一个写入点,不增加写入进程。", "Add machines for looks, or a larger one; the log has one writer, and more writers do not help.")),
        ),
        words("时延恢复正常后十秒内无积压。", "Within ten seconds after latency is normal nothing waits."),
    ),
    Plan(
        "attack",
        words("攻击与内部篡改", "Attack, from outside or within"),
        words(
            "见证人报警;客户端报告分叉(Forked);审计指出首个错误序号;链上根与日志不一致(`GET /v1/anchors/watch`)。",
            "A witness raises the alarm; a client reports a fork (Forked); an audit names the first bad index; the chain holds"
            " another root (`GET /v1/anchors/watch`).",
        ),
        words(
            "见证人拒绝共同签名;被改动的行在下次使用时停止入账;回滚与两份日志由持有检查点者发现。",
            "Witnesses refuse to cosign; an edited row stops the next transfer on it; a rollback, or two logs, is found by"
            " whoever holds a checkpoint.",
        ),
        (
            Step(_REGULATOR, words("命令停市;保全见证人留存的日志与检查点。", "Order a halt; keep the witness's copy of log and checkpoints.")),
            Step(_SECURITY, words("隔离机器、保全磁盘;吊销可能泄露的密钥。", "Cut the machine off and keep its disk; revoke keys that may be known.")),
            Step(_AUDITOR, words("以见证人的检查点审计导出:`exchange audit verify --held`。", "Audit the export against the witness's checkpoints: `exchange audit verify --held`.")),
            Step(_OPERATOR, words("从备份恢复并由见证人补齐:`exchange restore`、`exchange recall`。", "Restore from the backup and take the rest back from the witness: `exchange restore`, `exchange recall`.")),
            Step(_OFFICERS, words("日志签名密钥泄露或条目无人持有:以签名说明终止日志并由后继承接:`exchange succeed`。", "Where the log's key is known to others, or entries are gone: end the log with a signed note and let a successor go on: `exchange succeed`.")),
        ),
        words("恢复的日志与见证及链上根一致,监管部门书面同意复市。", "The log agrees with the witnesses' and the chain's roots, and the regulator has agreed to go on."),
    ),
    Plan(
        "unforeseen",
        words("不可预见事件", "The unforeseen"),
        words("磁盘写满(503 与说明)、机器损毁、链失联或重组,或任何未列明的情况。", "A full disk (503, with the reason), a lost machine, a chain that is away or takes blocks back, or whatever no list has."),
        words("写满时不确认任何请求;腾出空间后自行恢复;锚定在链恢复后自行补齐。", "Nothing is acknowledged while the disk is full; it recovers when there is room; anchors catch up when the chain is back."),
        (
            Step(_OPERATOR, words("停止写入,先保全再处置;保留磁盘与日志归档。", "Stop writing; keep before you mend: disk and archived log.")),
            Step(_OPERATOR, words("腾出空间,或从备份与残留日志恢复:`exchange restore --wal`。", "Make room, or restore from the backup and what the disk still has: `exchange restore --wal`.")),
            Step(_OFFICERS, words("私钥丢失:以份额恢复 `exchange keys join`。", "Where private keys are gone: `exchange keys join` from the officers' shares.")),
            Step(_AUDITOR, words("恢复后审计,与见证及链上根比对。", "Audit what came back against the witnesses' and the chain's roots.")),
            Step(_REGULATOR, words("告知受影响的参与人;未被应答的请求由其自行查询。", "Tell the parties concerned; what was not answered they look up themselves.")),
        ),
        words("审计通过,演练记录已更新。", "The audit passes, and a drill of the case is on the record."),
    ),
)  # fmt: skip
"""One for each cause."""
