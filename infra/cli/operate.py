"""Commands that work on a stack, here or on AWS: token, recover, redrive, audit, export, refused-cues."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import httpx
import typer
from rich.markup import escape
from rich.table import Table

from infra.aws.tokens import Scope
from infra.cli.stack import DeployedStack, StackOption, fail, new_console

app = typer.Typer()
console = new_console()
_WEEK_HOURS: Final = 7 * 24


@app.command()
def token(
    scope: Annotated[Scope, typer.Argument(help="The scope of the token.")],
    *,
    subject: Annotated[str | None, typer.Option(help="Its holder. Default: you, as AWS names you.")] = None,
    hours: Annotated[int, typer.Option(min=1, max=_WEEK_HOURS, help="How long it is valid.")] = _WEEK_HOURS,
    stack: StackOption = None,
) -> None:
    """Print a bearer token."""
    print(DeployedStack.of(stack).token(scope, subject, hours * 3600))


@app.command()
def recover(*, stack: StackOption = None) -> None:
    """Enqueue every order whose message was lost."""
    console.print(DeployedStack.of(stack).invoke_maintenance())


REDRIVABLE_QUEUES = ("capture", "ledger", "exports")
REMEDIES = {
    "purchase-stream": "its messages give positions of lost records, not the records. Run `livedrop recover`.",
    "stock-stream": "its messages give positions of lost records, not the records. "
    "The next change of a drop computes its summary again.",
    "cue-stream": "its messages give positions of lost cues, which are too old by now. "
    "Send the cue again by POST /cues.",
    "parked-cues": "livedrop cannot read its cues. Each message has its reason: correct the sender.",
    "schedules": "its messages hold no work. "
    "Run `livedrop recover`. The next night closes an open day, or close it by POST /exports with close.",
}
"""Dead-letter queues that hold no work, and what an operator does in place of redriving them."""


@app.command(
    help=f"Move the messages of a dead-letter queue ({', '.join(REDRIVABLE_QUEUES)}) back to their queue."
    "\n\nOther dead-letter queues hold no work:\n\n"
    + "\n\n".join(f"{queue}: {remedy}" for queue, remedy in REMEDIES.items())
)
def redrive(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="Name of the queue.")], *, stack: StackOption = None
) -> None:
    """Move the messages of a dead-letter queue back to their queue, or print the remedy of one that holds no work."""
    if queue not in REDRIVABLE_QUEUES:
        remedy = REMEDIES.get(queue)
        if remedy is None:
            fail(f"The queue must be one of {', '.join((*REDRIVABLE_QUEUES, *REMEDIES))}.")
        fail(f"The queue {queue} cannot be redriven: {remedy}")
    console.print(f"{redrive_messages(DeployedStack.of(stack), queue)} messages redriven")


def redrive_messages(deployed: DeployedStack, queue: str) -> int:
    """Move the messages of a dead-letter queue to the queue that they came from. Returns their number."""
    dead_letter_url, queue_url = (deployed.outputs[f"{queue.capitalize()}{kind}Url"] for kind in ("DLQ", "Queue"))
    return _move_messages(deployed.client("sqs"), dead_letter_url, queue_url)


@app.command()
def audit(
    drop: Annotated[str, typer.Argument(help="Id of the drop.")],
    *,
    with_repair: Annotated[bool, typer.Option("--repair", help="Repair the findings; safe during a sale.")] = False,
    detail: Annotated[int, typer.Option(min=0, help="Entries of each list; counts include all.")] = 100,
    from_bucket: Annotated[int, typer.Option(min=0, help="First bucket of the lists of buckets and holds.")] = 0,
    stack: StackOption = None,
) -> None:
    """Count every unit of a drop, name its purchase, and report everything that does not match."""
    request = {"drop_id": drop, "repair": with_repair, "detail": detail, "from_bucket": from_bucket}
    report = DeployedStack.of(stack).invoke_maintenance({"audit": request})
    if "code" in report:
        fail(problem_text(report))
    console.print_json(data=report)


@app.command()
def export(
    date: Annotated[str, typer.Argument(help="Business day, YYYY-MM-DD")],
    *,
    show: Annotated[str | None, typer.Option(help="Only this show.")] = None,
    stack: StackOption = None,
) -> None:
    """Request an interim export of a business day. It closes nothing."""
    request = {"date": date} | ({"show_id": show} if show else {})
    deployed = DeployedStack.of(stack)
    _print_response(deployed, deployed.call_api("finance", "POST", "/exports", json=request))


@app.command("refused-cues")
def refused_cues(
    *,
    subject: Annotated[str | None, typer.Option(help="Only of this drop, or of this show and its drops.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's answer, with each reason in words.")] = False,
    stack: StackOption = None,
) -> None:
    """List the newest hundred refused cues of the last thirty days, each with its reason."""
    deployed = DeployedStack.of(stack)
    response = deployed.call_api("operator", "GET", "/cues/refused", params={"subject": subject} if subject else {})
    if as_json or response.is_error:
        _print_response(deployed, response)
    else:
        console.print(refused_cues_table(response.json()["cues"], subject))


def refused_cues_table(cues: Sequence[Mapping[str, str]], subject: str | None) -> Table | str:
    """Return the table of refused cues, or a sentence when there are none."""
    if not cues:
        return f"No cue{f' of {escape(subject)}' if subject else ''} was refused in the last thirty days."
    columns = ("time", "type", "subject", "source", "id", "reason")
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for cue in cues:
        table.add_row(*(escape(cue[name]) for name in columns))
    return table


def _print_response(deployed: DeployedStack, response: httpx.Response) -> None:
    """Print an answer of the API, or end the command with the reason when the answer is an error."""
    try:
        answer = response.json()
    except ValueError:
        fail(f"{deployed.http} answered {response.status_code} without JSON: it is not livedrop.")
    if response.is_error:
        fail(problem_text(answer))
    console.print_json(data=answer)


def problem_text(answer: Any) -> str:
    """Return the reason in an error of the API. An answer that livedrop did not write is returned whole."""
    return str(answer["detail"]) if isinstance(answer, dict) and "detail" in answer else json.dumps(answer)


def _move_messages(sqs: Any, source: str, target: str) -> int:
    """Move all messages, each sent before it is deleted. Long polls, because a short poll may miss messages."""
    moved = 0
    while messages := sqs.receive_message(QueueUrl=source, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages"):
        for message in messages:
            sqs.send_message(QueueUrl=target, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=source, ReceiptHandle=message["ReceiptHandle"])
            moved += 1
    return moved
