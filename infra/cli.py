"""``livedrop``: the command line. ``make`` targets only call it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import boto3
import psutil
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from infra import deploy as deployment
from infra.keys import app as keys
from infra.local import engine as embedded
from infra.local.home import LocalState, NotRunning
from infra.local.processes import LOOPBACK, alive, children, kill, launch
from infra.local.stack import CannotStart, Stack
from infra.operate import app as operations
from infra.operate import fail
from infra.package import AWS, native_architecture, package
from infra.payments import app as payments
from infra.place import NoSuchStack

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(operations)
app.add_typer(keys)
app.add_typer(payments, name="payments")
console = Console(highlight=False)
_DETACHED_SECONDS = 240
_STOP_SECONDS = 60


def main() -> None:
    """The ``livedrop`` command."""
    try:
        app()
    except (CannotStart, NotRunning, NoSuchStack, deployment.DeploymentFailed, BotoCoreError, ClientError) as reason:
        fail(str(reason))


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
        _detached(local_state, reset=reset, owner=owner)
        return
    stack = Stack(local_state, _port("LIVEDROP_HTTP_PORT", 8000), _port("LIVEDROP_AWS_PORT", 4566), say=console.print)
    ended, engine_wanted_anew = threading.Event(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: _interrupt(ended))
    signal.signal(signal.SIGUSR1, lambda *_: engine_wanted_anew.set())
    local_state.folder.mkdir(parents=True, exist_ok=True)
    local_state.record_process("run", os.getpid())
    try:
        stack.start(reset=reset)
        _welcome(local_state, stack)
        while not ended.is_set() and (owner is None or alive(owner)):
            if engine_wanted_anew.is_set():
                engine_wanted_anew.clear()
                stack.restart_engine()
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


@app.command("restart-engine")
def restart_engine() -> None:
    """Stop and start the local AWS engine in order, while the HTTP front stays; then repair."""
    local_state = LocalState.from_environment()
    before = local_state.running_stack_info()
    os.kill(before["pid"]["run"], signal.SIGUSR1)
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        now = local_state.stack_info()
        if now and now["pid"]["engine"] != before["pid"]["engine"]:
            console.print("the engine runs again")
            return
        time.sleep(0.1)
    fail("the engine did not come back; see engine.log")


@app.command()
def crash() -> None:
    """Kill the HTTP front and the function workers outright, as a rehearsal for the worst."""
    pids = LocalState.from_environment().running_stack_info()["pid"]
    family = children(pids["engine"]) + children(pids["http_server"]) + [psutil.Process(pids["http_server"])]
    kill(family)
    console.print(f"killed {len(family)} processes")


@app.command("package")
def package_() -> None:
    """Package the application for AWS and say how large it is."""
    for target in (
        (AWS, replace(AWS, architecture=native_architecture())) if native_architecture() != AWS.architecture else (AWS,)
    ):
        began = time.monotonic()
        made, fresh = package(target)
        unpacked = sum(path.stat().st_size for path in made.unpacked.rglob("*") if path.is_file())
        how = f"{time.monotonic() - began:.1f} s" if fresh else "unchanged"
        size = f"{made.code.stat().st_size / 1e6:.1f} MB zipped, {unpacked / 1e6:.1f} MB unpacked"
        console.print(f"{target.runtime}, {target.architecture}: {made.code} ({size}; {how})")
    if AWS.interpreter() is None:
        console.print(
            f"without bytecode, so that cold starts take longer: there is no {AWS.runtime} here to compile it"
        )


@app.command()
def deploy(
    *,
    stack: Annotated[str, typer.Option(envvar="LIVEDROP_STACK", help="Name of the CloudFormation stack.")] = "livedrop",
    code_bucket: Annotated[str | None, typer.Option(help="Bucket for the code; made when absent.")] = None,
    parameter: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the template; repeatable.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Deploy to AWS, with the credentials and region of this shell."""
    session = boto3.Session()
    if not session.region_name:
        fail("no region: set AWS_DEFAULT_REGION")
    account = session.client("sts").get_caller_identity()["Account"]
    bucket = code_bucket or f"livedrop-code-{account}-{session.region_name}"
    unreadable = [pair for pair in parameter or [] if "=" not in pair]
    if unreadable:
        fail(f"a parameter is NAME=VALUE, not {unreadable[0]}")
    given = dict(pair.split("=", 1) for pair in parameter or [])
    console.print(f"account {account}, {session.region_name}: stack {stack}, code in {bucket}, parameters {given}")
    if not yes:
        typer.confirm("Deploy?", abort=True)
    made, _ = package(AWS)
    for name, value in deployment.deploy(made, stack, bucket, given).items():
        console.print(f"{name}: {value}")


@app.command()
def rehearse(
    orders: Annotated[Path | None, typer.Argument(help="Orders as CSV; without, the sample.")] = None,
) -> None:
    """Play real orders through the running stack and check everything from outside; starts it when nothing runs."""
    from infra.rehearse.command import rehearse as play

    local_state = LocalState.from_environment()
    started = []

    def start_stack() -> None:
        started.append(True)
        _detached(local_state, reset=False)

    try:
        exit_code = play(orders, local_state, embedded.ROOT / "build", start_stack=start_stack, console=console)
    finally:
        if started:
            stop()
    raise typer.Exit(exit_code)


@app.command()
def bench(
    *, short: Annotated[bool, typer.Option("--short", help="A minute's worth, to see that it works.")] = False
) -> None:
    """Measure the speed and cost of stock on an engine of its own; build/bench.json."""
    from infra.bench.command import bench as measure

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the engine ends too
    measure(embedded.ROOT / "build", short=short)


class _Interrupted(Exception):
    """SIGINT or SIGTERM, at whatever point."""


def _interrupt(ended: threading.Event) -> None:
    ended.set()
    raise _Interrupted


def _detached(local_state: LocalState, *, reset: bool, owner: int | None = None) -> None:
    log = local_state.folder / "run.log"
    command = [sys.executable, "-m", "infra.cli", "run", *(["--reset"] if reset else [])]
    command += ["--owner", str(owner)] if owner else []
    process = launch(command, environment=os.environ, log=log, folder=embedded.ROOT)
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


def _welcome(local_state: LocalState, stack: Stack) -> None:
    console.print(
        f"\nready: {stack.http}   AWS: {LOOPBACK}:{stack.aws_port}   all of it: {local_state.stack_info_file}"
    )
    console.print(f"try:   curl -s {stack.http}/shows/tonight/live\nstop:  Ctrl-C\n", soft_wrap=True)


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    if text and not text.isdigit():
        fail(f"{variable} is a port number, not {text!r}")
    return int(text or default)


if __name__ == "__main__":
    main()
