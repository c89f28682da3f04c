"""Trust policies: the text survives, every wrong line is named, and a quorum is met by who cosigned and nobody else."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, Cosigner, Signer, sign
from ledger.errors import NoteError, PolicyError
from ledger.policy import Policy

LOG = Signer("log.example", b"l" * 32)
WITNESSES = [Cosigner(f"witness-{n}.example", bytes([n]) * 32) for n in range(1, 7)]
CHECKPOINT = Checkpoint("log.example", 7, b"r" * 32)

TWO_LEVELS = "\n".join(
    [
        f"log {LOG.vkey} https://log.example",
        "",
        *(f"witness X{n} {WITNESSES[n].vkey}" for n in range(3)),
        "  group X-witnesses 2 X0 X1 X2  ",
        "# the others",
        *(f"witness\tY{n}\t{WITNESSES[n].vkey} http://w{n}.example:80/prefix" for n in range(3, 6)),
        "group Y-witnesses any Y3 Y4 Y5",
        "group X-and-Y all X-witnesses Y-witnesses",
        "quorum X-and-Y",
        "",
    ]
)
"""The example of c2sp.org/tlog-policy, with keys."""


def note(*cosigners: Cosigner, time_s: int = 100) -> str:
    return sign(CHECKPOINT, LOG) + "".join(one.cosign(CHECKPOINT.body(), time_s) for one in cosigners)


def test_the_example_of_two_levels_is_met_by_two_of_one_side_and_one_of_the_other() -> None:
    policy = Policy.parse(TWO_LEVELS)
    for count in range(7):
        for chosen in combinations(range(6), count):
            _, found = policy.judge(note(*(WITNESSES[n] for n in chosen)))
            enough = len([n for n in chosen if n < 3]) >= 2 and any(n >= 3 for n in chosen)
            assert found.met is enough
            assert set(found.cosigned) | set(found.missing) == set(policy.witnesses)
            assert set(found.cosigned.values()) <= {100}
            if enough:
                policy.require(note(*(WITNESSES[n] for n in chosen)))
            else:
                with pytest.raises(NoteError, match="missing"):
                    policy.require(note(*(WITNESSES[n] for n in chosen)))


@given(st.integers(0, 6), st.integers(0, 6), st.data())
def test_k_of_n_is_met_by_k_whoever_they_are(n: int, k: int, data: st.DataObject) -> None:
    k = min(k, n)
    policy = Policy.k_of_n(LOG.vkey, {f"w{i}": WITNESSES[i].vkey for i in range(n)}, k)
    chosen = data.draw(st.sets(st.integers(0, 5)))
    _, found = policy.judge(note(*(WITNESSES[i] for i in sorted(chosen))))
    assert found.met is (len([i for i in chosen if i < n]) >= k)
    assert Policy.parse(policy.text()) == policy or policy.text() == Policy.parse(policy.text()).text()


def test_the_text_of_a_policy_reads_back_to_the_same_policy() -> None:
    policy = Policy.parse(TWO_LEVELS)
    again = Policy.parse(policy.text())
    assert again.text() == policy.text()
    assert (again.groups, again.quorum, list(again.witnesses)) == (
        policy.groups,
        policy.quorum,
        list(policy.witnesses),
    )
    assert [peer.url for peer in again.witnesses.values()][3] == "http://w3.example:80/prefix"


def test_only_a_log_of_the_policy_counts_under_its_own_name() -> None:
    policy = Policy.k_of_n(LOG.vkey, {"w": WITNESSES[0].vkey}, 1)
    other = Signer("other.example", b"o" * 32)
    theirs = Checkpoint("other.example", 7, b"r" * 32)
    for stranger in (
        sign(theirs, other) + WITNESSES[0].cosign(theirs.body(), 1),  # nobody of the policy but a witness
        sign(theirs, LOG) + WITNESSES[0].cosign(theirs.body(), 1),  # the log signs for another one
        CHECKPOINT.body() + "\n" + WITNESSES[0].cosign(CHECKPOINT.body(), 1),  # the log did not sign
    ):
        with pytest.raises(NoteError):
            policy.judge(stranger)
    with pytest.raises(PolicyError, match="line 2: a second key of the name"):
        Policy.k_of_n(LOG.vkey, {"w": Cosigner(LOG.name, b"w" * 32).vkey}, 1)
    forged = sign(CHECKPOINT, LOG) + WITNESSES[0].cosign(theirs.body(), 1)
    with pytest.raises(NoteError, match="does not hold"):
        policy.judge(forged)


def test_what_a_note_has_of_the_quorum_is_said_in_both_languages() -> None:
    policy = Policy.k_of_n(LOG.vkey, {f"w{n}": WITNESSES[n].vkey for n in range(3)}, 2)
    _, short = policy.judge(note(WITNESSES[1]))
    _, met = policy.judge(note(*WITNESSES[:3]))
    assert short.explain("en") == "1 of 3 witnesses cosigned, missing: w0, w2: short of the policy's quorum"
    assert short.explain("zh") == "3 名见证人中 1 名已副署,缺 w0、w2:未达到政策的多数"
    assert met.explain("en") == "3 of 3 witnesses cosigned: the policy's quorum"
    assert met.explain("zh") == "3 名见证人中 3 名已副署:已达到政策的多数"


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("log", 1),
        (f"log {LOG.vkey} a b", 1),
        (f"log {LOG.vkey} ftp://x", 1),
        ("log nonsense", 1),
        (f"log {WITNESSES[0].vkey}", 1),
        (f"witness w {LOG.vkey}", 1),
        (f"witness none {WITNESSES[0].vkey}", 1),
        (f"witness w {WITNESSES[0].vkey}\nwitness w {WITNESSES[1].vkey}", 2),
        (f"witness w {WITNESSES[0].vkey}\nwitness v {WITNESSES[0].vkey}", 2),
        (f"witness w {WITNESSES[0].vkey}\nwitness v {Cosigner(WITNESSES[0].name, b'z' * 32).vkey}", 2),
        (f"log {LOG.vkey}\nlog {LOG.vkey}", 2),
        ("group g any w", 1),
        (f"witness w {WITNESSES[0].vkey}\ngroup g 2 w", 2),
        (f"witness w {WITNESSES[0].vkey}\ngroup g 0 w", 2),
        (f"witness w {WITNESSES[0].vkey}\ngroup g 01 w", 2),
        (f"witness w {WITNESSES[0].vkey}\ngroup g any", 2),
        (f"witness w {WITNESSES[0].vkey}\ngroup g any w w", 2),
        (f"witness w {WITNESSES[0].vkey}\ngroup g any w\ngroup h any w", 3),
        (f"witness w {WITNESSES[0].vkey}\ngroup w any w", 2),
        ("quorum w", 1),
        ("quorum none\nquorum none", 2),
        ("quorums none", 1),
        ("quorum none\x0b", 1),
        ("", 1),
        ("\n" * 1_000, 1_000),
    ],
)
def test_a_line_that_is_wrong_is_named(line: str, number: int) -> None:
    with pytest.raises(PolicyError) as refused:
        Policy.parse(line)
    assert refused.value.detail.startswith(f"line {number}:")
    assert "tlog-policy" in refused.value.rule
