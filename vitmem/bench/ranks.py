"""The processes of a training on several devices: rank 0 is the process of the job, which starts the others.

They form the default group of ``torch.distributed`` through a shared file and run the same function. Only rank 0 writes
to the store, so the other ranks can be killed when it stops. If one of them dies, rank 0 stops with one sentence.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from vitmem.bench.plugins import load_plugins, loaded
from vitmem.errors import VitmemError

# Loads the data and network of a rank and returns the function to run.
Prepare = Callable[..., Callable[[], object]]
# Seconds for the other ranks to end after rank 0, and to report their error if it fails; seconds for rank 0 to detect
# the death of another rank itself.
END, TELL, FIND = 60.0, 5.0, 30.0


@dataclass(frozen=True)
class Rank:
    """One of ``ranks`` processes on devices of type ``device``; ``meet`` is the shared file of the group."""

    rank: int
    ranks: int
    device: str
    meet: Path
    threads: int

    def join(self) -> None:
        """Join the group; blocks until all ranks have joined."""
        if self.device == "cuda":
            torch.cuda.set_device(self.rank)
        backend = "nccl" if self.device == "cuda" else "gloo"
        dist.init_process_group(backend, f"file://{self.meet}", rank=self.rank, world_size=self.ranks)

    def run(self, pipe: Any, plugins: Sequence[str]) -> None:
        """Run the function received through ``pipe``; the process ends with its parent."""
        for one in (signal.SIGINT, signal.SIGTERM):  # rank 0 handles these for all
            signal.signal(one, signal.SIG_IGN)
        threading.Thread(target=end_with_parent, daemon=True).start()
        # rank 0 logs the same
        logging.disable()
        warnings.simplefilter("ignore")
        torch.set_num_threads(self.threads)
        try:
            load_plugins(plugins)
            prepare, args = pipe.recv()  # after the plug-ins, which may define them
            run = prepare(*args)
            pipe.send(None)
            pipe.recv()
            self.join()
            run()
            dist.destroy_process_group()
        except (Exception, SystemExit) as error:
            known = isinstance(error, VitmemError)
            pipe.send(error if known else VitmemError(f"device {self.rank}: {traceback.format_exc(limit=-3)}"))
            sys.exit(1)


class Other:
    """Handle of rank 0 on another rank; the constructor starts its process."""

    def __init__(self, rank: Rank) -> None:
        context = multiprocessing.get_context("spawn")
        self.number = rank.rank
        self.pipe, theirs = context.Pipe()
        # daemon processes may not start data loader workers; end_with_parent ends it instead
        self.process = context.Process(target=rank.run, args=(theirs, loaded()))
        self.process.start()
        theirs.close()

    def ready(self) -> None:
        """Wait until its data and network are loaded; raises VitmemError if that fails."""
        wait([self.pipe, self.process.sentinel])
        if (error := self.error()) is not None:
            raise error

    def error(self) -> VitmemError | None:
        """Return the error of an ended process, ``None`` while it runs; discards other messages."""
        try:
            said = self.pipe.recv() if self.pipe.poll() else None
        except (EOFError, OSError):
            said = None
        if isinstance(said, VitmemError):
            return said
        if not wait([self.process.sentinel], 0):
            return None
        self.process.join()
        return VitmemError(
            f"the process of device {self.number} ended with exit code {self.process.exitcode}; run the same command "
            "again, finished work is kept"
        )


@contextmanager
def ranks(count: int, device: torch.device, prepare: Prepare, *args: Any) -> Iterator[None]:
    """Make this process rank 0 of ``count`` inside the block, each on a device of the type of ``device``.

    The other ranks call ``prepare(*args)`` and then its result; the block does the same work on rank 0. The threads of
    this process are divided between the ranks. Does nothing for a ``count`` of 1. Raises VitmemError if another rank
    fails or dies.
    """
    if count == 1:
        yield
        return
    before, hook = torch.get_num_threads(), sys.excepthook  # torch puts the rank before each line of a traceback
    threads = max(before // count, 1)
    others: list[Other] = []
    over = threading.Event()
    with tempfile.TemporaryDirectory(prefix="vitmem-") as folder:
        first, *rest = (Rank(n, count, device.type, Path(folder) / "meet", threads) for n in range(count))
        try:
            torch.set_num_threads(threads)
            others += [Other(rank) for rank in rest]
            for other in others:
                other.pipe.send((prepare, args))
            for other in others:
                other.ready()
            for other in others:
                other.pipe.send(None)
            first.join()
            if device.type == "cuda":
                threading.Thread(target=_end_with, args=(others, over), daemon=True).start()
            yield
            dist.destroy_process_group()
            for other in others:
                other.process.join(END)
        except (VitmemError, KeyboardInterrupt):
            raise
        except Exception as error:  # the group reports a closed connection without its cause
            wait([other.process.sentinel for other in others], TELL)
            for other in others:
                if (why := other.error()) is not None:
                    raise why from error
            raise
        finally:
            over.set()
            torch.set_num_threads(before)
            sys.excepthook = hook
            for other in others:
                other.process.kill()
            if dist.is_initialized():
                dist.destroy_process_group()


def _end_with(others: Sequence[Other], over: threading.Event) -> None:
    """Exit with one sentence if one of ``others`` dies, since NCCL would wait for it forever."""
    while not over.wait(1):
        if any(other.process.exitcode for other in others) and not over.wait(FIND):
            for error in filter(None, (other.error() for other in others)):
                print(f"error: {error}", file=sys.stderr, flush=True)
                os._exit(error.exit_code)


def end_with_parent() -> None:
    """Wait for the end of the parent process, then exit; nobody uses the work after that."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
