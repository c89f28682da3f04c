"""Techniques do what they say, products hold k and l, the same input makes the same bytes, and attacks find no more than stated."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.demo.tables import write_flights, write_patients
from exchange.desensitization import hierarchies, techniques
from exchange.desensitization.certificate import Authorization
from exchange.desensitization.department import Product, Scan, apply, scan
from exchange.desensitization.detection.detect import detect
from exchange.desensitization.errors import NotAuthorized, NotReached, PolicyRefused
from exchange.desensitization.pictures import percent
from exchange.desensitization.policy import (
    ColumnPolicy,
    Cuts,
    Dates,
    Frequent,
    Generalize,
    Hierarchy,
    Interval,
    Keep,
    Mask,
    Policy,
    Prefix,
    Pseudonymize,
    Region,
    Round,
    Suppress,
    Technique,
    Tree,
    Whole,
    parse,
)
from exchange.desensitization.policy.declaration import Declaration, DeclaredColumn, load
from exchange.desensitization.product import apply_policy
from exchange.desensitization.reading.limits import Limits
from exchange.desensitization.report import html
from exchange.desensitization.scanned import read_report

SALT = bytes(range(32))
KEY = bytes(range(32, 64))
LIMITS = Limits()


def changed(values: list[Any], technique: Technique, key: bytes = KEY, name: str = "c") -> list[Any]:
    """What a column's rows become."""
    column = detect(pa.table({name: pa.array(values)})).columns[0]
    made = techniques.transform(column, technique, key)
    return [made[code].as_py() for code in column.coded.codes.tolist()]


CUTS = Cuts(((Decimal(18), Decimal(65)), (Decimal(65),)))
REGION = Region(("county", "prefecture", "province"))
AGES = Interval(Decimal(0), (Decimal(5), Decimal(10)), Decimal(10), Decimal(80))


@pytest.mark.parametrize(
    ("hierarchy", "level", "values", "labels"),
    [
        (AGES, 1, [0, 9, 10, 14, 15, 79, 80, 120], ["< 10", "< 10", "[10, 15)", "[10, 15)", "[15, 20)", "[75, 80)", ">= 80", ">= 80"]),
        (AGES, 2, [14, 15, 20], ["[10, 20)", "[10, 20)", "[20, 30)"]),
        (AGES, 3, [14, None], ["*", "*"]),
        (AGES, 1, [None, 14], [None, "[10, 15)"]),
        (Interval(Decimal(0), (Decimal("0.1"),)), 1, [0.3, -0.05, 0.29999], ["[0.3, 0.4)", "[-0.1, 0)", "[0.2, 0.3)"]),
        (Interval(Decimal(3), (Decimal(7),)), 1, [3, 2, 10], ["[3, 10)", "[-4, 3)", "[10, 17)"]),
        (Dates(("month", "quarter", "year", "decade")), 1, [date(2025, 3, 31)], ["2025-03"]),
        (Dates(("month", "quarter", "year", "decade")), 2, [date(2025, 3, 31), date(2025, 4, 1)], ["2025-Q1", "2025-Q2"]),
        (Dates(("month", "quarter", "year", "decade")), 4, [date(1999, 3, 31)], ["1990s"]),
        (Dates(("year",)), 1, ["2025-03-31", "20241231", "2023年1月5日"], ["2025", "2024", "2023"]),
        (Prefix((4, 2)), 1, ["110101", "4401"], ["1101**", "4401"]),
        (Prefix((4, 2)), 2, ["110101"], ["11****"]),
        (Tree({"cat": ("pet", "animal"), "7": ("number", "thing")}), 2, ["cat", "7"], ["animal", "thing"]),
        (Tree({"7": ("number",)}), 1, [7.0], ["number"]),
        (Whole(), 1, ["x", None], ["*", "*"]),
        (CUTS, 1, [17, 18, 64.5, 65, -1], ["< 18", "[18, 65)", "[18, 65)", ">= 65", "< 18"]),
        (CUTS, 2, [17, 65, None], ["< 65", ">= 65", None]),
        (Frequent((("a", "7"), ("a",))), 1, ["a", "7", "b"], ["a", "7", "other than 2"]),
        (Frequent((("a", "7"), ("a",))), 2, ["a", "7", None], ["a", "other than 1", None]),
        (REGION, 1, ["440305", "广东省深圳市南山区"], ["440305 广东省深圳市南山区"] * 2),
        (REGION, 2, ["440305", "深圳", "上海市市辖区浦东新区"], ["4403** 广东省深圳市", "4403** 广东省深圳市", "3101** 上海市"]),
        (REGION, 3, ["440305001002", "广东", "吉林市"], ["44**** 广东省", "44**** 广东省", "22**** 吉林省"]),
        (REGION, 4, [None], ["*"]),
    ],
)  # fmt: skip
def test_values_become_their_ancestors(
    hierarchy: Hierarchy, level: int, values: list[Any], labels: list[Any]
) -> None:
    assert hierarchies.labels("c", hierarchy, level, pa.array(values)) == labels
    assert all(hierarchies.fits(hierarchy, level, label) for label in labels if label is not None)


