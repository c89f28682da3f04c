"""The console's front-end libraries: the files that we checked, or none."""

import json
import shutil
from pathlib import Path

import pytest

from exchange.web.vendor import FILES, FILES_OF_TESTS, FOLDER, FOLDER_OF_TESTS, HERE, place, wrong


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A `node_modules` folder with the right files, as set-up placed them."""
    for name, (source, _) in FILES.items():
        (tmp_path / "node_modules" / source).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FOLDER / name, tmp_path / "node_modules" / source)
    return tmp_path / "node_modules"


def test_set_up_has_placed_every_file() -> None:
    assert wrong() == [], "run `make setup`"
    assert wrong(FOLDER_OF_TESTS, FILES_OF_TESTS) == [], "run `make setup`"


def test_what_only_tests_use_is_not_served() -> None:
    served = {path.name for path in FOLDER.iterdir()}
    assert served.isdisjoint(FILES_OF_TESTS)


def test_the_files_are_placed_and_found_right(modules: Path, tmp_path: Path) -> None:
    target = tmp_path / "static" / "vendor"
    assert wrong(target) == list(FILES)
    place(modules, target)
    assert wrong(target) == []


def test_one_altered_file_keeps_all_out(modules: Path, tmp_path: Path) -> None:
    source, _ = FILES["uPlot.min.css"]
    with (modules / source).open("a") as file:
        file.write("\n")
    with pytest.raises(ValueError, match=r"uPlot\.min\.css"):
        place(modules, tmp_path / "vendor")
    assert not (tmp_path / "vendor").exists()


def test_a_file_changed_after_it_was_placed_is_named(modules: Path, tmp_path: Path) -> None:
    place(modules, tmp_path / "vendor")
    (tmp_path / "vendor" / "htmx.min.js").write_text("alert(1)")
    assert wrong(tmp_path / "vendor") == ["htmx.min.js"]


def test_the_lock_pins_each_package_by_hash_and_names_no_address() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text())
    asked = json.loads((HERE / "package.json").read_text())
    wanted = asked["dependencies"] | asked["devDependencies"]
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert {
        name.removeprefix("node_modules/"): entry["version"] for name, entry in packages.items()
    } == wanted
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not any("resolved" in entry for entry in packages.values())
