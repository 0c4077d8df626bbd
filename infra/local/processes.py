"""Processes that outlive a command: started in their own session, identified by id and start time, stopped cleanly."""

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
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def port_in_use(port: int) -> bool:
    """Return whether a loopback port is taken."""
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
    """Start a process in its own session, so that the terminal's Ctrl-C reaches only its supervisor."""
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
    """Return the start time of a process, or None when it does not exist. Ids are reused; start times are not."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def alive(pid: int) -> bool:
    """Return whether a process runs. A zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def children(pid: int) -> list[psutil.Process]:
    """Return all descendants of a process at this moment."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def end(pid: int, timeout_seconds: float = 20) -> None:
    """Send SIGTERM, wait, then send SIGKILL to the descendants and, after the timeout, to the process itself."""
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
    """Send SIGKILL: the processes cannot clean up."""
    for process in processes:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(processes, timeout=5)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file while other processes wait for it."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
