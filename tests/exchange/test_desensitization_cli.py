"""The department's command: scan, then apply under an authorization that the exchange's log bears out, and nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from exchange.cli.desensitize import app
from exchange.demo.tables import write_patients
from ledger.checkpoint import Checkpoint, Signer, sign
from ledger.entries import Entry, Receipt, canonical, receipt_to_json
from ledger.merkle import leaf_hash, node_hash

SIGNER = Signer("exchange.example/log", bytes(range(32)))
TIME_US = 1_750_000_000_000_000


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: str | Path) -> Any:
    """The exception that the command ends with; `exchange` prints its field, rule and remedy."""
    done = run(*arguments)
    assert done.exit_code == 1, done.output
    assert done.exception is not None
    return done.exception


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patients(tmp_path_factory.mktemp("raw")).path


@pytest.fixture(scope="module")
def scanned(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The asset's directory after a scan; tests get copies."""
    folder = tmp_path_factory.mktemp("scanned") / "patients"
    done = run("scan", raw, "--out", folder)
    assert done.exit_code == 0, (done.output, done.exception)
    return folder


@pytest.fixture
def asset(tmp_path: Path, scanned: Path) -> Path:
    """The asset's directory after a scan."""
    return Path(shutil.copytree(scanned, tmp_path / "patients"))


def authorize(
    folder: Path, *, kind: str = "release_authorized", signer: Signer = SIGNER, **changes: Any
) -> Path:
    """The document that the exchange answers, with a receipt in a log of two leaves."""
    report = json.loads((folder / "report.json").read_text())
    act = {
        "authorization": "aut_1",
        "asset": "ast_1",
        "raw_digest": report["raw"]["digest"],
        "policy_digest": report["policy_digest"],
        "exempt_from_k": False,
        "state": "authorized",
        **changes.pop("act", {}),
    }
    body = canonical(
        {"kind": kind, "time": str(TIME_US), "by": "per_2", "party": "org_1", "key": "k", "act": act}
    )
    entry = Entry(kind=kind, time_us=TIME_US, salt=bytes(32), body=body)
    first = leaf_hash(b"another entry")
    note = sign(Checkpoint(signer.name, 2, node_hash(first, leaf_hash(entry.leaf))), signer)
    receipt = Receipt(1, 2, entry.leaf, entry.salt, body, (first,), note)
    view = {"id": act["authorization"], **{name: act[name] for name in act if name != "authorization"}}
    document = {"authorization": {**view, **changes}, "receipt": receipt_to_json(receipt)}
    path = folder / "authorization.json"
    path.write_text(json.dumps(document))
    return path


def apply(raw: Path, folder: Path, authorization: Path, vkey: str = SIGNER.vkey) -> tuple[str | Path, ...]:
    return (
        *("apply", raw, "--policy", folder / "policy.json", "--authorization", authorization),
        *("--vkey", vkey, "--out", folder),
    )


def test_a_scan_writes_its_papers_and_keeps_its_salt_to_itself(raw: Path, asset: Path) -> None:
    assert {path.name for path in asset.iterdir()} == {
        "report.json",
        "report.html",
        "policy.json",
        "raw.salt",
    }
    report = json.loads((asset / "report.json").read_text())
    salt = (asset / "raw.salt").read_bytes()
    assert len(salt) == 32
    assert stat.S_IMODE((asset / "raw.salt").stat().st_mode) == 0o600
    assert stat.S_IMODE(asset.stat().st_mode) == 0o700
    assert report["raw"]["digest"] == hashlib.sha256(salt + raw.read_bytes()).hexdigest()
    # The file's own digest is what the authorization binds.
    assert hashlib.sha256((asset / "policy.json").read_bytes()).hexdigest() == report["policy_digest"]
    assert salt.hex() not in (asset / "report.json").read_text()
    assert "脱敏扫描报告" in (asset / "report.html").read_text()


def test_a_second_scan_keeps_the_salt_so_that_the_digests_stay(raw: Path, asset: Path) -> None:
    before = (asset / "report.json").read_bytes()
    assert run("scan", raw, "--out", asset).exit_code == 0
    assert (asset / "report.json").read_bytes() == before


