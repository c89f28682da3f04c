"""Officers' shares: enough of them give the keys, fewer say nothing, and a slip of the pen is named."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Malformed
from exchange.shares import Share, join, parse, share_bytes, split

KEY = "exchange.example.cn/log+4f3a2b1c+AbCd"
SECRET = bytes(range(200))


def chance(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def shared(secret: bytes = SECRET, count: int = 5, threshold: int = 3, seed: int = 1) -> list[Share]:
    return split(
        secret,
        count=count,
        threshold=threshold,
        set_id=seed.to_bytes(8),
        key=KEY,
        draw=chance(seed),
    )


@given(st.binary(min_size=1, max_size=300), st.data())
def test_any_choice_of_enough_shares_gives_the_secret_and_so_do_more(
    secret: bytes, data: st.DataObject
) -> None:
    count = data.draw(st.integers(2, 16))
    threshold = data.draw(st.integers(2, count))
    made = shared(secret, count, threshold, data.draw(st.integers(0, 2**32)))
    brought = data.draw(st.permutations(made).map(lambda s: s[: data.draw(st.integers(threshold, count))]))
    assert join(brought) == secret


@given(st.binary(min_size=1, max_size=300), st.integers(0, 2**32))
def test_a_sheet_can_be_read_as_it_was_printed_or_typed_in_lower_case(secret: bytes, seed: int) -> None:
    for share in shared(secret, seed=seed):
        assert parse(share.text(), "sheet") == share
        head, mark, letters = share.text().partition(" together\n\n")
        assert parse(head + mark + letters.lower().replace(" ", "   "), "sheet") == share


def drawing(*drawn: bytes) -> Callable[[int], bytes]:
    """A source of chance that gives just this."""
    left = iter(drawn)
    return lambda size: next(left)


def test_fewer_shares_than_needed_fit_every_secret_equally_well() -> None:
    """For one byte, over every draw: what fewer shares than are needed show is the same whatever the secret is."""
    # Two of three are needed: one alone, over all secrets and all draws.
    for number in range(3):
        seen: dict[int, Counter[int]] = {}
        for secret, drawn in itertools.product(range(256), repeat=2):
            values = share_bytes(bytes([secret]), 3, 2, drawing(bytes([drawn])))
            seen.setdefault(values[number][0], Counter())[secret] += 1
        assert len(seen) == 256
        assert all(fits == Counter(range(256)) for fits in seen.values())
    # Three are needed: of any two each pair of values appears exactly once over the 65,536 draws of a secret.
    for first, second in itertools.combinations(range(3), 2):
        for secret in (0, 0xA5):
            pairs = set()
            for high in range(256):
                values = share_bytes(
                    bytes([secret] * 256), 3, 3, drawing(bytes(range(256)), bytes([high] * 256))
                )
                pairs |= set(zip(values[first], values[second], strict=True))
            assert len(pairs) == 256 * 256


def test_too_few_shares_say_how_many_are_missing() -> None:
    with pytest.raises(Malformed) as caught:
        join(shared()[:2])
    assert caught.value.code == "shares.few"
    assert "bring 1 more" in str(caught.value.remedy)
    with pytest.raises(Malformed, match="no share"):
        join([])


def test_shares_of_two_sets_are_told_apart() -> None:
    with pytest.raises(Malformed) as caught:
        join([*shared()[:2], shared(seed=2)[2]])
    assert caught.value.code == "shares.mixed"
    with pytest.raises(Malformed, match="share 2 was given twice"):
        join([shared()[0], shared()[1], shared()[1]])


def test_a_share_that_was_not_handed_out_gives_nothing_and_is_named_when_there_is_one_more() -> None:
    made = shared()
    forged = replace(made[1], values=bytes(len(made[1].values)))
    with pytest.raises(Malformed, match="at least one is not what was handed out"):
        join([made[0], forged, made[2]])
    with pytest.raises(Malformed, match="share 2 is not what was handed out"):
        join([made[0], forged, made[2], made[3]])
    assert join([made[0], made[2], made[3]]) == SECRET


def test_a_wrong_letter_is_named_by_its_line() -> None:
    text = shared()[3].text()
    lines = text.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("share ")) + 2
    for number in (1, 5):
        line = lines[first + number - 1]
        wrong = ("A" if line[0] != "A" else "B") + line[1:]
        with pytest.raises(Malformed, match=f"paper.txt cannot be read: line {number} of its letters"):
            parse(text.replace(line, wrong), "paper.txt")
        with pytest.raises(Malformed, match=f"line {number}|a line is missing"):
            parse(text.replace(line + "\n", ""), "paper.txt")
    with pytest.raises(Malformed, match="END, is missing"):
        parse(text.partition("END")[0], "paper.txt")
    with pytest.raises(Malformed, match="no lines `key`"):
        parse("something else", "paper.txt")
    with pytest.raises(Malformed, match="line 1 of its letters"):
        parse(text.replace("share    4 of 5", "share    3 of 5"), "paper.txt")


@given(st.integers(0, 10_000), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_no_single_wrong_letter_passes(at: int, letter: str) -> None:
    share = shared()[0]
    head, mark, body = share.text().partition("together\n\n")
    at %= len(body)
    changed = body[:at] + letter + body[at + 1 :]
    try:
        read = parse(head + mark + changed, "sheet")
    except Malformed:
        return
    assert read == share


@pytest.mark.parametrize(("count", "threshold"), [(5, 1), (2, 3), (17, 3), (1, 1), (0, 0)])
def test_numbers_that_make_no_sense_are_refused(count: int, threshold: int) -> None:
    with pytest.raises(Malformed) as caught:
        shared(count=count, threshold=threshold)
    assert caught.value.code == "shares.numbers"


def test_a_share_shows_its_values_to_nobody_who_prints_it() -> None:
    share = shared()[0]
    assert share.values.hex() not in repr(share)
    assert "values" not in repr(share)
    assert "任意 3 份" in share.text()
    assert "any 3 together" in share.text()
