"""What the judge says: one verdict of many checks, each passed, failed or not checked, in words for people too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ledger.postings import Account

Status = Literal["passed", "failed", "not checked"]
Language = Literal["zh", "en"]

CHECKS: Mapping[str, tuple[str, str]] = {
    "manifest": ("清单与内容一致", "The manifest agrees with the content"),
    "leaves": ("叶子完整、有序、格式正确", "Leaves are complete, in order and well formed"),
    "bodies": ("正文与叶子的摘要、类型、时间一致", "Bodies agree with their leaves"),
    "time": ("时间从不倒退", "Time never goes backwards"),
    "checkpoints": ("每个检查点的根可由叶子重算", "Every checkpoint's root follows from the leaves"),
    "consistency": ("相邻检查点之间只增不改", "From checkpoint to checkpoint the log only grew"),
    "signatures": ("检查点签名", "Checkpoints are signed by trusted keys"),
    "witnesses": ("见证人副署达到政策所要求的多数", "The policy's quorum of witnesses cosigned"),
    "succession": (
        "所接续的日志由其自己的密钥宣告终止",
        "The log that this one took over from was ended by its own key",
    ),
    "held_checkpoints": (
        "审计人自持的检查点在此日志上",
        "Checkpoints that the auditor holds lie on this log",
    ),
    "accounts": ("账户只开立一次", "Accounts are opened once"),
    "transfers": ("分录可逐笔重放且守法", "Transfers replay within the rules"),
    "double_entry": ("借贷相等", "Debits equal credits"),
    "account_rows": ("账户表与日志一致", "The account table agrees with the log"),
    "transfer_rows": ("分录表与日志一致", "The transfer table agrees with the log"),
    "openings": ("承诺的开示与承诺一致", "Openings match their commitments"),
    "anchors": ("上链锚点与日志一致", "Anchors on a chain agree with the log"),
}
"""Every check of a verdict, in order, with its name in Chinese and English."""

STATUSES: Mapping[Status, tuple[str, str]] = {
    "passed": ("通过", "passed"),
    "failed": ("不通过", "FAILED"),
    "not checked": ("未核对", "not checked"),
}

SAYINGS: Mapping[str, tuple[str, str]] = {
    # manifest
    "manifest_ok": ("大小 {size},根相符", "size {size}, root as claimed"),
    "manifest_root": ("清单所称的根与重算结果不同", "claims another root than the leaves give"),
    # leaves
    "leaves_ok": ("{count} 条", "{count} entries"),
    "leaf_form": ("第 {index} 条叶子格式不正确", "leaf {index} is malformed"),
    # bodies
    "bodies_ok": ("{count} 条正文", "{count} bodies"),
    "bodies_withheld": (
        "已核对 {checked} 条;{withheld} 条未向本读者披露,最早是第 {first} 条",
        "{checked} checked; {withheld} not disclosed to this reader, the first at index {first}",
    ),
    "body_digest": ("第 {index} 条正文与叶子的摘要不符", "body {index} has another digest than its leaf"),
    "body_form": ("第 {index} 条正文不是规范格式:{why}", "body {index} is not canonical: {why}"),
    "chunk_stray": ("第 {index} 条是无主的分块", "entry {index} is a chunk of no body"),
    "chunk_missing": (
        "第 {first} 条的大正文缺少分块,至第 {last} 条未见",
        "the large body of entry {first} lacks a chunk: up to index {last} there is none",
    ),
    "chunk_form": (
        "第 {first} 条的大正文(至第 {last} 条)不成立:{why}",
        "the large body of entry {first}, up to index {last}, does not hold: {why}",
    ),
    "body_envelope": (
        "第 {index} 条正文的类型或时间与叶子不同",
        "body {index} names another kind or time than its leaf",
    ),
    # time
    "time_ok": ("从 {first} 到 {last}(微秒)", "from {first} to {last} (microseconds)"),
    "time_none": ("没有可读的叶子", "no leaf could be read"),
    "time_back": ("第 {index} 条的时间早于前一条", "entry {index} is earlier than the one before"),
    # checkpoints, consistency, signatures
    "checkpoints_ok": ("{count} 个检查点", "{count} checkpoints"),
    "checkpoints_none": ("没有检查点,日志未经签名", "there is no checkpoint: nothing was signed"),
    "checkpoint_form": ("第 {line} 个检查点无法读取:{why}", "checkpoint {line} cannot be read: {why}"),
    "checkpoint_origin": (
        "大小 {size} 的检查点属于另一个日志 {origin}",
        "the checkpoint of size {size} is of another log, {origin}",
    ),
    "checkpoint_root": (
        "大小 {size} 的检查点的根与叶子不符,与叶子相符的上一个大小为 {agreed}:问题在第 {first} 至 {last} 条",
        "the checkpoint of size {size} has another root than the leaves, the last that agrees has size {agreed}: "
        "the fault lies from index {first} to {last}",
    ),
    "checkpoint_beyond": (
        "有大小 {size} 的检查点,但只有 {found} 条,与叶子相符的上一个大小为 {agreed}:第 {first} 至 {last} 条有缺失",
        "there is a checkpoint of size {size} but only {found} entries, the last that agrees has size {agreed}: "
        "some of index {first} to {last} are missing",
    ),
    "checkpoint_behind": (
        "最后的检查点只到 {size},其后的条目未经签名",
        "the last checkpoint ends at {size}: the entries behind it are not signed for",
    ),
    "checkpoint_place": (
        "大小 {size} 的检查点放在了第 {first} 至 {last} 条的段里",
        "the checkpoint of size {size} stands beside the entries {first} to {last}",
    ),
    "later_bad": ("其后的检查点:{why}", "the later checkpoint: {why}"),
    "later_fork": (
        "大小 {size} 的其后检查点不由此处增长而来:{why}",
        "the later checkpoint of size {size} did not grow from here: {why}",
    ),
    "later_none": (
        "所称其后的检查点大小 {size}、属于 {origin},并不在此日志之后",
        "the later checkpoint, of size {size} of {origin}, is not beyond the end of this log",
    ),
    "consistency_ok": ("{count} 次增长,均由叶子重算", "{count} steps, recomputed from the leaves"),
    "consistency_none": ("检查点不足两个", "fewer than two checkpoints"),
    "consistency_back": ("检查点从 {old} 倒退到 {size}", "the checkpoints go back from size {old} to {size}"),
    "consistency_fork": (
        "从 {old} 到 {size} 的检查点不在同一棵树上",
        "the checkpoints of sizes {old} and {size} are not of one growing tree",
    ),
    "signatures_ok": ("{count} 个检查点,由 {names} 签名", "{count} checkpoints, signed by {names}"),
    "signatures_own": (
        "签名只与包内自带的公钥相符;请从别处取得公钥再核对",
        "the signatures hold only under keys that came in the bundle itself; get the keys elsewhere and judge again",
    ),
    "signature_bad": ("大小 {size} 的检查点:{why}", "the checkpoint of size {size}: {why}"),
    "witnesses_ok": (
        "{count} 名见证人中 {names} 副署了大小 {size} 的检查点;其后 {behind} 条尚未见证",
        "{names}, of {count}, cosigned the checkpoint of size {size}; the {behind} entries behind it are not witnessed yet",
    ),
    "witnesses_none": (
        "未提供见证政策;没有它就看不出日志是否向不同的人出示不同的历史",
        "no policy was given; without one a log that is shown differently to different people cannot be told",
    ),
    "witnesses_later": (
        "此段 {count} 条尚无检查点得到政策的多数 {quorum}",
        "no checkpoint among these {count} entries has the policy's quorum {quorum} yet",
    ),
    "witnesses_short": (
        "没有一个检查点得到政策的多数 {quorum}(共 {count} 名见证人)",
        "no checkpoint has the quorum {quorum} of the policy's {count} witnesses",
    ),
    "succession_none": ("未接续其他日志", "it took over from no other"),
    "succession_ok": (
        "自第 {size} 条起接续 {origin};后者以 {size} 条告终,另有 {lost} 条曾被见到而已遗失;缘由:{reason}",
        "from entry {size} on it goes on from {origin}, which ended with {size} entries; {lost} more were seen of it and "
        "are lost; reason: {reason}",
    ),
    "succession_own": (
        "称自第 {size} 条起接续 {origin}(另有 {lost} 条遗失;缘由:{reason});该日志的公钥不在所给之列,未能核对",
        "from entry {size} on it says to go on from {origin} ({lost} entries lost; reason: {reason}); that log's key is "
        "not among those you gave, so its word was not checked",
    ),
    "succession_withheld": (
        "第 {index} 条称接续另一日志,其正文未披露",
        "entry {index} takes over from another log, and its body is withheld",
    ),
    "succession_bad": (
        "第 {index} 条所称的接续不成立:{why}",
        "what entry {index} says of a log before it does not hold: {why}",
    ),
    "held_ok": ("{count} 个,最大 {size}", "{count}, the largest of size {size}"),
    "held_none": (
        "未提供;没有它就看不出日志被退回到较早的检查点",
        "none given; without one a log cut back to an earlier checkpoint cannot be told from a younger log",
    ),
    "held_outside": (
        "自持的检查点都不在本包的 {start} 至 {size} 之内,无从比较",
        "none that is held lies from {start} to {size}, which this bundle shows: nothing to compare",
    ),
    "held_form": ("第 {line} 个无法采信:{why}", "number {line} cannot be trusted: {why}"),
    "held_own": (
        "与日志相符,但只按包内自带的公钥验过签名",
        "they lie on this log, but their signatures were checked under keys that came in the bundle itself",
    ),
    "held_lost": (
        "自持的 {count} 个都在前一日志宣告遗失的部分里,无从比较",
        "the {count} that are held lie in what the log before this one is declared to have lost: nothing to compare",
    ),
    "held_undeclared": (
        "前一日志曾有 {size} 条,其终止声明只承认被见到 {seen} 条,或所称的根不同",
        "the log before this one had {size} entries, and the note of its end admits only {seen}, or another root",
    ),
    "held_origin": (
        "大小 {size} 的属于另一个日志 {origin}",
        "the one of size {size} is of another log, {origin}",
    ),
    "held_root": (
        "大小 {size} 的根与此日志不同:历史被改写",
        "the one of size {size} has another root: history was rewritten",
    ),
    "held_beyond": (
        "日志曾有 {size} 条,现只有 {found} 条",
        "the log once had {size} entries and now shows {found}",
    ),
    # the fold
    "accounts_ok": ("{count} 个账户", "{count} accounts"),
    "account_twice": ("账户 {id} 在第 {index} 条再次开立", "account {id} is opened again at index {index}"),
    "account_form": (
        "第 {index} 条的开户无法读取:{why}",
        "the accounts of entry {index} cannot be read: {why}",
    ),
    "transfers_ok": ("{count} 笔,编号连续", "{count} transfers, numbered without a gap"),
    "transfer_form": (
        "第 {index} 条的分录无法读取:{why}",
        "the transfers of entry {index} cannot be read: {why}",
    ),
    "transfer_twice": ("分录 {id} 在第 {index} 条重复出现", "transfer {id} occurs again at index {index}"),
    "transfer_refused": (
        "第 {index} 条的分录 {id} 违规:{reason}",
        "transfer {id} of entry {index} breaks a rule: {reason}",
    ),
    "fold_stopped": (
        "第 {index} 条起无正文可用,只重放到那里",
        "replayed only up to index {index}: from there bodies are missing or unusable",
    ),
    "fold_without_past": (
        "本包自第 {index} 条起只是一部分;没有其余账目,资金无从重放",
        "from index {index} on the bundle has only a part; without the rest money cannot be replayed",
    ),
    "party_only": (
        "本包只供一方:其余各方的 {withheld} 条正文未披露",
        "the bundle is for one party: {withheld} bodies of others are not in it",
    ),
    "party_balances_ok": (
        "{count} 个账户所称的余额恰为所列分录之和;若一笔在两处都被略去,本包看不出来",
        "{count} accounts: the claimed balances are just what the listed transfers give; "
        "one that was left out of both cannot be seen here",
    ),
    "party_balance": (
        "账户 {id} 的 {member} 称为 {claimed},所列分录之和为 {folded}:有分录被略去或改动",
        "account {id}: {member} is said to be {claimed}, the listed transfers give {folded}: one was left out or changed",
    ),
    "party_rows_ok": (
        "{count} 笔,均见于已披露的正文",
        "{count} transfers, each borne out by a disclosed body",
    ),
    "party_rows_unconfirmed": (
        "{confirmed} 笔见于已披露的正文;{unconfirmed} 笔所在的正文未披露,只知其与余额相符",
        "{confirmed} borne out by disclosed bodies; {unconfirmed} lie in bodies not disclosed, and only agree with the balances",
    ),
    "party_row_form": (
        "第 {first} 至 {last} 条之间有一行无法读取:{why}",
        "a row beside {first} to {last} cannot be read: {why}",
    ),
    "party_row_differs": ("分录 {id} 与第 {index} 条正文不同", "transfer {id} is not as entry {index} says"),
    "party_row_state": (
        "分录 {id} 的状态称为 {claimed},应为 {folded}",
        "transfer {id} is said to be {claimed}, it is {folded}",
    ),
    "account_row_form": ("表 accounts 第 {line} 行无法读取:{why}", "table accounts, line {line}: {why}"),
    "double_entry_ok": ("账簿 {ledgers}", "ledgers {ledgers}"),
    "double_entry_bad": ("账簿 {ledger} 相差 {difference}", "ledger {ledger} is off by {difference}"),
    "account_rows_ok": ("{count} 行", "{count} rows"),
    "account_rows_later": (
        "余额表只在日志最新处成立,本包在此前结束",
        "rows are claimed at the newest entry of the log, and the bundle ends before it",
    ),
    "account_row": (
        "表 accounts 的 {id}:{member} 为 {claimed},按日志应为 {folded};第 {index} 条最后改动它",
        "table accounts, {id}: {member} is {claimed}, the log gives {folded}; entry {index} last set it",
    ),
    "account_row_missing": (
        "表 accounts 缺少 {id};第 {index} 条最后改动它",
        "table accounts lacks {id}; entry {index} last set it",
    ),
    "account_row_unknown": (
        "表 accounts 的 {id} 从未在日志中开立",
        "table accounts, {id}: no entry opened it",
    ),
    "account_row_twice": ("表 accounts 的 {id} 出现两次", "table accounts, {id}: there twice"),
    "transfer_rows_ok": ("{count} 行", "{count} rows"),
    "transfer_rows_later": (
        "{count} 行;其中 {holds} 笔冻结的结果只在日志最新处成立,本包在此前结束",
        "{count} rows; what became of {holds} holds is claimed at the newest entry, and the bundle ends before it",
    ),
    "transfer_row": (
        "表 transfers 的 {id}:{member} 为 {claimed},按日志应为 {folded};第 {index} 条最后改动它",
        "table transfers, {id}: {member} is {claimed}, the log gives {folded}; entry {index} last set it",
    ),
    "transfer_row_missing": (
        "表 transfers 缺少 {id};它在第 {index} 条",
        "table transfers lacks {id} of entry {index}",
    ),
    "transfer_row_unknown": ("表 transfers 的 {id} 不在日志中", "table transfers, {id}: no entry carries it"),
    # openings, anchors
    "openings_ok": ("{count} 个开示", "{count} openings"),
    "openings_none": ("包内没有开示", "the bundle has no openings"),
    "openings_erased": (
        "已核对 {checked} 个;不予判断:已抹除 {erased} 个",
        "{checked} checked; not judged: erased: {erased}",
    ),
    "openings_unseen": (
        "已核对 {checked} 个;{unseen} 个的承诺可能在未披露的正文里",
        "{checked} checked; {unseen} belong to no body that was disclosed or usable",
    ),
    "opening_form": ("第 {line} 行无法读取:{why}", "line {line} cannot be read: {why}"),
    "opening_value": ("{commitment} 的开示与承诺不符", "the opening of {commitment} does not match it"),
    "opening_unknown": ("{commitment} 不在任何正文中", "{commitment} occurs in no body"),
    "anchors_ok": ("{count} 个锚点,链上读回一致", "{count} anchors, read back from the chain"),
    "anchors_none": ("包内没有锚点", "the bundle has no anchors"),
    "anchors_unread": (
        "{count} 个锚点与日志相符,但未与链核对",
        "{count} anchors agree with the log; no chain was read",
    ),
    "anchors_unreachable": ("链读不到:{why}", "the chain could not be read: {why}"),
    "anchor_form": ("第 {line} 个锚点无法读取:{why}", "anchor {line} cannot be read: {why}"),
    "anchor_root": (
        "大小 {size} 的锚点的根与日志不同",
        "the anchor of size {size} has another root than the log",
    ),
    "anchor_beyond": (
        "有大小 {size} 的锚点,但只有 {found} 条",
        "there is an anchor of size {size}, but only {found} entries",
    ),
    "anchor_chain": (
        "交易 {tx}:链上是大小 {size}、根 {root},与所称不同",
        "transaction {tx}: the chain shows size {size} and root {root}, not what is claimed",
    ),
    "anchor_taken_back": (
        "交易 {tx} 当时尚未最终确认,链上已不在",
        "transaction {tx} was not final then, and the chain no longer has it",
    ),
    "anchor_absent": ("交易 {tx}:{why}", "transaction {tx}: {why}"),
}


def _shown(fact: str | int) -> str:
    """A fact as a screen may show it: the bundle's author chose it, so no control characters and no flood."""
    text = "".join(char if char.isprintable() else "\ufffd" for char in str(fact)[:301])
    return text if len(text) <= 300 else text[:300] + "…"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was judged.

    A failed check says the first fault; where the log can only say that it lies in a range of entries, that is
    `first_bad_index` … `last_bad_index`. `faults` counts all of them, `unchecked` what could not be judged.
    """

    name: str
    status: Status
    saying: str
    facts: Mapping[str, str | int] = field(default_factory=dict)
    first_bad_index: int | None = None
    last_bad_index: int | None = None
    faults: int = 0
    unchecked: int = 0

    @property
    def detail(self) -> str:
        """What was found, in English."""
        return self.explain("en")

    def explain(self, language: Language) -> str:
        """What was found, in words."""
        shown = {name: _shown(fact) for name, fact in self.facts.items()}
        return SAYINGS[self.saying][language == "en"].format_map(shown)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "status": self.status,
            "detail": self.detail,
            "code": self.saying,
            "facts": dict(self.facts),
            "first_bad_index": self.first_bad_index,
            "last_bad_index": self.last_bad_index,
            "faults": self.faults,
            "unchecked": self.unchecked,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one bundle: the entries [start, size) of a log, for everybody or for one party.

    `vkeys` are the keys that signatures were checked with, none where the reader gave none. `balances` are the
    accounts as the log alone gives them, empty where a body was missing or unusable.
    """

    origin: str
    sandbox: bool
    start: int
    size: int
    root: bytes
    party: str | None
    vkeys: tuple[str, ...]
    checks: list[Check]
    balances: dict[str, Account]

    @property
    def ok(self) -> bool:
        """Nothing that was checked failed. Says nothing of what was not checked: see `not_checked`."""
        return all(check.status != "failed" for check in self.checks)

    @property
    def first_bad_index(self) -> int | None:
        """The smallest index that a failed check names."""
        return min((c.first_bad_index for c in self.checks if c.first_bad_index is not None), default=None)

    @property
    def not_checked(self) -> list[str]:
        """Names of the checks that nobody should take as passed."""
        return [check.name for check in self.checks if check.status == "not checked"]

    def check(self, name: str) -> Check:
        """The check of this name."""
        return next(check for check in self.checks if check.name == name)

    def to_json(self) -> dict[str, Any]:
        """The verdict as a JSON object; amounts are minor units in decimal, as strings."""
        return {
            "ok": self.ok,
            "origin": self.origin,
            "sandbox": self.sandbox,
            "start": self.start,
            "size": self.size,
            "root": self.root.hex(),
            "party": self.party,
            "vkeys": list(self.vkeys),
            "first_bad_index": self.first_bad_index,
            "not_checked": self.not_checked,
            "checks": [check.to_json() for check in self.checks],
            "balances": {
                account.id: {
                    "ledger": account.ledger,
                    "code": account.code,
                    "debits_pending": str(account.debits_pending),
                    "debits_posted": str(account.debits_posted),
                    "credits_pending": str(account.credits_pending),
                    "credits_posted": str(account.credits_posted),
                    "balance": str(account.balance),
                }
                for account in self.balances.values()
            },
        }

    def explain(self, language: Language) -> str:
        """The verdict in words, a line a check, the conclusion first."""
        zh = language == "zh"
        at = self.first_bad_index
        if not self.ok:
            where = (
                ""
                if at is None
                else (f",最早的问题在第 {at} 条" if zh else f"; the first fault is at index {at}")
            )
            head = ("结论:不通过" if zh else "Verdict: FAILED") + where
        elif self.not_checked:
            head = (
                f"结论:已核对的全部通过,{len(self.not_checked)} 项未核对"
                if zh
                else f"Verdict: all that was checked passed; {len(self.not_checked)} not checked"
            )
        else:
            head = "结论:全部通过" if zh else "Verdict: all passed"
        lines = [
            head,
            f"{_shown(self.origin)}{'(沙盒)' if zh and self.sandbox else ' (sandbox)' if self.sandbox else ''} · "
            f"{f'{self.start} → {self.size}' if self.start else self.size} · {self.root.hex()}",
        ]
        if self.party is not None:
            lines.append(f"{'仅供' if zh else 'for'} {_shown(self.party)}")
        keys = ", ".join(self.vkeys) or ("未提供" if zh else "none given")
        lines.append(f"{'核对所用公钥:' if zh else 'checked with the keys: '}{keys}")
        for check in self.checks:
            name, status = CHECKS[check.name][not zh], STATUSES[check.status][not zh]
            more = check.faults - 1
            rest = "" if more < 1 else (f"(另有 {more} 处)" if zh else f" (and {more} more)")
            lines.append(f"[{status}] {name}{':' if zh else ': '}{check.explain(language)}{rest}")
        return "\n".join(lines)
