"""Read or measure a file from outside in a process of its own: bounded memory, bounded time, nothing to steal.

The child starts with an empty environment and may write no file. It takes its job from standard input and
answers on standard output: a measurement as one JSON object, or a table as an Arrow stream, whose outcome
then stands on standard error. Whatever a hostile file does to the library that parses it happens there.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exchange.arrow import without_pandas
from exchange.desensitization.errors import MeasurementFailed, TableTooLarge, UnreadableTable
from exchange.desensitization.judge import Measurement
from exchange.desensitization.policy import Policy, parse
from exchange.desensitization.reading.limits import Limits

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
        "task": "measure",
        "path": str(path.resolve()),
        "policy": policy.to_json(),
        "limits": asdict(limits or Limits()),
        "memory_bytes": memory_bytes,
        "cpu_s": timeout_s,
    }
    try:
        done = subprocess.run(
            _COMMAND,
            input=json.dumps(job).encode(),
            capture_output=True,
            timeout=timeout_s,
            env=_ENVIRONMENT,
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
    raise _refusal(answer)


@contextmanager
def read_in_child(
    path: Path,
    limits: Limits,
    *,
    cpu_s: int = DEFAULT_TIMEOUT_S,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Any]:
    """A `pyarrow.RecordBatchReader` over the table of a file or folder, as `source.read_batches` types it.

    The child waits while nobody reads, so only its own work is bounded in time. Leaving the block before
    the end ends the child. Raises UnreadableTable, TableTooLarge or MeasurementFailed, at the beginning or at
    the end of the block: what was read until then is no table unless the block ends without an error.
    """
    import pyarrow as pa

    job = {
        "task": "read",
        "path": str(path.resolve()),
        "limits": asdict(limits),
        "memory_bytes": memory_bytes,
        "cpu_s": cpu_s,
    }
    outcome: dict[str, Any] = {}
    with subprocess.Popen(
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_ENVIRONMENT,
        cwd="/",
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        listener = threading.Thread(target=_listen, args=(child.stderr, progress, outcome), daemon=True)
        listener.start()
        try:
            try:
                child.stdin.write(json.dumps(job).encode())
                child.stdin.close()
                yield pa.ipc.open_stream(child.stdout)
                whole = child.stdout.read(1) == b""
            except (pa.ArrowInvalid, OSError) as error:
                # The stream broke off: the child says why, or what ended it does. An error of the reader's own passes.
                try:
                    child.wait(_LAST_WORDS_S)
                except subprocess.TimeoutExpired:
                    raise error from None
                _conclude(child, listener, outcome)
                raise
            if whole:
                _conclude(child, listener, outcome)
        finally:
            child.kill()
            listener.join()


SAMPLE_ROWS = 10
SAMPLE_CHARACTERS = 80


def sample_in_child(path: Path, limits: Limits | None = None) -> list[list[str | None]]:
    """The first rows of a table as text, ten at most, a cell of at most 80 characters; raises as `read_in_child` does."""
    with read_in_child(path, limits or Limits()) as batches:
        rows: list[list[str | None]] = []
        for batch in batches:
            columns = [column.to_pylist() for column in batch.slice(0, SAMPLE_ROWS - len(rows)).columns]
            rows += [[_told_cell(cell) for cell in row] for row in zip(*columns, strict=True)]
            if len(rows) == SAMPLE_ROWS:
                break
        return rows


def _told_cell(cell: object) -> str | None:
    if cell is None:
        return None
    text = str(cell)
    return text if len(text) <= SAMPLE_CHARACTERS else f"{text[: SAMPLE_CHARACTERS - 1]}…"


_LAST_WORDS_S = 5
"""How long a child whose stream broke may take to say why."""


def _listen(stream: Any, progress: Callable[[int, int], None] | None, outcome: dict[str, Any]) -> None:
    for line in stream:
        said = _answer(line)
        if said is None:
            continue
        if "done" in said:
            if progress is not None:
                progress(int(said["done"]), int(said["total"]))
        else:
            outcome.update(said)


def _conclude(child: subprocess.Popen[bytes], listener: threading.Thread, outcome: dict[str, Any]) -> None:
    status = child.wait()
    listener.join()
    if "detail" in outcome:
        raise _refusal(outcome)
    if status < 0:
        raise _exhausted(f"the process that read the table was ended by signal {-status}")
    if status:
        raise MeasurementFailed(f"the reading process ended with status {status} and no answer")


_ROOT = str(Path(__file__).resolve().parents[2])
_COMMAND = (
    sys.executable,
    "-I",
    "-c",
    # The child runs the very code of its parent, wherever that lies.
    f"import sys; sys.path.insert(0, {_ROOT!r}); from exchange.desensitization.child import main; main()",
)
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""One thread each: a thread reserves address space, and two measurements share the machine."""


def _refusal(answer: dict[str, Any]) -> TableTooLarge | UnreadableTable:
    refused = {name: str(answer[name]) for name in ("detail", "field", "rule", "remedy")}
    return (TableTooLarge if answer.get("too_large") else UnreadableTable)(refused.pop("detail"), **refused)


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
    """The child's whole life: take the limits, do the job, answer."""
    job = json.load(sys.stdin)
    without_pandas()
    import pyarrow as pa

    from exchange.desensitization.measure import measure
    from exchange.desensitization.reading.source import read_batches

    # After the libraries are loaded, before a byte of the file is read.
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    resource.setrlimit(resource.RLIMIT_AS, (job["memory_bytes"], job["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_CPU, (job["cpu_s"], job["cpu_s"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    path, limits = Path(job["path"]), Limits(**job["limits"])
    try:
        if job["task"] == "measure":
            json.dump({"measurement": measure(path, parse(job["policy"]), limits).to_json()}, sys.stdout)
            return
        schema, batches = read_batches(path, limits, _tell)
        with pa.ipc.new_stream(sys.stdout.buffer, schema) as stream:
            for batch in batches:
                stream.write_batch(batch)
        return
    except (TableTooLarge, UnreadableTable) as refusal:
        said: TableTooLarge | UnreadableTable = refusal
    except MemoryError:
        said = _exhausted("reading the table needs more memory than the process may use")
    answer = {
        "too_large": isinstance(said, TableTooLarge),
        "detail": said.detail,
        "field": said.field,
        "rule": said.rule,
        "remedy": said.remedy,
    }
    print(json.dumps(answer), file=sys.stdout if job["task"] == "measure" else sys.stderr)


def _tell(done: int, total: int) -> None:
    print(json.dumps({"done": done, "total": total}), file=sys.stderr)