def test_apply_makes_product_and_certificate_and_keeps_its_key(
    raw: Path, asset: Path, tmp_path: Path
) -> None:
    vkey = tmp_path / "exchange.vkey"
    vkey.write_text(SIGNER.vkey + "\n")
    done = run(*apply(raw, asset, authorize(asset), str(vkey)))
    assert done.exit_code == 0, (done.output, done.exception)
    certificate = json.loads((asset / "certificate.json").read_text())
    assert certificate["authorization"] == {"id": "aut_1", "asset": "ast_1"}
    assert (
        certificate["product_digest"] == hashlib.sha256((asset / "product.parquet").read_bytes()).hexdigest()
    )
    assert certificate["product_digest"] in done.output.replace("\n", "")
    assert stat.S_IMODE((asset / "product.key").stat().st_mode) == 0o600
    assert "name" not in pq.read_schema(asset / "product.parquet").names
    product = (asset / "product.parquet").read_bytes()
    assert run(*apply(raw, asset, authorize(asset))).exit_code == 0
    assert (asset / "product.parquet").read_bytes() == product


OTHER = Signer("exchange.example/log", bytes(range(1, 33)))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda asset: authorize(asset, signer=OTHER), None),
        (lambda asset: authorize(asset, kind="risk_assessed"), "receipt"),
        (lambda asset: authorize(asset, act={"state": "refused"}), "receipt"),
        (lambda asset: authorize(asset, raw_digest="0" * 64), "authorization.raw_digest"),
        (lambda asset: authorize(asset, exempt_from_k=True), "authorization.exempt_from_k"),
        (lambda asset: authorize(asset, act={"raw_digest": "0" * 64}), "raw_digest"),
        (lambda asset: authorize(asset, act={"policy_digest": "0" * 64}), "policy_digest"),
    ],
)
def test_only_what_the_log_shows_as_authorized_is_carried_out(
    raw: Path, asset: Path, change: Callable[[Path], Path], field: str | None
) -> None:
    problem = refused(*apply(raw, asset, change(asset)))
    assert problem.field == field or field is None
    assert problem.rule
    assert problem.remedy
    assert not (asset / "product.parquet").exists()
    assert not (asset / "certificate.json").exists()


def test_a_receipt_is_not_believed_after_its_body_was_changed(raw: Path, asset: Path) -> None:
    path = authorize(asset)
    path.write_text(path.read_text().replace("aut_1", "aut_2"))
    assert refused(*apply(raw, asset, path)).rule
    document = json.loads(authorize(asset).read_text())
    del document["receipt"]
    path.write_text(json.dumps(document))
    assert refused(*apply(raw, asset, path)).field == "authorization"


def test_without_the_scans_salt_nothing_is_applied(raw: Path, asset: Path, tmp_path: Path) -> None:
    arguments = list(apply(raw, asset, authorize(asset)))
    arguments[-1] = tmp_path / "elsewhere"
    problem = refused(*arguments)
    assert problem.field == "out"
    assert "scan" in problem.remedy
    (asset / "raw.salt").write_bytes(b"short")
    assert refused(*apply(raw, asset, authorize(asset))).field == "raw.salt"


def test_a_declaration_and_a_policy_are_taken_by_scan(raw: Path, asset: Path, tmp_path: Path) -> None:
    declared = tmp_path / "declared.toml"
    declared.write_text("[requirements]\nk = 8\n")
    assert run("scan", raw, "--out", tmp_path / "other", "--policy", declared).exit_code == 0
    report = json.loads((tmp_path / "other" / "report.json").read_text())
    assert int(report["after"]["k"]) >= 8
    policy = (asset / "policy.json").read_bytes()
    assert run("scan", raw, "--out", tmp_path / "third", "--policy", asset / "policy.json").exit_code == 0
    assert (tmp_path / "third" / "policy.json").read_bytes() == policy
    declared.write_text("[requirements\n")
    assert refused("scan", raw, "--out", tmp_path / "fourth", "--policy", declared).field == "policy"


