"""One suite on one GPU within a time limit: environment, MPS, workers, and one archive of the results.

    python3 benchmarks/gpu/run.py configs/suites/cifar10_noise10_one.yaml --data-dir data --workers 6 --minutes 27

Uses only the standard library, since it creates the environment of the rest. See README.md beside it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import estimate

ROOT = Path(__file__).resolve().parents[2]
# The files of the repository that a machine needs.
CODE = ("vitmem", "configs", "benchmarks/gpu", "pyproject.toml", "README.md", "LICENSE")
# The results of a run of one suite.
ROWS = "rows.jsonl"
# Seconds between Ctrl-C and a kill; the next run repeats unwritten work.
GRACE = 60
# Exits with 0 if all requirements in its arguments are met, each a name, >= and a version.
CHECK = """
import re, sys
from importlib.metadata import version
numbers = lambda text: [int(part) for part in re.findall(r"\\d+", text)[:3]]
sys.exit(any(numbers(version(n)) < numbers(v) for n, v in (one.split(">=") for one in sys.argv[1:])))
"""
MPS = "nvidia-cuda-mps-control"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: that of the run, 0 after the time limit."""
    options = _options(arguments)
    # treat a scheduler's SIGTERM as Ctrl-C, which background jobs ('nohup ... &') ignore by default, as does their run
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    python = environment(options)
    if options.dry_run or options.measure:
        return estimate.told(python, options, travels(options), _variables())
    if options.pack:
        pack(options.pack, travels(options))
        return 0
    name = estimate.plan_of(python, options, _variables())["suite"]
    folder = options.results / name
    if options.resume:
        resume(options.resume, options.results, options.store)
    options.results.mkdir(parents=True, exist_ok=True)
    log = options.results / f"{name}.log"
    try:
        with shared_gpu(options.workers):
            code = run(python, options, log)
    finally:
        bring_back(options.archive or Path(f"{name}.tar.gz"), folder, options.store / "rows" / name, log)
    return code


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite", type=Path)
    parser.add_argument("--data-dir", type=Path, help="the folder of the data sets")
    parser.add_argument("--workers", type=int, default=4, help="parallel trainings on the GPU (default 4)")
    parser.add_argument("--minutes", type=float, default=27.0, help="time limit of the run (default 27)")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--store", type=Path, default=ROOT / "store")
    parser.add_argument("--archive", type=Path, help="the archive of the results (default <suite>.tar.gz)")
    parser.add_argument("--resume", type=Path, help="an archive of an earlier run; its rows are kept")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels for an offline installation")
    parser.add_argument(
        "--venv", type=Path, default=ROOT / ".venv" / "gpu", help="the environment for missing packages"
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument(
        "--dry-run", action="store_true", help="print the plan, the transfer sizes and the time, then exit"
    )
    parser.add_argument("--measure", action="store_true", help="as --dry-run, with the measured time of one epoch")
    parser.add_argument("--pack", type=Path, help="write code and data to this archive, then exit")
    return parser.parse_args(arguments)


def _variables(**more: str) -> dict[str, str]:
    """Return the environment variables of a process that imports this copy of the package."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def environment(options: argparse.Namespace) -> str:
    """Return a Python with all dependencies: this one, or that of a new virtual environment.

    The environment includes the packages of this Python, so only missing ones are installed.
    """
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    inside = options.venv / "bin" / "python"
    for python in (sys.executable, str(inside)):
        if Path(python).exists() and satisfied(python, needed):
            return python
    print(f"packages are missing: making {options.venv}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", str(options.venv)], check=True)
    offline = ["--no-index", "--find-links", str(options.wheels)] if options.wheels else []
    command = [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *offline, *needed]
    subprocess.run(command, check=True)
    return str(inside)


def satisfied(python: str, needed: Sequence[str]) -> bool:
    """Return whether ``python`` has all of ``needed``, requirements such as ``torch>=2.6``."""
    return subprocess.run([python, "-c", CHECK, *needed], capture_output=True).returncode == 0


def travels(options: argparse.Namespace) -> dict[str, Path]:
    """Return path in the archive -> file, for the code and the data of the suite."""
    found = {str(path.relative_to(ROOT)): path for place in CODE for path in _files(ROOT / place)}
    for name in estimate.data_names(options.suite):
        folder = (options.data_dir or Path("data")) / name
        found |= {f"data/{name}/{path.relative_to(folder)}": path for path in _files(folder)}
    return found


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    for folder, inner, names in os.walk(place):
        inner[:] = sorted(name for name in inner if name != "__pycache__")
        yield from (Path(folder) / name for name in sorted(names) if not name.endswith(".pyc"))


def pack(archive: Path, files: Mapping[str, Path]) -> None:
    """Write ``files`` to ``archive`` without compression, since images are compressed already."""
    with tarfile.open(archive, "w") as tar:
        for place, path in files.items():
            tar.add(path, f"vitmem/{place}")
    print(
        f"{archive}: {estimate.megabytes(archive.stat().st_size)}, {len(files)} files; unpack it there, and run from it"
    )


def resume(archive: Path, results: Path, store: Path) -> None:
    """Extract the rows of ``archive`` to the folders of the run, without overwriting files."""
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            content = tar.extractfile(member)
            match Path(member.name).parts:
                case ("results", suite, name) if name == ROWS:
                    place = results / suite / name
                case ("store", "rows", suite, name) if name.endswith(".jsonl"):
                    place = store / "rows" / suite / name
                case _:
                    continue
            if content and not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.read())


@contextmanager
def shared_gpu(workers: int) -> Iterator[None]:
    """Share the GPU between processes by MPS inside the block, if MPS is available and useful."""
    if workers < 2 or shutil.which(MPS) is None:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe", "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"}
        started = subprocess.run([MPS, "-d"], capture_output=True, text=True)
        print("MPS is on" if started.returncode == 0 else f"no MPS ({started.stderr.strip()[:200]})", flush=True)
        try:
            yield
        finally:
            if started.returncode == 0:
                subprocess.run([MPS], input="quit\n", text=True, capture_output=True, timeout=GRACE)
            for name in ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"):
                os.environ.pop(name, None)


def run(python: str, options: argparse.Namespace, log: Path) -> int:
    """Run the suite until its end or the time limit, with a copy of its output in ``log``; return its exit code.

    The exit code after the time limit is 0. A stopped run loses no finished row, since each is on disk at once.
    """
    command = estimate.vitmem(python, "run", options, "--workers", str(options.workers), "--device", options.device)
    end = time.monotonic() + 60 * options.minutes
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(command, env=_variables(), stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)
        stopped = False
        try:
            while process.poll() is None and not (stopped := time.monotonic() > end):
                time.sleep(0.2)
            if stopped:
                print("the time is up; the same command continues from here", flush=True)
        except KeyboardInterrupt:
            stopped = True
        if stopped:
            end_of(process)
    print("".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-12:]), flush=True)
    return 0 if stopped else process.returncode


def end_of(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a run as Ctrl-C does; kill it after ``GRACE`` seconds."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def bring_back(archive: Path, folder: Path, stored: Path, log: Path) -> None:
    """Write the rows in ``folder``, those ``stored`` by training and the ``log`` to ``archive``.

    A run without rows leaves no archive.
    """
    rows = {f"store/rows/{folder.name}/{path.name}": path for path in sorted(stored.glob("*.jsonl"))}
    if (folder / ROWS).exists():
        rows[f"results/{folder.name}/{ROWS}"] = folder / ROWS
    if not rows:
        print("no row was made")
        return
    with tarfile.open(archive, "w:gz") as tar:
        for place, path in rows.items():
            tar.add(path, place)
        if log.exists():
            tar.add(log, f"results/{log.name}")
    size = estimate.megabytes(archive.stat().st_size)
    print(f"bring back: {archive.resolve()} ({size}); 'tar xzf' it in the repository, then vitmem tables")


if __name__ == "__main__":
    sys.exit(main())
