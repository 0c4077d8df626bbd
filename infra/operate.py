"""Commands that work on the running local stack: tokens, repair, redrive, audit, export."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any, NoReturn

import httpx
import typer
from rich.console import Console

from infra.local.home import Home, aws_client
from infra.local.stack import invoke_repair

app = typer.Typer()
console = Console(highlight=False)


@app.command()
def token(scope: Annotated[str, typer.Argument(help="operator or finance")]) -> None:
    """Print a bearer token of the running local stack."""
    facts = facts_of(Home.from_environment())
    if scope not in {"operator", "finance"}:
        fail("the scope is operator or finance")
    print(facts[f"{scope}_token"])


@app.command()
def repair() -> None:
    """Take up again whatever a lost message left behind."""
    facts = facts_of(Home.from_environment())
    console.print(invoke_repair(aws_client(facts, "lambda"), facts["repair_function"]))


REDRIVEN = ("capture", "books", "exports")
INSTEAD = {
    "purchase-stream": "it says where lost records stood, not what they were; run `livedrop repair`",
    "stock-stream": "it says where lost records stood, not what they were; the next change of a drop sums it up anew",
    "cue-stream": "it says where lost cues stood, and they are too old by now; tell the cue again, by POST /cues",
    "parked-cues": "what nobody could read stays unreadable; each message has its reason: mend the sender",
    "schedules": "run `livedrop repair`; a day left open is closed the next night, or by POST /exports with close",
}
"""Dead-letter queues that hold no work, and what to do in place of putting them back."""


@app.command(
    help=f"Put the messages of a dead-letter queue ({', '.join(REDRIVEN)}) back to work.\n\nOthers hold none:\n\n"
    + "\n\n".join(f"{queue}: {remedy}." for queue, remedy in INSTEAD.items())
)
def redrive(queue: Annotated[str, typer.Argument(metavar="QUEUE")]) -> None:
    """Put the messages of a dead-letter queue back to work; of one that holds no work, say what to do."""
    if queue not in REDRIVEN:
        fail(INSTEAD.get(queue, f"the queue is one of {', '.join(REDRIVEN)}"))
    facts = facts_of(Home.from_environment())
    dead, worked = (facts["queues"][f"{queue.capitalize()}{kind}Url"] for kind in ("DLQ", "Queue"))
    console.print(f"{_move(aws_client(facts, 'sqs'), dead, worked)} messages put back")


@app.command()
def audit(drop: str) -> None:
    """Count every unit of a drop."""
    facts = facts_of(Home.from_environment())
    _show(httpx.get(f"{facts['http']}/drops/{drop}/audit", headers=_bearer(facts, "operator"), timeout=60))


@app.command()
def export(
    date: Annotated[str, typer.Argument(help="Business day, YYYY-MM-DD")],
    show: Annotated[str | None, typer.Option(help="Only this show.")] = None,
) -> None:
    """Ask for an interim export of a business day; it closes nothing."""
    facts = facts_of(Home.from_environment())
    wish = {"date": date} | ({"show_id": show} if show else {})
    headers = _bearer(facts, "finance") | {"Idempotency-Key": f"cli-{time.time_ns()}"}
    _show(httpx.post(f"{facts['http']}/exports", json=wish, headers=headers, timeout=60))


def facts_of(home: Home) -> dict[str, Any]:
    """What the running stack says of itself; ends the command when nothing runs."""
    facts = home.facts()
    if not facts:
        fail("nothing runs here: start it with `make run`")
    return facts


def _bearer(facts: dict[str, Any], scope: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {facts[f'{scope}_token']}"}


def _show(answer: httpx.Response) -> None:
    console.print_json(answer.text)
    if answer.is_error:
        raise typer.Exit(1)


def fail(reason: str) -> NoReturn:
    """End the command with a reason."""
    Console(stderr=True, highlight=False).print(f"livedrop: {reason}", style="red", markup=False)
    sys.exit(1)


def _move(sqs: Any, source: str, target: str) -> int:
    moved = 0
    while messages := sqs.receive_message(QueueUrl=source, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            sqs.send_message(QueueUrl=target, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=source, ReceiptHandle=message["ReceiptHandle"])
            moved += 1
    return moved