@pytest.mark.parametrize("generalization", ["full_domain", "local"])
def test_a_plan_shows_candidates_and_writes_the_one_that_is_chosen(
    raw: Path, tmp_path: Path, generalization: str
) -> None:
    declared = tmp_path / "declared.toml"
    declared.write_text(f"[requirements]\ngeneralization = '{generalization}'\n")
    tried = ("--k", "3", "--k", "8", "--suppress", "0", "--suppress", "5")
    asked = ("plan", raw, "--out", tmp_path / "planned", "--policy", declared, *tried)
    shown = run(*asked)
    assert shown.exit_code == 0, (shown.output, shown.exception)
    assert "--choose" in shown.output
    assert {path.name for path in (tmp_path / "planned").iterdir()} == {"raw.salt"}
    done = run(*asked, "--choose", "4")
    assert done.exit_code == 0, (done.output, done.exception)
    report = json.loads((tmp_path / "planned" / "report.json").read_text())
    demands = [(one["k"], one["suppression_limit_ppm"]) for one in report["frontier"]]
    assert demands == [("3", "0"), ("3", "50000"), ("8", "0"), ("8", "50000")]
    chosen = report["frontier"][3]
    policy = json.loads((tmp_path / "planned" / "policy.json").read_text())
    assert policy["requirements"] == {"k": "8", "l": "2", "suppression_limit_ppm": "50000"}
    # What was shown is what the rehearsal finds.
    assert int(report["after"]["k"]) >= 8
    assert report["after"]["marketer_ppm"] == chosen["marketer_ppm"]
    assert report["after"]["prosecutor_ppm"] == chosen["prosecutor_ppm"]
    assert report["suppressed_rows"] == chosen["suppressed_rows"]
    assert report["utility"]["value"] == chosen["loss"]
    assert {name: report["loss_ppm"][name] for name in chosen["loss_ppm"]} == chosen["loss_ppm"]
    losses = [float(one["loss"][0]) for one in report["frontier"]]
    assert generalization == "local" or losses[1] <= min(losses[0], losses[3]) <= losses[2]
    # No value of the raw table, though a row that is recoded locally may stand as it is.
    values = {cell for line in raw.read_text().splitlines()[1:] for cell in line.split(",")}
    assert not values & {sample for column in report["columns"] for sample in column["becomes"]}
    assert any(one["efficient"] for one in report["frontier"])
    assert refused(*asked, "--choose", "9").field == "choose"


def test_a_plan_of_a_table_with_nothing_to_choose_says_so(tmp_path: Path) -> None:
    raw = tmp_path / "counts.csv"
    raw.write_text("street,cars\n" + "".join(f"s{n % 3},{n % 2}\n" for n in range(40)))
    problem = refused("plan", raw, "--out", tmp_path / "out")
    assert problem.field == "k"
    assert "scan" in problem.remedy


def test_a_scan_says_at_once_that_biometric_data_will_be_refused(tmp_path: Path) -> None:
    raw = tmp_path / "faces.csv"
    raw.write_text("人脸特征,年龄\n" + "".join(f"f{n},{n % 3 + 30}\n" for n in range(60)))
    done = run("scan", raw, "--out", tmp_path / "out")
    assert done.exit_code == 0
    assert "refuses it outright" in " ".join(done.output.split())


