"""The canonical form: one value, one string of bytes, whatever the process."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.canonical import canonical, digest
from pricing.errors import CanonicalError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values, st.randoms(use_true_random=False))
def test_the_order_of_members_changes_nothing(value: object, random: object) -> None:
    def shuffled(node: object) -> object:
        if isinstance(node, dict):
            members = list(node.items())
            random.shuffle(members)  # type: ignore[attr-defined]
            return {key: shuffled(member) for key, member in members}
        return [shuffled(member) for member in node] if isinstance(node, list) else node

    assert digest(shuffled(value)) == digest(value)  # type: ignore[arg-type]


@given(values)
def test_it_is_json_with_numbers_as_text(value: object) -> None:
    def spelled(node: object) -> object:
        if isinstance(node, dict):
            return {key: spelled(member) for key, member in node.items()}
        if isinstance(node, list):
            return [spelled(member) for member in node]
        return str(node) if type(node) is int else node

    assert json.loads(canonical(value)) == spelled(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", [1.5, {"a": [0.0]}, {"a": object()}, "\ud800", {"\ud800": "a"}, {1: "a"}, b"a"]
)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(CanonicalError):
        canonical(value)  # type: ignore[arg-type]


def test_the_place_of_a_refused_value_is_named() -> None:
    with pytest.raises(CanonicalError, match=r"\$\.a\[1\]: a float"):
        canonical({"a": [1, 2.0]})  # type: ignore[list-item]


def test_amounts_above_two_to_the_53_keep_every_digit() -> None:
    assert canonical({"b": 2**63 - 1, "a": -1}) == b'{"a":"-1","b":"9223372036854775807"}'


def test_another_process_with_another_hash_seed_gives_the_same_bytes() -> None:
    program = (
        "from pricing.canonical import digest;"
        "print(digest({key: list({'x', 'y', 'z'} & {key}) for key in {'x', 'y', 'z', '价'}}))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(digests) == 1