@pytest.mark.parametrize(
    ("hierarchy", "level", "label"),
    [
        (AGES, 1, "23"),
        (AGES, 1, "[10, 20)"),
        (AGES, 2, "[15, 25)"),
        (AGES, 3, "[10, 20)"),
        (AGES, 1, "< 11"),
        (Dates(("month",)), 1, "2025-03-16"),
        (Dates(("quarter",)), 1, "2025-Q5"),
        (Prefix((2,)), 1, "110101"),
        (Tree({"cat": ("pet",)}), 1, "cat"),
        (Whole(), 1, "cat"),
        (CUTS, 1, "[17, 65)"),
        (CUTS, 2, "< 18"),
        (Frequent((("a",),)), 1, "b"),
        (Frequent((("a",),)), 1, "other than 2"),
        (REGION, 2, "440305"),
        (REGION, 2, "4403**"),
        (REGION, 3, "4403** 广东省深圳市"),
    ],
)
def test_a_value_that_was_not_generalized_does_not_fit(hierarchy: Hierarchy, level: int, label: str) -> None:
    assert not hierarchies.fits(hierarchy, level, label)


numeric = st.one_of(st.integers(-200, 200), st.floats(-200, 200).map(lambda x: round(x, 3)))


@settings(deadline=None)
@given(
    st.lists(numeric, min_size=1, max_size=30),
    st.builds(
        lambda origin, width, tails: Interval(
            Decimal(origin),
            (Decimal(width), Decimal(width * 3), Decimal(width * 6)),
            *(None if tail is None else Decimal(origin + tail * width * 6) for tail in tails),
        ),
        st.integers(-9, 9),
        st.integers(1, 9),
        st.sampled_from([(None, None), (-1, None), (None, 1), (-1, 2)]),
    ),
)
def test_interval_levels_nest_and_hold_their_values(values: list[Any], hierarchy: Interval) -> None:
    array = pa.array([float(value) for value in values])
    levels = [hierarchies.labels("c", hierarchy, level, array) for level in range(1, hierarchy.height + 1)]
    for finer, coarser in pairwise(levels):
        parents: dict[Any, Any] = {}
        for label, parent in zip(finer, coarser, strict=True):
            assert parents.setdefault(label, parent) == parent
    for value, label in zip(array.to_pylist(), levels[0], strict=True):
        assert label is not None
        if label.startswith("["):
            low, high = (Decimal(part) for part in label[1:-1].split(", "))
            assert low <= Decimal(repr(value)) < high


@settings(deadline=None)
@given(st.lists(st.dates(date(1900, 1, 1), date(2099, 12, 31)), min_size=1, max_size=30))
def test_date_levels_nest(days: list[date]) -> None:
    hierarchy = Dates(("month", "quarter", "year", "decade"))
    levels = [hierarchies.labels("c", hierarchy, level, pa.array(days)) for level in range(1, 6)]
    for finer, coarser in pairwise(levels):
        parents: dict[Any, Any] = {}
        for label, parent in zip(finer, coarser, strict=True):
            assert parents.setdefault(label, parent) == parent


