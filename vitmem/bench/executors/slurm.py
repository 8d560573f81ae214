"""Workers on a SLURM cluster through submitit: an array of tasks, each with one worker or several. No torch.

Nothing has to live on the login node. A task whose time is over, or that is preempted, is put into the queue again and
its workers go on from the last epoch; the store says what is left.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitmem.errors import InputError, VitmemError, unknown

# Seconds before a task's end at which it is told, and those that its workers have to stop.
TOLD, GRACE = 90, 60.0
MPS = "nvidia-cuda-mps-control"
# The options of a task that are not submitit's.
OWN = {"slots": 1}
# As submitit spells them for any cluster, beside SLURM's own names.
GENERAL = ("name", "timeout_min", "mem_gb", "tasks_per_node")
_running: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Workers:
    """What a task does: ``slots`` processes of ``command`` with a share of its cores each, until nothing is left."""

    command: tuple[str, ...]
    slots: int = 1

    def __call__(self) -> None:
        """Start the workers and wait for them; raises VitmemError when one ends with an error."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        cores = int(os.environ.get("SLURM_CPUS_PER_TASK", cores))
        threads = {"OMP_NUM_THREADS": str(max(cores // self.slots, 1))}
        with _shared_gpu(self.slots):
            _running[:] = [
                subprocess.Popen(self.command, env={**os.environ, **threads}, preexec_fn=_deaf)
                for _ in range(self.slots)
            ]
            codes = [process.wait() for process in _running]
        if any(codes):
            raise VitmemError(f"workers ended with exit codes {codes}; 'vitmem status' says what failed")

    def checkpoint(self) -> Any:
        """Stop the workers and return what submitit puts into the queue again: the task's time is over."""
        stop()
        return importlib.import_module("submitit").helpers.DelayedSubmission(self)


def _deaf() -> None:
    """Leave the signal before a task's end, which SLURM sends to all its processes, to the one that submitit runs."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def stop() -> None:
    """End the workers of this task as Ctrl-C does, and kill those that take longer than ``GRACE``."""
    for process in _running:
        process.send_signal(signal.SIGINT)
    end = time.monotonic() + GRACE
    for process in _running:
        try:
            process.wait(max(end - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def _shared_gpu(slots: int) -> Iterator[None]:
    """Share the task's GPU between its workers by MPS, where that is installed."""
    if slots < 2 or shutil.which(MPS) is None:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe", "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"}
        subprocess.run([MPS, "-d"], check=False, capture_output=True)
        try:
            yield
        finally:
            subprocess.run([MPS], input=b"quit\n", check=False, capture_output=True, timeout=GRACE)


def submit(suite: str, work: Sequence[str], logs: Path, count: int, options: Mapping[str, Any]) -> list[str]:
    """Submit an array of ``count`` tasks and return their job ids; ``work`` are the arguments of ``vitmem work``.

    ``options`` are submitit's for SLURM (``partition``, ``timeout_min``, ``gpus_per_node`` ...) and ``slots``, the
    workers of a task. What tasks print lies in ``logs``, which all nodes see. Raises InputError for an option that
    neither knows, where SLURM or submitit is not installed, or when SLURM refuses.
    """
    executor = _executor(logs)
    own = {name: options.get(name, value) for name, value in OWN.items()}
    asked = {name: value for name, value in options.items() if name not in OWN}
    _check(asked)
    asked = {"name": f"vitmem-{suite}", "array_parallelism": count, "signal_delay_s": TOLD, **asked}
    workers = Workers((sys.executable, "-m", "vitmem.cli.main", "work", *work, "--no-progress"), int(own["slots"]))
    try:
        executor.update_parameters(**{_slurm_name(name): value for name, value in asked.items()})
        with executor.batch():
            jobs = [executor.submit(workers) for _ in range(count)]
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise InputError(f"SLURM refuses the jobs: {said}; see 'sinfo' for partitions and their limits") from error
    return [job.job_id for job in jobs]


def _executor(logs: Path) -> Any:
    if importlib.util.find_spec("submitit") is None:
        raise InputError("SLURM needs submitit: pip install 'vitmem[slurm]'")
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise InputError(
            "no SLURM here: 'sbatch' and 'srun' are not found; log in to the cluster, or use 'vitmem work'"
        )
    logs.mkdir(parents=True, exist_ok=True)
    # as often as it takes: each time goes on from the last epoch
    return importlib.import_module("submitit").SlurmExecutor(folder=logs, max_num_timeout=10_000)


def _slurm_name(name: str) -> str:
    return str(importlib.import_module("submitit").SlurmExecutor._equivalence_dict().get(name, name))


def _check(options: Mapping[str, Any]) -> None:
    """Raise InputError for an option that submitit does not know."""
    slurm = importlib.import_module("submitit.slurm.slurm")
    known = [*slurm._get_default_parameters(), *GENERAL, *OWN]
    for name in options:
        if name not in known:
            raise unknown("option of SLURM", name, known)
