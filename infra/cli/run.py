"""Commands for the stack on this machine: run, stop, restart-emulator, crash."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Annotated

import psutil
import typer

from infra.cli.stack import fail, new_console
from infra.local.local_state import LocalState
from infra.local.processes import LOOPBACK, alive, children, kill, launch
from infra.local.stack import CannotStart, Stack
from infra.paths import ROOT

app = typer.Typer()
console = new_console()

_DETACHED_SECONDS = 240
_STOP_SECONDS = 60


@app.command()
def run(
    *,
    reset: Annotated[bool, typer.Option("--reset", help="Delete the data of earlier runs.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return once the stack is ready; it keeps running.")] = False,
    owner: Annotated[int | None, typer.Option(help="Stop when the process with this id ends.")] = None,
) -> None:
    """Run the whole stack on this machine, in the foreground, until interrupted."""
    local_state = LocalState.from_environment()
    if local_state.running_pid("run") and local_state.running_pid("run") != os.getpid():
        fail(f"A stack runs already (see {local_state.stack_info_file}). `livedrop stop` stops it.")
    if detach:
        start_detached(local_state, reset=reset, owner=owner)
        return
    stack = Stack(
        local_state, _port("LIVEDROP_HTTP_PORT", 8000), _port("LIVEDROP_AWS_PORT", 4566), report=console.print
    )
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
    """Stop everything that `livedrop run` started, also after `run` itself was killed."""
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
    """Restart the local AWS emulator cleanly while the HTTP server keeps running; then recover orders."""
    local_state = LocalState.from_environment()
    before = local_state.running_stack_info()
    os.kill(before["pid"]["run"], signal.SIGUSR1)
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        current = local_state.stack_info()
        if current and current["pid"]["emulator"] != before["pid"]["emulator"]:
            console.print("emulator restarted")
            return
        time.sleep(0.1)
    fail("The emulator did not start again. Read emulator.log.")


@app.command()
def crash() -> None:
    """Kill the HTTP server and the function workers with SIGKILL, to rehearse a crash."""
    pids = LocalState.from_environment().running_stack_info()["pid"]
    processes = children(pids["emulator"]) + children(pids["http_server"]) + [psutil.Process(pids["http_server"])]
    kill(processes)
    console.print(f"killed {len(processes)} processes")


class _Interrupted(Exception):
    """A signal asked the stack to stop."""


def _interrupt(stopped: threading.Event) -> None:
    stopped.set()
    raise _Interrupted


def start_detached(local_state: LocalState, *, reset: bool, owner: int | None = None) -> None:
    """Start ``livedrop run`` as a process of its own and wait until its stack is ready. Raises: CannotStart."""
    log = local_state.folder / "run.log"
    command = [sys.executable, "-m", "infra.cli.main", "run", *(["--reset"] if reset else [])]
    command += ["--owner", str(owner)] if owner else []
    process = launch(command, environment=os.environ, log=log, folder=ROOT)
    deadline = time.monotonic() + _DETACHED_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if local_state.stack_info():
            console.print(f"stack running; log in {log}")
            return
        time.sleep(0.2)
    if process.poll() is None:
        process.terminate()
        process.wait()
    raise CannotStart(f"the stack did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _print_addresses(local_state: LocalState, stack: Stack) -> None:
    console.print(f"\nready: {stack.http}   AWS: {LOOPBACK}:{stack.aws_port}   details: {local_state.stack_info_file}")
    console.print(f"try:   curl -s {stack.http}/shows/tonight/live\nstop:  Ctrl-C\n", soft_wrap=True)


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    if text and not text.isdigit():
        fail(f"{variable} must be a port number, not {text!r}.")
    return int(text or default)