@pytest.fixture(scope="module")
def applied(raw: Path, scanned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The asset's directory after an apply; tests get copies."""
    folder = Path(shutil.copytree(scanned, tmp_path_factory.mktemp("applied") / "patients"))
    assert run(*apply(raw, folder, authorize(folder))).exit_code == 0
    return folder


@pytest.fixture
def made(tmp_path: Path, applied: Path) -> Path:
    """The asset's directory after an apply."""
    return Path(shutil.copytree(applied, tmp_path / "made"))


def verified(folder: Path, *more: str | Path, status: int = 0) -> dict[str, str]:
    """The outcome of each member, the worst where it was checked twice."""
    done = run("verify", folder / "certificate.json", folder / "product.parquet", "--json", *more)
    assert done.exit_code == status, (done.output, done.exception)
    answer = json.loads(done.stdout)
    assert answer["agrees"] == (status == 0)
    checks = answer["checks"]
    assert all(check["why"]["zh"] and check["why"]["en"] for check in checks)
    return {
        check["member"]: check["outcome"]
        for check in sorted(checks, key=lambda one: one["outcome"] == "differs")
    }


def lie(folder: Path, path: str, value: Any) -> None:
    """Change one member of the certificate."""
    document = json.loads((folder / "certificate.json").read_text())
    *way, last = path.split(".")
    holder = document
    for step in way:
        holder = holder[step]
    holder[last] = value
    (folder / "certificate.json").write_text(json.dumps(document))


def test_a_stranger_verifies_a_certificate_from_the_product_alone(made: Path) -> None:
    outcome = verified(made)
    assert "differs" not in outcome.values()
    unchecked = {member for member, one in outcome.items() if one == "unchecked"}
    assert {"authorization", "raw_digest", "before", "suppressed_rows"} <= unchecked
    assert {"after.k", "product_digest", "policy_digest", "grade", "raw_rows"}.isdisjoint(unchecked)
    words = run("verify", made / "certificate.json", made / "product.parquet").output
    assert "differs: 0" in words
    assert "needs the raw table" in words
    chinese = run("verify", made / "certificate.json", made / "product.parquet", "--lang", "zh").output
    assert "须有原始数据及其盐方可核验" in chinese


def test_with_the_raw_table_and_its_salt_everything_but_the_log_and_the_key_is_recomputed(
    raw: Path, made: Path
) -> None:
    more = ("--raw", raw, "--salt", made / "raw.salt")
    outcome = verified(made, *more)
    assert {member for member, one in outcome.items() if one == "unchecked"} == {
        "authorization",
        "pseudonyms",
    }
    # With the key too the product is made again, byte by byte.
    outcome = verified(made, *more, "--key", made / "product.key")
    assert {member for member, one in outcome.items() if one == "unchecked"} == {"authorization"}
    (made / "other.key").write_bytes(bytes(32))
    outcome = verified(made, *more, "--key", made / "other.key", status=1)
    assert outcome["product_digest"] == outcome["pseudonyms"] == "differs"
    loss = int(json.loads((made / "certificate.json").read_text())["loss_ppm"]["age"])
    # Within what the product alone can show, and yet not so.
    lie(made, "loss_ppm.age", str(loss + 1))
    lie(made, "before.unique_rows", "0")
    lie(made, "utility.value", ["0"])
    lie(made, "indices.columns.age.reversibility_ppm", "0")
    verified(made)
    outcome = verified(made, *more, status=1)
    assert {member for member, one in outcome.items() if one == "differs"} == {
        "loss_ppm.age",
        "before.unique_rows",
        "utility.value",
        "indices.columns.age.reversibility_ppm",
    }
    assert (
        refused("verify", made / "certificate.json", made / "product.parquet", "--raw", raw).field == "salt"
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("after.k", "99"),
        ("product_digest", "0" * 64),
        ("product.rows", "1"),
        ("grade", "core"),
        ("raw_rows", "5"),
        ("suppressed_rows", "400"),
        ("pseudonyms", None),
        ("policy.requirements.k", "999"),
        ("privacy", [{"model": "k_map"}]),
        ("utility.loss", {"name": "height"}),
        ("tokens", "ROT13"),
    ],
)
def test_a_lie_in_a_certificate_is_named(made: Path, path: str, value: Any) -> None:
    lie(made, path, value)
    member = path if path.startswith(("after", "product", "utility")) else path.partition(".")[0]
    assert verified(made, status=1)[member] == "differs"
    done = run("verify", made / "certificate.json", made / "product.parquet")
    assert done.exit_code == 1
    assert f"  {member}: " in done.output


def test_a_certificate_of_another_engine_or_with_more_in_it_is_read_and_said_to_be_unchecked(
    made: Path,
) -> None:
    lie(made, "engine.version", "1")
    lie(made, "approved_by", "nobody")
    outcome = verified(made)
    assert (outcome["engine"], outcome["approved_by"]) == ("unchecked", "unchecked")
    # What another version did not state is no lie, what it states is held to the file.
    document = json.loads((made / "certificate.json").read_text())
    del document["privacy"]
    (made / "certificate.json").write_text(json.dumps(document))
    assert verified(made)["privacy"] == "unchecked"
    lie(made, "after.k", "99")
    assert verified(made, status=1)["after.k"] == "differs"
    lie(made, "policy", "none")
    assert refused("verify", made / "certificate.json", made / "product.parquet").field == "policy"


def test_help_says_the_three_steps() -> None:
    text = run("--help").output
    assert "scan" in text
    assert "apply" in text
    assert "other people approve" in text
