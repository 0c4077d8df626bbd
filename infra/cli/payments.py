"""Commands for money: compare the provider's payments with the orders, and give the provider's keys."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console

from infra.cli.operate import fail
from infra.cli.stack import DeployedStack, StackOption
from infra.local.stack import MaintenanceFailed, invoke_maintenance

app = typer.Typer(help="Compare payments with the provider; give its keys.", no_args_is_help=True)
console = Console(highlight=False)


@app.command()
def reconcile(
    *,
    hours: Annotated[int, typer.Option(min=1, max=24 * 30, help="Payments of how many hours back.")] = 48,
    stack: StackOption = None,
) -> None:
    """Compare every payment at the provider with its order; mend what lost webhooks left open, and tell the rest.

    Ends with 1 when something differs that a person has to look at.
    """
    deployed = DeployedStack.of(stack)
    try:
        report = invoke_maintenance(
            deployed.client("lambda"), deployed.outputs["MaintenanceFunction"], {"reconcile": {"hours": hours}}
        )
    except MaintenanceFailed as failure:
        fail(str(failure))
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
    """Store the provider's keys. The webhook secret before stays good, until the next time."""
    deployed = DeployedStack.of(stack)
    secrets, name = deployed.client("secretsmanager"), deployed.outputs["PaymentSecretsId"]
    stored = json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])
    secrets.put_secret_value(SecretId=name, SecretString=json.dumps(with_keys(stored, api_key, webhook_secret)))
    console.print("stored; known everywhere within five minutes, the API key in new processes")


def with_keys(stored: dict[str, Any], api_key: str, webhook_secret: str) -> dict[str, Any]:
    """The secret with these keys, and the webhook secret that was the newest before, if it is another."""
    previous = [one for one in stored.get("webhook_secrets", []) if one != webhook_secret]
    return stored | {"api_key": api_key, "webhook_secrets": [webhook_secret, *previous[:1]]}
