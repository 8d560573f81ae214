"""The processes of a training on several devices: rank 0 is the one that has the job, the others are started here.

They meet in a file, as the default group of ``torch.distributed``, and run the same function. Only rank 0 writes to the
store, so the others are killed without regard when it stops; when one of them dies rank 0 stops with one sentence.
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

# Makes ready what a rank runs, with its data and network.
Prepare = Callable[..., Callable[[], object]]
# Seconds that the others have to end when rank 0 is through, and to say why when it fails; seconds that rank 0 has to
# find out itself that another one has died.
END, TELL, FIND = 60.0, 5.0, 30.0


@dataclass(frozen=True)
class Rank:
    """A process beside rank 0 of ``ranks``; the group meets in the file ``meet``, for devices of type ``device``."""

    rank: int
    ranks: int
    device: str
    meet: Path
    threads: int

    def join(self) -> None:
        """Join the group, which waits for all."""
        if self.device == "cuda":
            torch.cuda.set_device(self.rank)
        backend = "nccl" if self.device == "cuda" else "gloo"
        dist.init_process_group(backend, f"file://{self.meet}", rank=self.rank, world_size=self.ranks)

    def run(self, pipe: Any, plugins: Sequence[str]) -> None:
        """Run what comes through ``pipe`` in this process, which ends with the one that started it."""
        for one in (signal.SIGINT, signal.SIGTERM):  # those of rank 0 count
            signal.signal(one, signal.SIG_IGN)
        threading.Thread(target=end_with_parent, daemon=True).start()
        # rank 0 says the same
        logging.disable()
        warnings.simplefilter("ignore")
        torch.set_num_threads(self.threads)
        try:
            load_plugins(plugins)
            prepare, args = pipe.recv()  # read here: it may be of a plug-in
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
    """A process beside rank 0, as rank 0 has it; it is started when it is made."""

    def __init__(self, rank: Rank) -> None:
        context = multiprocessing.get_context("spawn")
        self.number = rank.rank
        self.pipe, theirs = context.Pipe()
        # no daemon: it may not start the workers of a loader; it ends with this process by itself
        self.process = context.Process(target=rank.run, args=(theirs, loaded()))
        self.process.start()
        theirs.close()

    def ready(self) -> None:
        """Wait until it has its data and network; raises what keeps it from it."""
        wait([self.pipe, self.process.sentinel])
        if (error := self.error()) is not None:
            raise error

    def error(self) -> VitmemError | None:
        """Return why it has ended, ``None`` for one that has not; what else it has said is read."""
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
    """Inside, this process is rank 0 of ``count``, each with a device of the type of ``device``.

    Nothing is done for a ``count`` of one. Each other one calls ``prepare(*args)``, and then what that returns; this
    one does the same work in the block. The threads of this process are shared out between them. Raises VitmemError
    when another process dies, and what it raises when that is a VitmemError.
    """
    if count == 1:
        yield
        return
    before = torch.get_num_threads()
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
        except Exception as error:  # the group says that a connection is closed, not why
            wait([other.process.sentinel for other in others], TELL)
            for other in others:
                if (why := other.error()) is not None:
                    raise why from error
            raise
        finally:
            over.set()
            torch.set_num_threads(before)
            for other in others:
                other.process.kill()
            if dist.is_initialized():
                dist.destroy_process_group()


def _end_with(others: Sequence[Other], over: threading.Event) -> None:
    """End this process, with one sentence, when one of ``others`` dies and it would wait for that inside of NCCL."""
    while not over.wait(1):
        if any(other.process.exitcode for other in others) and not over.wait(FIND):
            for error in filter(None, (other.error() for other in others)):
                print(f"error: {error}", file=sys.stderr, flush=True)
                os._exit(error.exit_code)


def end_with_parent() -> None:
    """End this process when the one that started it is gone, killed or not: nobody would use what it does."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