def test_a_value_without_a_place_in_the_hierarchy_is_refused_by_its_column_and_not_quoted() -> None:
    with pytest.raises(PolicyRefused) as refused:
        hierarchies.labels("trade", Tree({"welder": ("technical",)}), 1, pa.array(["welder", "secret agent"]))
    assert refused.value.field == "trade"
    assert "secret" not in str(refused.value.problem())


def test_masking_hides_the_middle_and_never_leaves_a_text_whole() -> None:
    assert changed(["13812345678", "1381", "张", None], Mask(3, 4)) == ["138****5678", "****", "*", None]
    assert changed([13812345678], Mask(3, 4)) == ["138****5678"]


def test_rounding_goes_to_the_nearest_multiple_half_to_even() -> None:
    assert changed([12, 15, 25, None, -7], Round(Decimal(10))) == [10, 20, 20, None, -10]
    assert changed([0.25, 0.75, 1.1, float("nan")], Round(Decimal("0.5"))) == [0.0, 1.0, 1.0, None]
    with pytest.raises(PolicyRefused, match="only numbers"):
        changed(["a"], Round(Decimal(1)))


def test_a_pseudonym_is_the_hmac_sm3_of_column_and_value() -> None:
    import base64

    made = changed(["PAT-1", "PAT-2", "PAT-1", None], Pseudonymize(), name="id")
    assert made[0] == made[2]
    assert made[1] != made[0]
    assert made[3] is None
    # The same by another route: HMAC spelt out over hashlib's SM3, where the platform has it.
    if "sm3" in hashlib.algorithms_available:
        mac = hmac.new(KEY, b"\0\0\0\x02id" + b"PAT-1", "sm3").digest()
        assert made[0] == "psn-" + base64.b32encode(mac[:16]).decode().rstrip("=").lower()


def test_pseudonyms_of_two_products_or_two_columns_do_not_join() -> None:
    values = [f"P{n}" for n in range(50)]
    one = set(changed(values, Pseudonymize(), name="id"))
    assert not one & set(changed(values, Pseudonymize(), key=bytes(32), name="id"))
    assert not one & set(changed(values, Pseudonymize(), name="di"))


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patients(tmp_path_factory.mktemp("department")).path


@pytest.fixture(scope="module")
def scanned(patients: Path) -> Scan:
    return scan(patients, Declaration(), SALT, LIMITS)


