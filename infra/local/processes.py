"""Processes that outlive a command: started in a session of their own, known by id and birth, ended in order."""

from __future__ import annotations

import fcntl
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def port_in_use(port: int) -> bool:
    """Whether a loopback port cannot be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def launch(
    command: Sequence[str | Path], *, environment: Mapping[str, str], log: Path, folder: Path
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that the terminal's Ctrl-C reaches only its supervisor."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        return subprocess.Popen(
            [str(part) for part in command],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def started_at(pid: int) -> float | None:
    """When the process with this id started; None when there is none. Ids are reused, births are not."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def children(pid: int) -> list[psutil.Process]:
    """All processes below one, at this moment."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def end(pid: int, timeout_seconds: float = 20) -> None:
    """SIGTERM, wait, and SIGKILL whatever is left of the process and of those below it."""
    processes = children(pid)
    try:
        process = psutil.Process(pid)
        process.terminate()
        process.wait(timeout_seconds)
    except psutil.TimeoutExpired:
        processes.append(process)
    except psutil.Error:
        pass
    kill(processes)


def kill(processes: Sequence[psutil.Process]) -> None:
    """SIGKILL, without a chance to clean up."""
    for process in processes:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(processes, timeout=5)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; other processes that want it wait."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
