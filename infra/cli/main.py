"""``livedrop``: the command line. ``make`` targets only call it."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from rich.console import Console

from infra.aws import deploy as deployment
from infra.aws.maintenance import MaintenanceFailed
from infra.aws.package import AWS, native_architecture, package
from infra.cli.keys import app as keys
from infra.cli.operate import app as operations
from infra.cli.payments import app as payments
from infra.cli.run import app as local_stack
from infra.cli.run import start_detached, stop
from infra.cli.stack import NoSuchStack, fail
from infra.local.local_state import LocalState, NotRunning
from infra.local.stack import CannotStart
from infra.paths import BUILD

_HELP = "Run livedrop on this machine or deploy it to AWS, and operate, check and rehearse its stacks."
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=_HELP)
app.add_typer(local_stack)
app.add_typer(operations)
app.add_typer(keys)
app.add_typer(payments, name="payments")
console = Console(highlight=False)

_EXPECTED_ERRORS = (
    BotoCoreError,
    CannotStart,
    ClientError,
    MaintenanceFailed,
    NoSuchStack,
    NotRunning,
    deployment.DeploymentFailed,
)
_NO_REGION = "No AWS region is set. Set AWS_DEFAULT_REGION."
_NO_CREDENTIALS = "No AWS credentials are set. Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."


def main() -> None:
    """Run ``livedrop``; report an expected error in one line."""
    try:
        app()
    except _EXPECTED_ERRORS as reason:
        fail(reason_text(reason))


def reason_text(reason: Exception) -> str:
    """Return what an expected error says, with the next step where AWS gives none."""
    match reason:
        case NoRegionError():
            return _NO_REGION
        case NoCredentialsError():
            return _NO_CREDENTIALS
        case _:
            return str(reason)


@app.command("package")
def package_() -> None:
    """Package the application for AWS and say how large it is."""
    targets = [AWS]
    if native_architecture() != AWS.architecture:
        targets.append(replace(AWS, architecture=native_architecture()))
    for target in targets:
        began = time.monotonic()
        built, was_built = package(target)
        unpacked = sum(path.stat().st_size for path in built.unpacked.rglob("*") if path.is_file())
        duration = f"{time.monotonic() - began:.1f} s" if was_built else "unchanged"
        size = f"{built.code.stat().st_size / 1e6:.1f} MB zipped, {unpacked / 1e6:.1f} MB unpacked"
        console.print(f"{target.runtime}, {target.architecture}: {built.code} ({size}; {duration})")
    if AWS.interpreter() is None:
        console.print(f"This machine has no {AWS.runtime}: the package lacks bytecode, and cold starts take longer.")


@app.command()
def deploy(
    *,
    stack: Annotated[str, typer.Option(envvar="LIVEDROP_STACK", help="Name of the CloudFormation stack.")] = "livedrop",
    code_bucket: Annotated[str | None, typer.Option(help="Bucket for the code; created when absent.")] = None,
    parameter: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the template; repeatable.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Deploy without asking.")] = False,
) -> None:
    """Deploy to AWS, with the credentials and region of this shell."""
    malformed = [pair for pair in parameter or [] if "=" not in pair]
    if malformed:
        fail(f"`--parameter` must be NAME=VALUE, not {malformed[0]}.")
    session = boto3.Session()
    if not session.region_name:
        fail(_NO_REGION)
    account = session.client("sts").get_caller_identity()["Account"]
    bucket = code_bucket or f"livedrop-code-{account}-{session.region_name}"
    given = dict(pair.split("=", 1) for pair in parameter or [])
    console.print(f"account {account}, {session.region_name}: stack {stack}, code in {bucket}, parameters {given}")
    if not yes:
        typer.confirm("Deploy?", abort=True)
    built, _ = package(AWS)
    for name, value in deployment.deploy(built, stack, bucket, given).items():
        console.print(f"{name}: {value}")


@app.command()
def rehearse(
    orders: Annotated[Path | None, typer.Argument(help="Orders as CSV. Default: the sample.")] = None,
) -> None:
    """Drive real orders through the local stack and check everything from outside.

    Starts a stack when none runs, and stops the one it started.
    """
    from infra.rehearse.command import rehearse as run_rehearsal

    local_state = LocalState.from_environment()
    started = []

    def start_stack() -> None:
        started.append(True)
        start_detached(local_state, reset=False)

    try:
        exit_code = run_rehearsal(orders, local_state, BUILD, start_stack=start_stack, console=console)
    finally:
        if started:
            stop()
    raise typer.Exit(exit_code)


@app.command()
def bench(
    *, short: Annotated[bool, typer.Option("--short", help="Run for a minute, as a smoke test.")] = False
) -> None:
    """Measure the speed and cost of stock on an emulator of its own; writes build/bench.json."""
    from infra.bench.command import bench as measure

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the emulator is stopped too
    measure(BUILD, short=short)


if __name__ == "__main__":
    main()
