"""Commands that work on a stack, here or on AWS: tokens, repair, redrive, audit, export."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any, Final, NoReturn

import httpx
import typer
from rich.console import Console

from infra.aws.tokens import Scope
from infra.cli.stack import DeployedStack, StackOption
from infra.local.stack import MaintenanceFailed, invoke_maintenance

app = typer.Typer()
console = Console(highlight=False)
_WEEK_HOURS: Final = 7 * 24
_API_TOKEN_SECONDS: Final = 300


@app.command()
def token(
    scope: Annotated[Scope, typer.Argument(help="What it allows.")],
    *,
    subject: Annotated[str | None, typer.Option(help="Whom it is for; without, you, as AWS knows you.")] = None,
    hours: Annotated[int, typer.Option(min=1, max=_WEEK_HOURS, help="How long it is good for.")] = _WEEK_HOURS,
    stack: StackOption = None,
) -> None:
    """Print a bearer token."""
    print(DeployedStack.of(stack).token(scope, subject, hours * 3600))


@app.command()
def recover(*, stack: StackOption = None) -> None:
    """Take up again whatever a lost message left behind."""
    deployed = DeployedStack.of(stack)
    try:
        console.print(invoke_maintenance(deployed.client("lambda"), deployed.outputs["MaintenanceFunction"]))
    except MaintenanceFailed as failure:
        fail(str(failure))


REDRIVABLE_QUEUES = ("capture", "ledger", "exports")
REMEDIES = {
    "purchase-stream": "it says where lost records stood, not what they were; run `livedrop recover`",
    "stock-stream": "it says where lost records stood, not what they were; the next change of a drop sums it up anew",
    "cue-stream": "it says where lost cues stood, and they are too old by now; tell the cue again, by POST /cues",
    "parked-cues": "what nobody could read stays unreadable; each message has its reason: mend the sender",
    "schedules": "run `livedrop recover`; a day left open is closed the next night, or by POST /exports with close",
}
"""Dead-letter queues that hold no work, and what to do in place of putting them back."""


@app.command(
    help=f"Put the messages of a dead-letter queue ({', '.join(REDRIVABLE_QUEUES)}) back to work."
    "\n\nOthers hold none:\n\n" + "\n\n".join(f"{queue}: {remedy}." for queue, remedy in REMEDIES.items())
)
def redrive(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="Name of the queue.")], *, stack: StackOption = None
) -> None:
    """Put the messages of a dead-letter queue back to work; of one that holds no work, say what to do."""
    if queue not in REDRIVABLE_QUEUES:
        fail(REMEDIES.get(queue, f"the queue is one of {', '.join(REDRIVABLE_QUEUES)}"))
    console.print(f"{redrive_messages(DeployedStack.of(stack), queue)} messages redriven")


def redrive_messages(deployed: DeployedStack, queue: str) -> int:
    """Move the messages of a dead-letter queue to the queue that they were dropped from; how many there were."""
    dead_letter_url, queue_url = (deployed.outputs[f"{queue.capitalize()}{kind}Url"] for kind in ("DLQ", "Queue"))
    return _move_messages(deployed.client("sqs"), dead_letter_url, queue_url)


@app.command()
def audit(
    drop: Annotated[str, typer.Argument(help="Id of the drop.")],
    *,
    with_repair: Annotated[bool, typer.Option("--repair", help="Mend what is found; safe during a sale.")] = False,
    detail: Annotated[int, typer.Option(min=0, help="Entries of each list; counts are of all.")] = 100,
    from_bucket: Annotated[int, typer.Option(min=0, help="The bucket at which buckets and holds begin.")] = 0,
    stack: StackOption = None,
) -> None:
    """Count every unit of a drop, name its purchase, and say what does not match."""
    deployed = DeployedStack.of(stack)
    request = {"drop_id": drop, "repair": with_repair, "detail": detail, "from_bucket": from_bucket}
    try:
        report = invoke_maintenance(
            deployed.client("lambda"), deployed.outputs["MaintenanceFunction"], {"audit": request}
        )
    except MaintenanceFailed as failure:
        fail(str(failure))
    console.print_json(data=report)
    if "code" in report:
        raise typer.Exit(1)


@app.command()
def export(
    date: Annotated[str, typer.Argument(help="Business day, YYYY-MM-DD")],
    *,
    show: Annotated[str | None, typer.Option(help="Only this show.")] = None,
    stack: StackOption = None,
) -> None:
    """Ask for an interim export of a business day; it closes nothing."""
    request = {"date": date} | ({"show_id": show} if show else {})
    _call_api(DeployedStack.of(stack), "finance", "POST", "/exports", json=request)


def fail(reason: str) -> NoReturn:
    """End the command with a reason."""
    Console(stderr=True, highlight=False).print(f"livedrop: {reason}", style="red", markup=False, soft_wrap=True)
    sys.exit(1)


def _call_api(deployed: DeployedStack, scope: Scope, method: str, path: str, **body: Any) -> None:
    """Call the API in the caller's own name, show its answer, and fail when it is an error."""
    token_text = deployed.token(scope, lifetime_seconds=_API_TOKEN_SECONDS)
    headers = {"Authorization": f"Bearer {token_text}", "Idempotency-Key": f"cli-{time.time_ns()}"}
    try:
        response = httpx.request(method, f"{deployed.http}{path}", headers=headers, timeout=60, **body)
    except httpx.HTTPError as failure:
        fail(f"no answer from {deployed.http}: {failure!r}")
    try:
        console.print_json(response.text)
    except ValueError:
        fail(f"{deployed.http} was answered {response.status_code}, and not by livedrop")
    if response.is_error:
        raise typer.Exit(1)


def _move_messages(sqs: Any, source: str, target: str) -> int:
    """Move all messages, each sent before it is deleted. Short polls may overlook what is there, so these wait."""
    moved = 0
    while messages := sqs.receive_message(QueueUrl=source, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages"):
        for message in messages:
            sqs.send_message(QueueUrl=target, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=source, ReceiptHandle=message["ReceiptHandle"])
            moved += 1
    return moved
