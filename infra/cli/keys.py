"""Commands for a deployment's keys: who holds which, a platform's new key, rotating the others."""

from __future__ import annotations

import json
import secrets
from typing import Annotated, Any

import typer
from rich.console import Console

from infra.aws.deploy import new_cue_secret
from infra.cli.operate import fail
from infra.cli.stack import DeployedStack, StackOption

app = typer.Typer()
console = Console(highlight=False)
Secret = dict[str, Any]
RequiredStackOption = Annotated[
    str, typer.Option("--stack", envvar="LIVEDROP_STACK", help="The stack deployed on AWS.")
]


@app.command()
def keys(*, stack: StackOption = None) -> None:
    """Print what platforms and show control are given: addresses, keys and cue secrets."""
    deployed = DeployedStack.of(stack)
    secret = deployed.secret()
    connection = {
        "http": deployed.http,
        "region": deployed.session.region_name,
        "cue_stream": deployed.outputs["CueStream"],
    }
    console.print_json(data=connection | {name: secret[name] for name in ("cue_secrets", "platforms")})


@app.command()
def platform(
    name: Annotated[str, typer.Argument(help="Name of the platform.")],
    profile: Annotated[str, typer.Argument(help="Address of its UCP profile, as it sends it.")],
    *,
    channel: Annotated[str | None, typer.Option(help="How its orders are marked; without, its name.")] = None,
    stack: RequiredStackOption,
) -> None:
    """Make a platform known and print its key; one that is known gets a new key, and its old one ends."""
    deployed = DeployedStack.of(stack)
    entry = {"name": name, "profile": profile, "channel": channel or name, "api_key": secrets.token_urlsafe(32)}
    _store_secret(deployed, with_platform(deployed.secret(), entry))
    print(entry["api_key"])


@app.command()
def rotate(what: Annotated[str, typer.Argument(help="tokens or cues")], *, stack: RequiredStackOption) -> None:
    """Make new keys: of tokens, which end at once; of cues, where the secret before the new one stays good."""
    if what not in {"tokens", "cues"}:
        fail("tokens or cues can be rotated; a platform's key is by `livedrop platform`")
    deployed = DeployedStack.of(stack)
    _store_secret(
        deployed, with_new_token_key(deployed.secret()) if what == "tokens" else with_new_cue_secret(deployed.secret())
    )


def with_platform(secret: Secret, entry: dict[str, str]) -> Secret:
    """The secret in which a platform has this entry and no other."""
    others = [platform for platform in secret["platforms"] if platform["name"] != entry["name"]]
    return secret | {"platforms": [*others, entry]}


def with_new_token_key(secret: Secret) -> Secret:
    """The secret with another key for tokens: all that were given out end."""
    return secret | {"jwt_secret": secrets.token_urlsafe(48)}


def with_new_cue_secret(secret: Secret) -> Secret:
    """The secret with a new key for cues, and the latest before it, so that show control can follow."""
    return secret | {"cue_secrets": [new_cue_secret(), *secret["cue_secrets"][:1]]}


def _store_secret(deployed: DeployedStack, secret: Secret) -> None:
    """Store the secret (of two who do so at once the later wins; Secrets Manager keeps the version before)."""
    stored = deployed.client("secretsmanager").put_secret_value(
        SecretId=deployed.outputs["SecretsId"], SecretString=json.dumps(secret)
    )
    restart_function(deployed.client("lambda"), deployed.outputs["APIHandlerName"], stored["VersionId"])


def restart_function(functions: Any, name: str, keys_version: str) -> None:
    """Have a function's processes replaced, as it reads its keys when it starts: a change of its environment does that.

    ``ClientError`` when somebody else changed the function meanwhile.
    """
    current = functions.get_function_configuration(FunctionName=name)
    variables = current["Environment"]["Variables"] | {"LIVEDROP_KEYS_VERSION": keys_version}
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": variables}, RevisionId=current["RevisionId"]
    )
