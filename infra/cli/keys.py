"""Commands for a deployment's keys: print them, add a platform, rotate the others."""

from __future__ import annotations

import json
import secrets
from typing import Annotated, Any

import typer
from rich.console import Console

from infra.aws.deploy import new_cue_secret
from infra.cli.stack import DeployedStack, StackOption, fail

app = typer.Typer()
console = Console(highlight=False)
Secret = dict[str, Any]
RequiredStackOption = Annotated[
    str, typer.Option("--stack", envvar="LIVEDROP_STACK", help="Name of the stack deployed on AWS.")
]


@app.command()
def keys(*, stack: StackOption = None) -> None:
    """Print the addresses, keys and cue secrets that platforms and show control need."""
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
    profile: Annotated[str, typer.Argument(help="URL of its UCP profile, as it sends it.")],
    *,
    channel: Annotated[str | None, typer.Option(help="Channel of its orders. Default: its name.")] = None,
    stack: RequiredStackOption,
) -> None:
    """Add a platform and print its key. A known platform gets a new key; its old key is refused from then on."""
    deployed = DeployedStack.of(stack)
    entry = {"name": name, "profile": profile, "channel": channel or name, "api_key": secrets.token_urlsafe(32)}
    _store_secret(deployed, with_platform(deployed.secret(), entry))
    print(entry["api_key"])


@app.command()
def rotate(what: Annotated[str, typer.Argument(help="tokens or cues")], *, stack: RequiredStackOption) -> None:
    """Replace the key of all tokens, or the secret of cues.

    Old tokens are refused at once. The previous cue secret stays valid until the next rotation.
    """
    if what not in {"tokens", "cues"}:
        fail("Choose `tokens` or `cues`. `livedrop platform` replaces a platform's key.")
    deployed = DeployedStack.of(stack)
    rotated = with_new_token_key if what == "tokens" else with_new_cue_secret
    _store_secret(deployed, rotated(deployed.secret()))


def with_platform(secret: Secret, entry: dict[str, str]) -> Secret:
    """Return the secret with this entry as the platform's only one."""
    others = [platform for platform in secret["platforms"] if platform["name"] != entry["name"]]
    return secret | {"platforms": [*others, entry]}


def with_new_token_key(secret: Secret) -> Secret:
    """Return the secret with a new key for tokens, which makes all existing tokens invalid."""
    return secret | {"jwt_secret": secrets.token_urlsafe(48)}


def with_new_cue_secret(secret: Secret) -> Secret:
    """Return the secret with a new key for cues and the newest previous one, so that show control can follow."""
    return secret | {"cue_secrets": [new_cue_secret(), *secret["cue_secrets"][:1]]}


def _store_secret(deployed: DeployedStack, secret: Secret) -> None:
    """Store the secret and restart the HTTP function.

    Of two concurrent calls the later one wins; Secrets Manager keeps the previous version.
    """
    stored = deployed.client("secretsmanager").put_secret_value(
        SecretId=deployed.outputs["SecretsId"], SecretString=json.dumps(secret)
    )
    restart_function(deployed.client("lambda"), deployed.outputs["APIHandlerName"], stored["VersionId"])


def restart_function(functions: Any, name: str, keys_version: str) -> None:
    """Replace a function's processes by changing its environment, because a process reads its keys at its start.

    Raises: ClientError, when somebody else changed the function meanwhile.
    """
    current = functions.get_function_configuration(FunctionName=name)
    variables = current["Environment"]["Variables"] | {"LIVEDROP_KEYS_VERSION": keys_version}
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": variables}, RevisionId=current["RevisionId"]
    )