def test_the_four_acts_go_by_their_names_and_are_loaded_at_their_first_use() -> None:
    code = (
        "import sys, exchange.desensitization as mask\n"
        "assert not {'numpy', 'pyarrow', 'duckdb'} & set(sys.modules)\n"
        "from exchange.desensitization import apply, plan, scan, verify\n"
        "from exchange.desensitization import department\n"
        "acts = (apply, plan, scan, verify)\n"
        "assert acts == (department.apply, department.plan, department.scan, department.verify)\n"
        "assert all(act.__doc__ for act in acts)\n"
        "assert not hasattr(mask, 'desensitize')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def authorize(scanned: Scan) -> Authorization:
    return Authorization(
        "aut_1",
        "ast_1",
        scanned.report["raw"]["digest"],
        scanned.report["policy_digest"],
        scanned.policy.exempt_from_k,
    )


def make(raw: Path, scanned: Scan, folder: Path, key: bytes = KEY, **other: Any) -> Product:
    options: dict[str, Any] = {"authorization": authorize(scanned), "policy": scanned.policy, **other}
    return apply(
        raw,
        salt=SALT,
        key=key,
        product=folder / "product.parquet",
        certificate=folder / "certificate.json",
        limits=LIMITS,
        **options,
    )


def test_the_scan_of_patients_proposes_what_reaches_k_and_l_with_few_rows_dropped(scanned: Scan) -> None:
    report = scanned.report
    assert report["before"]["k"] == "1"
    assert int(report["before"]["uniqueness_ppm"]) > 900_000
    assert int(report["after"]["k"]) >= 5
    assert int(report["after"]["l"]["service"]) >= 2
    assert int(report["row_suppression_ppm"]) <= 40_000
    done = {column.name: type(column.technique) for column in scanned.policy.columns}
    assert done["name"] is Suppress
    assert done["patient_id"] is Pseudonymize
    assert done["age"] is Generalize
    assert not scanned.policy.exempt_from_k


def test_a_report_holds_no_value_of_the_raw_table(patients: Path, scanned: Scan) -> None:
    texts = json.dumps(scanned.report, ensure_ascii=False) + html(scanned.report)
    for line in patients.read_text().splitlines()[1:]:
        number, name, _, arrival, departure, *_ = line.split(",")
        for value in (number, name, arrival, departure):
            assert value not in texts


def test_a_report_reads_back_as_the_exchange_reads_it(scanned: Scan) -> None:
    document = json.loads(json.dumps(scanned.report))
    read = read_report(document)
    assert (read.rows, read.about_persons, read.biometrics) == (1000, True, ())
    assert read.policy_digest == parse(document["policy"]).digest() == scanned.policy.digest()
    for member in ("format", "raw", "about_persons", "findings", "policy_digest"):
        with pytest.raises(PolicyRefused, match=member):
            read_report({name: value for name, value in document.items() if name != member})


def test_the_report_for_people_is_in_both_languages(scanned: Scan) -> None:
    text = html(scanned.report)
    for word in (
        "直接标识符",
        "direct identifier",
        "准标识符",
        "检察官",
        "prosecutor",
        scanned.policy.digest(),
    ):
        assert word in text
    assert [percent(ppm) for ppm in ("0", "31000", "1000000", "1")] == ["0 %", "3.1 %", "100 %", "0.0001 %"]


def test_the_product_holds_k_and_l_and_shows_no_identifier(
    tmp_path: Path, patients: Path, scanned: Scan
) -> None:
    made = make(patients, scanned, tmp_path)
    rows = pq.read_table(tmp_path / "product.parquet").to_pylist()
    assert set(rows[0]) == {"patient_id", "age", "arrival_date", "departure_date", "service", "satisfaction"}
    classes: dict[Any, list[str]] = {}
    for row in rows:
        classes.setdefault((row["age"], row["arrival_date"], row["departure_date"]), []).append(
            row["service"]
        )
    assert min(len(members) for members in classes.values()) == made.measurement.risk.k >= 5
    assert min(len(set(members)) for members in classes.values()) >= 2
    content = (tmp_path / "product.parquet").read_bytes()
    for line in patients.read_text().splitlines()[1:]:
        number, name, *_ = line.split(",")
        assert number.encode() not in content
        assert name.encode() not in content


def test_the_same_input_makes_the_same_bytes_and_another_key_other_ones(
    tmp_path: Path, patients: Path, scanned: Scan
) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    one, two, other = (
        make(patients, scanned, folder, key)
        for folder, key in zip(folders, (KEY, KEY, bytes(32)), strict=True)
    )
    assert (folders[0] / "product.parquet").read_bytes() == (folders[1] / "product.parquet").read_bytes()
    assert (folders[0] / "certificate.json").read_bytes() == (folders[1] / "certificate.json").read_bytes()
    assert one.certificate_digest == two.certificate_digest != other.certificate_digest
    assert one.certificate["product_digest"] != other.certificate["product_digest"]


def test_the_certificate_states_what_a_stranger_recomputes(
    tmp_path: Path, patients: Path, scanned: Scan
) -> None:
    made = make(patients, scanned, tmp_path)
    certificate = json.loads((tmp_path / "certificate.json").read_text())
    assert certificate == made.certificate
    assert certificate["raw_digest"] == hashlib.sha256(SALT + patients.read_bytes()).hexdigest()
    assert (
        certificate["product_digest"]
        == hashlib.sha256((tmp_path / "product.parquet").read_bytes()).hexdigest()
    )
    assert certificate["policy_digest"] == parse(certificate["policy"]).digest()
    assert hashlib.sha256((tmp_path / "certificate.json").read_bytes()).hexdigest() == made.certificate_digest
    assert certificate["exemption"] is None
    assert certificate["before"] == scanned.report["before"]
    assert certificate["after"] == scanned.report["after"]
    rows = pq.read_metadata(tmp_path / "product.parquet").num_rows
    assert (
        int(certificate["raw_rows"]) - int(certificate["suppressed_rows"])
        == rows
        == int(certificate["product"]["rows"])
    )
    assert KEY.hex() not in json.dumps(certificate)
    assert SALT.hex() not in json.dumps(certificate)


def test_an_attacker_with_the_raw_table_links_no_more_rows_than_the_certificate_says(
    tmp_path: Path, patients: Path, scanned: Scan
) -> None:
    made = make(patients, scanned, tmp_path)
    raw = detect(_read(patients))
    generalized = {
        column.name: changed_column(raw, column)
        for column in scanned.policy.columns
        if isinstance(column.technique, Generalize)
    }
    product = pq.read_table(tmp_path / "product.parquet").to_pylist()
    names = list(generalized)
    candidates = Counter(tuple(row[name] for name in names) for row in product)
    # The attacker knows each person's raw row, generalizes it by the public policy, and guesses among the rows that match.
    best, expected = 0.0, 0.0
    for row in range(1000):
        matches = candidates[tuple(generalized[name][row] for name in names)]
        if matches:
            best = max(best, 1 / matches)
            expected += 1 / matches
    assert best <= int(made.certificate["after"]["prosecutor_ppm"]) / 1_000_000
    assert expected / 1000 <= int(made.certificate["after"]["marketer_ppm"]) / 1_000_000


def _read(path: Path) -> Any:
    from exchange.desensitization.reading.source import read_table

    return read_table(path, LIMITS)


def changed_column(raw: Any, declared: ColumnPolicy) -> list[Any]:
    column = next(column for column in raw.columns if column.name == declared.name)
    made = techniques.transform(column, declared.technique, KEY).to_pylist()
    return [made[code] for code in column.coded.codes.tolist()]


def test_the_order_of_the_rows_tells_nothing_of_the_raw_order(
    tmp_path: Path, patients: Path, scanned: Scan
) -> None:
    lines = patients.read_text().splitlines()
    backwards = tmp_path / "backwards.csv"
    backwards.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    tables = [apply_policy(detect(_read(path)), scanned.policy, KEY).table for path in (patients, backwards)]
    assert tables[0].equals(tables[1])


def test_another_table_or_another_policy_than_the_authorized_one_is_refused_by_name(
    tmp_path: Path, patients: Path, scanned: Scan
) -> None:
    granted = authorize(scanned)
    looser = Policy(scanned.policy.columns, 4, 2, 40_000)
    for wrong, field in (
        ({"authorization": replace(granted, raw_digest="0" * 64)}, "raw_digest"),
        ({"authorization": replace(granted, policy_digest="0" * 64)}, "policy_digest"),
        ({"policy": looser}, "policy_digest"),
    ):
        with pytest.raises(NotAuthorized) as refused:
            make(patients, scanned, tmp_path, **wrong)
        assert refused.value.field == field
    assert list(tmp_path.iterdir()) == []


def test_a_changed_raw_file_is_refused(tmp_path: Path, patients: Path, scanned: Scan) -> None:
    edited = tmp_path / "edited.csv"
    edited.write_text(patients.read_text().replace("surgery", "emergency", 1))
    with pytest.raises(NotAuthorized, match="raw table"):
        make(edited, scanned, tmp_path)


def test_a_policy_that_drops_too_many_rows_makes_no_product(
    tmp_path: Path, patients: Path, scanned: Scan
) -> None:
    policy = replace(
        scanned.policy,
        columns=tuple(
            replace(column, technique=Keep()) if column.name == "arrival_date" else column
            for column in scanned.policy.columns
        ),
    )
    granted = replace(authorize(scanned), policy_digest=policy.digest())
    with pytest.raises(NotReached, match="would drop"):
        make(patients, scanned, tmp_path, policy=policy, authorization=granted)
    assert list(tmp_path.iterdir()) == []


def test_a_table_without_persons_is_exempt_and_its_certificate_says_so(tmp_path: Path) -> None:
    raw = tmp_path / "air.csv"
    raw.write_text("station,pm25\n" + "".join(f"S{n % 9},{n % 83}\n" for n in range(500)))
    found = scan(raw, Declaration(), SALT, LIMITS)
    assert found.policy.exempt_from_k
    made = make(raw, found, tmp_path)
    assert made.certificate["exemption"]["from"] == "k"
    with pytest.raises(NotAuthorized) as refused:
        make(raw, found, tmp_path, authorization=replace(authorize(found), exempt_from_k=False))
    assert refused.value.field == "exempt_from_k"
    # Nothing is sorted or dropped where nobody is in the rows.
    assert pq.read_table(tmp_path / "product.parquet").column("pm25").to_pylist() == [
        n % 83 for n in range(500)
    ]


def test_the_flights_of_a_year_go_through_whole_and_unchanged(tmp_path: Path) -> None:
    raw = write_flights(tmp_path)
    found = scan(raw.path, Declaration(), SALT, LIMITS)
    made = make(raw.path, found, tmp_path)
    assert made.measurement.rows == 336_776
    assert set(made.certificate["loss_ppm"].values()) == {"0"}
    assert pq.read_table(tmp_path / "product.parquet").equals(_read(raw.path))


def test_biometric_columns_cross_under_no_policy() -> None:
    raw = detect(pa.table({"指纹特征": ["a", "b"], "n": [1, 2]}))
    policy = Policy(
        (ColumnPolicy("指纹特征", "sensitive", Mask(0, 0)), ColumnPolicy("n", "other", Keep())), 1, 1, 0
    )
    with pytest.raises(PolicyRefused, match="biometric"):
        apply_policy(raw, policy, KEY)


def test_policy_and_table_must_name_the_same_columns() -> None:
    raw = detect(pa.table({"n": [1, 2], "m": [1, 2]}))
    columns = tuple(ColumnPolicy(name, "other", Keep()) for name in ("n", "m", "o"))
    for named, missing in ((columns[:1], "m"), (columns, "o")):
        with pytest.raises(PolicyRefused) as refused:
            apply_policy(raw, Policy(named, 1, 1, 0), KEY)
        assert refused.value.field == missing


def test_a_declaration_shapes_the_proposal(patients: Path) -> None:
    declared = load(
        """
        [requirements]
        k = 10
        l = 1
        suppression_limit_ppm = 0
        [columns.service]
        role = "quasi_identifier"
        [columns.age]
        hierarchy = { kind = "interval", origin = "0", widths = ["50"] }
        [columns.departure_date]
        technique = { name = "suppress" }
        [columns.satisfaction]
        technique = { name = "round", step = "10" }
        """
    )
    found = scan(patients, declared, SALT, LIMITS)
    after = found.report["after"]
    assert int(after["k"]) >= 10
    assert "service" in after["quasi_identifiers"] or found.policy.column("service") == ColumnPolicy(
        "service", "quasi_identifier", Suppress()
    )
    assert found.report["suppressed_rows"] == "0"
    departure = found.policy.column("departure_date")
    assert departure is not None
    assert departure.technique == Suppress()
    with pytest.raises(PolicyRefused, match="no column 'x'"):
        scan(patients, Declaration(columns={"x": DeclaredColumn()}), SALT, LIMITS)


def test_a_policy_scanned_again_comes_back_unchanged(patients: Path, scanned: Scan) -> None:
    again = scan(patients, load(scanned.policy.canonical().decode()), SALT, LIMITS)
    assert again.policy == scanned.policy
    assert again.report["after"] == scanned.report["after"]


def test_rows_of_one_person_are_counted_once_and_not_joined_unasked(tmp_path: Path) -> None:
    raw = tmp_path / "visits.csv"
    rows = [f"P{person},{20 + person % 2 * 40},{visit}" for person in range(12) for visit in range(10)]
    raw.write_text("patient_id,age,visits\n" + "\n".join(rows) + "\n")
    proposed = scan(raw, Declaration(), SALT, LIMITS)
    joined = proposed.policy.column("patient_id")
    assert joined is not None
    assert joined.technique == Suppress()
    declared = load('[requirements]\nk = 7\n[columns.patient_id]\ntechnique = { name = "pseudonymize" }')
    found = scan(raw, declared, SALT, LIMITS)
    # Sixty rows a class, but six persons: k = 7 takes the ages away.
    assert found.report["after"]["k"] == "12"
    assert scan(raw, replace(declared, k=6), SALT, LIMITS).report["after"]["k"] == "6"
