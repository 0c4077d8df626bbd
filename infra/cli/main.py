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
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from infra.aws import deploy as deployment
from infra.aws.package import AWS, native_architecture, package
from infra.cli.keys import app as keys
from infra.cli.operate import app as operations
from infra.cli.operate import fail
from infra.cli.payments import app as payments
from infra.cli.run import app as local_stack
from infra.cli.run import start_detached, stop
from infra.cli.stack import NoSuchStack
from infra.local import emulator as aws_emulator
from infra.local.local_state import LocalState, NotRunning
from infra.local.stack import CannotStart

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(local_stack)
app.add_typer(operations)
app.add_typer(keys)
app.add_typer(payments, name="payments")
console = Console(highlight=False)


def main() -> None:
    """The ``livedrop`` command."""
    try:
        app()
    except (CannotStart, NotRunning, NoSuchStack, deployment.DeploymentFailed, BotoCoreError, ClientError) as reason:
        fail(str(reason))


@app.command("package")
def package_() -> None:
    """Package the application for AWS and say how large it is."""
    for target in (
        (AWS, replace(AWS, architecture=native_architecture())) if native_architecture() != AWS.architecture else (AWS,)
    ):
        began = time.monotonic()
        built, was_built = package(target)
        unpacked = sum(path.stat().st_size for path in built.unpacked.rglob("*") if path.is_file())
        duration = f"{time.monotonic() - began:.1f} s" if was_built else "unchanged"
        size = f"{built.code.stat().st_size / 1e6:.1f} MB zipped, {unpacked / 1e6:.1f} MB unpacked"
        console.print(f"{target.runtime}, {target.architecture}: {built.code} ({size}; {duration})")
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
    malformed = [pair for pair in parameter or [] if "=" not in pair]
    if malformed:
        fail(f"a parameter is NAME=VALUE, not {malformed[0]}")
    given = dict(pair.split("=", 1) for pair in parameter or [])
    console.print(f"account {account}, {session.region_name}: stack {stack}, code in {bucket}, parameters {given}")
    if not yes:
        typer.confirm("Deploy?", abort=True)
    built, _ = package(AWS)
    for name, value in deployment.deploy(built, stack, bucket, given).items():
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
        start_detached(local_state, reset=False)

    try:
        exit_code = play(orders, local_state, aws_emulator.ROOT / "build", start_stack=start_stack, console=console)
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
    measure(aws_emulator.ROOT / "build", short=short)


if __name__ == "__main__":
    main()
