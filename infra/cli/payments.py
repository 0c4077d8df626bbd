"""Commands for payments: reconcile them with the provider, and store the provider's keys."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console

from infra.cli.stack import DeployedStack, StackOption

app = typer.Typer(help="Reconcile payments with the provider; store its keys.", no_args_is_help=True)
console = Console(highlight=False)


@app.command()
def reconcile(
    *,
    hours: Annotated[int, typer.Option(min=1, max=24 * 30, help="Age of the oldest payment compared.")] = 48,
    stack: StackOption = None,
) -> None:
    """Compare every payment at the provider with its order, and enqueue orders that lost webhooks left open.

    Prints the other differences and exits with 1 when there are any: a person has to check them.
    """
    report = DeployedStack.of(stack).invoke_maintenance({"reconcile": {"hours": hours}})
    console.print_json(data=report)
    if report["differences"]:
        raise typer.Exit(1)


@app.command()
def keys(
    *,
    api_key: Annotated[str, typer.Option(prompt=True, hide_input=True, help="The provider's secret API key.")],
    webhook_secret: Annotated[
        str, typer.Option(prompt=True, hide_input=True, help="Signing secret of the webhook to /webhooks/stripe.")
    ],
    stack: StackOption = None,
) -> None:
    """Store the provider's keys. The previous webhook secret stays valid until the next change."""
    deployed = DeployedStack.of(stack)
    secrets, name = deployed.client("secretsmanager"), deployed.outputs["PaymentSecretsId"]
    stored = json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])
    secrets.put_secret_value(SecretId=name, SecretString=json.dumps(with_keys(stored, api_key, webhook_secret)))
    console.print("Stored. Functions read them within five minutes; the API key is used by new processes only.")


def with_keys(stored: dict[str, Any], api_key: str, webhook_secret: str) -> dict[str, Any]:
    """Return the secret with these keys and, when it differs, the newest previous webhook secret."""
    previous = [one for one in stored.get("webhook_secrets", []) if one != webhook_secret]
    return stored | {"api_key": api_key, "webhook_secrets": [webhook_secret, *previous[:1]]}
