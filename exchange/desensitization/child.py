"""Measure a file from outside in a process of its own: bounded memory, bounded time, nothing to steal.

The child starts with an empty environment, may write no file, and answers one JSON object. Whatever a
hostile file does to the library that parses it happens there.

    python -m exchange.desensitization.child      reads the job from standard input
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exchange.arrow import without_pandas
from exchange.desensitization.errors import MeasurementFailed, TableTooLarge, UnreadableTable
from exchange.desensitization.judge import Measurement
from exchange.desensitization.limits import Limits
from exchange.desensitization.policy import Policy, parse

DEFAULT_TIMEOUT_S = 120
DEFAULT_MEMORY_BYTES = 6 * 1024 * 1024 * 1024
"""Address space: the libraries alone reserve about one gibibyte of it."""


def measure_in_child(
    path: Path,
    policy: Policy,
    *,
    limits: Limits | None = None,
    timeout_s: int = DEFAULT_TIMEOUT_S,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
) -> Measurement:
    """The measurement of a file that nobody vouches for. Blocks for at most `timeout_s` seconds.

    Raises UnreadableTable for a file that is no table, TableTooLarge where a limit, the memory or the time
    runs out, MeasurementFailed when the child could not work at all.
    """
    job = {
        "path": str(path.resolve()),
        "policy": policy.to_json(),
        "limits": asdict(limits or Limits()),
        "memory_bytes": memory_bytes,
        "cpu_s": timeout_s,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "exchange.desensitization.child"],
            input=json.dumps(job).encode(),
            capture_output=True,
            timeout=timeout_s,
            # One thread each: a thread reserves address space, and two measurements share the machine.
            env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"},
            cwd="/",
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _exhausted(f"reading the table took longer than {timeout_s} s") from error
    answer = _answer(done.stdout)
    if answer is None:
        if done.returncode < 0:
            raise _exhausted(f"the process that read the table was ended by signal {-done.returncode}")
        raise MeasurementFailed(f"the measuring process ended with status {done.returncode} and no answer")
    if "measurement" in answer:
        return Measurement.from_json(answer["measurement"])
    refused = {name: str(answer[name]) for name in ("detail", "field", "rule", "remedy")}
    raise (TableTooLarge if answer.get("too_large") else UnreadableTable)(refused.pop("detail"), **refused)


def _answer(stdout: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(stdout)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _exhausted(detail: str) -> TableTooLarge:
    return TableTooLarge(
        detail, rule="a table can be measured within the process's memory and time", remedy="split the table"
    )


def main() -> None:
    """The child's whole life: take the limits, measure, answer."""
    job = json.load(sys.stdin)
    without_pandas()
    from exchange.desensitization.measure import measure

    # After the libraries are loaded, before a byte of the file is read.
    resource.setrlimit(resource.RLIMIT_AS, (job["memory_bytes"], job["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_CPU, (job["cpu_s"], job["cpu_s"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        measurement = measure(Path(job["path"]), parse(job["policy"]), Limits(**job["limits"]))
    except (TableTooLarge, UnreadableTable) as refusal:
        answer: dict[str, object] = {
            "too_large": isinstance(refusal, TableTooLarge),
            "detail": refusal.detail,
            "field": refusal.field,
            "rule": refusal.rule,
            "remedy": refusal.remedy,
        }
    except MemoryError:
        exhausted = _exhausted("measuring the table needs more memory than the process may use")
        answer = {
            "too_large": True,
            "detail": exhausted.detail,
            "field": exhausted.field,
            "rule": exhausted.rule,
            "remedy": exhausted.remedy,
        }
    else:
        answer = {"measurement": measurement.to_json()}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
