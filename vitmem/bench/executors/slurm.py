"""Workers on a SLURM cluster through submitit: an array of tasks with one or several workers each. No torch.

No process stays on the login node. At its time limit or after preemption a task is requeued, and its workers resume
from the last epoch; the store has the remaining work.
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

# Seconds between SLURM's signal and a task's end, and for the workers to stop.
TOLD, GRACE = 90, 60.0
MPS = "nvidia-cuda-mps-control"
# Options of a task beyond those of submitit, with defaults.
OWN = {"slots": 1}
# submitit's cluster-independent names of options.
GENERAL = ("name", "timeout_min", "mem_gb", "tasks_per_node")
_running: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Workers:
    """A task of the array: ``slots`` processes of ``command``, which divide its cores between them."""

    command: tuple[str, ...]
    slots: int = 1

    def __call__(self) -> None:
        """Start the workers and wait for them; raises VitmemError if one fails."""
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
            raise VitmemError(f"workers ended with exit codes {codes}; 'vitmem status' shows the failures")

    def checkpoint(self) -> Any:
        """Stop the workers at the time limit and return the task for submitit to requeue."""
        stop()
        return importlib.import_module("submitit").helpers.DelayedSubmission(self)


def _deaf() -> None:
    """Ignore SLURM's signal before a task's end, which the parent process handles for all workers."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def stop() -> None:
    """Interrupt the workers of this task, and kill those still running after ``GRACE`` seconds."""
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
    """Share the task's GPU between its workers by MPS, if installed."""
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
    """Submit an array of ``count`` tasks and return their job ids; ``work`` has the arguments of ``vitmem work``.

    ``options`` are submitit's options for SLURM (``partition``, ``timeout_min``, ``gpus_per_node`` ...) and ``slots``,
    the workers per task. ``logs`` is the folder of the output, accessible to all nodes. Raises InputError for an
    unknown option, without SLURM or submitit, and if SLURM rejects the jobs.
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
        raise InputError(f"SLURM rejects the jobs: {said}; see 'sinfo' for partitions and their limits") from error
    return [job.job_id for job in jobs]


def _executor(logs: Path) -> Any:
    if importlib.util.find_spec("submitit") is None:
        raise InputError("SLURM needs submitit: pip install 'vitmem[slurm]'")
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise InputError(
            "no SLURM here: 'sbatch' and 'srun' are not found; log in to the cluster, or use 'vitmem work'"
        )
    logs.mkdir(parents=True, exist_ok=True)
    # practically unlimited requeues, each of which resumes from the last epoch
    return importlib.import_module("submitit").SlurmExecutor(folder=logs, max_num_timeout=10_000)


def _slurm_name(name: str) -> str:
    return str(importlib.import_module("submitit").SlurmExecutor._equivalence_dict().get(name, name))


def _check(options: Mapping[str, Any]) -> None:
    """Raise InputError for an option unknown to submitit."""
    slurm = importlib.import_module("submitit.slurm.slurm")
    known = [*slurm._get_default_parameters(), *GENERAL, *OWN]
    for name in options:
        if name not in known:
            raise unknown("option of SLURM", name, known)
