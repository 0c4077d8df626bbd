"""Commands for payments: reconcile them with the provider, and store the provider's keys."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from infra.cli.stack import DeployedStack, StackOption, fail

app = typer.Typer(help="Reconcile payments with the provider; store its keys.", no_args_is_help=True)
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


@app.command()
def reconcile(
    *,
    days: Annotated[
        int, typer.Option(min=2, max=30, help="Days before it whose movements are read from the provider again.")
    ] = 2,
    stack: StackOption = None,
) -> None:
    """Compare every order with what moved the shop's balance at the provider, and finish what lost webhooks left open.

    Prints the other differences and the clearing statement. Exits with 1 when there is a difference, or when the
    provider did not answer: a person has to check.
    """
    deployed = DeployedStack.of(stack)
    report = until_complete(lambda begin: deployed.invoke_maintenance({"reconcile": {"begin": begin, "days": days}}))
    console.print_json(data=report)
    differing = [row for row in report.get("clearing") or [] if row["difference"]]
    if not report["complete"] or report["differences_count"] or differing or "clearing" not in report:
        raise typer.Exit(1)


def until_complete(run: Callable[[bool], dict[str, Any]]) -> dict[str, Any]:
    """Run the function until its report is complete or does not change. Prints how far it came on stderr.

    The comparison begins once all movements are stored.
    """
    report, seen = run(True), None
    while not report["complete"]:
        names = ("movements_until", "purchases", "movements", "reading_again_from")
        progress = tuple(report.get(name) for name in names)
        errors.print(f"movements until {progress[0]} stored, {progress[1] or 0} purchases compared")
        if not report["provider_available"]:
            errors.print(f"the provider does not say what moved: {report['provider_problem']}")
            return report
        if progress == seen:
            return report
        seen = progress
        report = run(not report["movements_complete"])
    return report


@app.command()
def keys(
    *,
    api_key: Annotated[str, typer.Option(prompt=True, hide_input=True, help="The provider's secret API key.")],
    webhook_secret: Annotated[
        str, typer.Option(prompt=True, hide_input=True, help="Signing secret of the webhook to /webhooks/stripe.")
    ],
    stack: StackOption = None,
) -> None:
    """Store the provider's keys. The previous webhook secret stays valid until the next change.

    Stores nothing and exits with 1 when a key is empty or of another kind, such as a publishable key.
    """
    problem = key_problem(api_key, webhook_secret)
    if problem is not None:
        fail(f"{problem} Nothing is stored.")
    deployed = DeployedStack.of(stack)
    secrets, name = deployed.client("secretsmanager"), deployed.outputs["PaymentSecretsId"]
    stored = json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])
    secrets.put_secret_value(SecretId=name, SecretString=json.dumps(with_keys(stored, api_key, webhook_secret)))
    console.print(
        "Stored. Functions read the keys within five minutes, and at once when the provider refuses the API key or no "
        "secret verifies a webhook."
    )


def key_problem(api_key: str, webhook_secret: str) -> str | None:
    """Return a sentence why these are not the provider's keys; None if they can be. It shows neither."""
    if re.fullmatch(r"(sk|rk)_[A-Za-z0-9_]+", api_key) is None:
        return "The API key must be a secret key (sk_...) or a restricted key (rk_...)."
    if re.fullmatch(r"whsec_[A-Za-z0-9+/=_-]+", webhook_secret) is None:
        return "The webhook secret must be a signing secret (whsec_...)."
    return None


def with_keys(stored: dict[str, Any], api_key: str, webhook_secret: str) -> dict[str, Any]:
    """Return the secret with these keys and, when it differs, the newest previous webhook secret."""
    previous = [one for one in stored.get("webhook_secrets", []) if one and one != webhook_secret]
    return stored | {"api_key": api_key, "webhook_secrets": [webhook_secret, *previous[:1]]}
