"""``livedrop run`` and ``stop``: the whole stack on this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Annotated

import psutil
import typer
from rich.console import Console

from infra.cli.operate import fail
from infra.local import emulator as aws_emulator
from infra.local.local_state import LocalState
from infra.local.processes import LOOPBACK, alive, children, kill, launch
from infra.local.stack import CannotStart, Stack

app = typer.Typer()
console = Console(highlight=False)

_DETACHED_SECONDS = 240
_STOP_SECONDS = 60


@app.command()
def run(
    *,
    reset: Annotated[bool, typer.Option("--reset", help="Forget what was kept since the last run.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is ready, and leave it running.")] = False,
    owner: Annotated[int | None, typer.Option(help="End when the process with this id has ended.")] = None,
) -> None:
    """Run everything on this machine, in the foreground, until interrupted."""
    local_state = LocalState.from_environment()
    if local_state.running_pid("run") and local_state.running_pid("run") != os.getpid():
        fail(f"it runs already (see {local_state.stack_info_file}); `livedrop stop` ends it")
    if detach:
        start_detached(local_state, reset=reset, owner=owner)
        return
    stack = Stack(local_state, _port("LIVEDROP_HTTP_PORT", 8000), _port("LIVEDROP_AWS_PORT", 4566), say=console.print)
    stopped, emulator_restart_requested = threading.Event(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: _interrupt(stopped))
    signal.signal(signal.SIGUSR1, lambda *_: emulator_restart_requested.set())
    local_state.folder.mkdir(parents=True, exist_ok=True)
    local_state.record_process("run", os.getpid())
    try:
        stack.start(reset=reset)
        _print_addresses(local_state, stack)
        while not stopped.is_set() and (owner is None or alive(owner)):
            if emulator_restart_requested.is_set():
                emulator_restart_requested.clear()
                stack.restart_emulator()
            stack.watch()
            time.sleep(0.3)
    except _Interrupted:
        pass
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stack.stop()
        console.print("stopped")


@app.command()
def stop() -> None:
    """End what `livedrop run` started, also when that was killed."""
    local_state = LocalState.from_environment()
    runner = local_state.running_pid("run")
    if runner is not None:
        os.kill(runner, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while alive(runner) and time.monotonic() < deadline:
            time.sleep(0.1)
    ended = local_state.end_processes()
    console.print("stopped" if runner or ended else "nothing was running")


@app.command("restart-emulator")
def restart_emulator() -> None:
    """Stop and start the local AWS engine in order, while the HTTP front stays; then repair."""
    local_state = LocalState.from_environment()
    before = local_state.running_stack_info()
    os.kill(before["pid"]["run"], signal.SIGUSR1)
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        current = local_state.stack_info()
        if current and current["pid"]["emulator"] != before["pid"]["emulator"]:
            console.print("the engine runs again")
            return
        time.sleep(0.1)
    fail("the engine did not come back; see emulator.log")


@app.command()
def crash() -> None:
    """Kill the HTTP front and the function workers outright, as a rehearsal for the worst."""
    pids = LocalState.from_environment().running_stack_info()["pid"]
    processes = children(pids["emulator"]) + children(pids["http_server"]) + [psutil.Process(pids["http_server"])]
    kill(processes)
    console.print(f"killed {len(processes)} processes")


class _Interrupted(Exception):
    """SIGINT or SIGTERM, at whatever point."""


def _interrupt(ended: threading.Event) -> None:
    ended.set()
    raise _Interrupted


def start_detached(local_state: LocalState, *, reset: bool, owner: int | None = None) -> None:
    log = local_state.folder / "run.log"
    command = [sys.executable, "-m", "infra.cli.main", "run", *(["--reset"] if reset else [])]
    command += ["--owner", str(owner)] if owner else []
    process = launch(command, environment=os.environ, log=log, folder=aws_emulator.ROOT)
    deadline = time.monotonic() + _DETACHED_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if local_state.stack_info():
            console.print(f"running; log in {log}")
            return
        time.sleep(0.2)
    if process.poll() is None:
        process.terminate()
        process.wait()
    raise CannotStart(f"it did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _print_addresses(local_state: LocalState, stack: Stack) -> None:
    console.print(
        f"\nready: {stack.http}   AWS: {LOOPBACK}:{stack.aws_port}   all of it: {local_state.stack_info_file}"
    )
    console.print(f"try:   curl -s {stack.http}/shows/tonight/live\nstop:  Ctrl-C\n", soft_wrap=True)


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    if text and not text.isdigit():
        fail(f"{variable} is a port number, not {text!r}")
    return int(text or default)
