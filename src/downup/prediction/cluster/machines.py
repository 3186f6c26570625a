"""The machines that workers run on: a Ray cluster, or processes of this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from downup.errors import ArgumentError, DataError, MissingPackageError
from downup.prediction.cluster.crew import AHEAD, Crew
from downup.prediction.cluster.worker import Task, Worker

# Results are a few numbers, so Ray needs no room for them; this is the least that it takes.
_OBJECT_BYTES = 80 << 20


class Cluster:
    """A connection to Ray; use it in a `with` statement.

    Args:
        address: "local" for processes of this machine, "auto" for the cluster that it belongs to, or a cluster's HOST:PORT.
        workers: processes that label; by default one for each machine.
        threads: of each worker; by default its share of the machine's cores.
        tell: takes a sentence when a worker was lost.
        worker: the class that does the work.

    Raises:
        MissingPackageError: Ray is not installed.
        ArgumentError: a number is below 1.
        DataError: there is no such cluster.
    """

    def __init__(
        self,
        address: str = "local",
        workers: int | None = None,
        threads: int | None = None,
        tell: Callable[[str], None] = lambda _: None,
        worker: type[Worker] = Worker,
    ) -> None:
        for name, value in (("workers", workers), ("threads", threads)):
            if value is not None and value < 1:
                raise ArgumentError(f"{name} is {value}; use at least 1")
        self.address, self._tell, self._worker = address, tell, worker
        self._wanted = (workers, threads)
        self._ray = _ray()

    def __enter__(self) -> Self:
        if self.address == "local":
            workers, threads = self._wanted
            cores = len(os.sched_getaffinity(0))
            self.workers = workers or 1
            self.threads = threads or max(1, cores // self.workers)
            # Ray counts what it hands out: as much as is wanted, even where there are fewer cores.
            self._start(num_cpus=self.workers * self.threads, object_store_memory=_OBJECT_BYTES)
            return self
        try:
            self._start(address=self.address)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise DataError(
                f"cluster {self.address!r}: no Ray cluster answers there ({str(error).splitlines()[0]}); start one with: "
                "ray start --head, or use --cluster local"
            ) from error
        self._share()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    def label(self, task: Task, todo: Iterable[int], note: Callable[[int, Any], None]) -> None:
        """Label windows of a picture; see `Crew.label`."""
        remote = self._ray.remote(self._worker).options(num_cpus=self.threads, max_concurrency=AHEAD)
        Crew(self._ray, lambda: remote.remote(task), self.workers, self._tell).label(task, todo, note)

    def _start(self, **options: Any) -> None:
        self._ray.init(
            include_dashboard=None if "address" in options else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **options,
        )

    def _share(self) -> None:
        """Divide the machines among the workers."""
        cores = [int(node["Resources"].get("CPU", 0)) for node in self._ray.nodes() if node["Alive"]]
        cores = [count for count in cores if count]
        if not cores:
            self._ray.shutdown()
            raise DataError(f"cluster {self.address!r}: none of its machines has cores to give")
        workers, threads = self._wanted
        self.workers = workers or (
            len(cores) if threads is None else sum(count // threads for count in cores)
        )
        self.threads = threads or max(1, min(min(cores), sum(cores) // self.workers))
        if self.threads > max(cores) or self.workers < 1:
            self._ray.shutdown()
            raise ArgumentError(
                f"threads is {self.threads}, but no machine of the cluster has more than {max(cores)} cores"
            )


def _ray() -> Any:
    # Nothing is told to anybody, and processes without a GPU leave its variables alone.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Of a lost worker the crew tells itself, in a sentence.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", r"A worker died or was killed|actor died|Actor died")
    try:
        import ray
    except ImportError as error:
        raise MissingPackageError(
            "labelling on a cluster needs the package ray; install it with: pip install 'downup[cluster]'"
        ) from error
    return ray
