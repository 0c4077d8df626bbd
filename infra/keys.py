"""Commands for a deployment's keys: who holds which, a platform's new key, rotating the others."""

from __future__ import annotations

import json
import secrets
from typing import Annotated, Any

import typer
from rich.console import Console

from infra.deploy import new_cue_secret
from infra.operate import fail
from infra.place import Named, Place

app = typer.Typer()
console = Console(highlight=False)
Secret = dict[str, Any]
Deployed = Annotated[str, typer.Option("--stack", envvar="LIVEDROP_STACK", help="The stack deployed on AWS.")]


@app.command()
def keys(*, stack: Named = None) -> None:
    """Print what platforms and show control are given: addresses, keys and cue secrets."""
    place = Place.of(stack)
    held = place.secret()
    told = {"http": place.http, "region": place.session.region_name, "cue_stream": place.outputs["CueStream"]}
    console.print_json(data=told | {name: held[name] for name in ("cue_secrets", "platforms")})


@app.command()
def platform(
    name: str,
    profile: Annotated[str, typer.Argument(help="Address of its UCP profile, as it sends it.")],
    *,
    channel: Annotated[str | None, typer.Option(help="How its orders are marked; without, its name.")] = None,
    stack: Deployed,
) -> None:
    """Make a platform known and print its key; one that is known gets a new key, and its old one ends."""
    place = Place.of(stack)
    known = {"name": name, "profile": profile, "channel": channel or name, "api_key": secrets.token_urlsafe(32)}
    _keep(place, with_platform(place.secret(), known))
    print(known["api_key"])


@app.command()
def rotate(what: Annotated[str, typer.Argument(help="tokens or cues")], *, stack: Deployed) -> None:
    """Make new keys: of tokens, which end at once; of cues, where the secret before the new one stays good."""
    if what not in {"tokens", "cues"}:
        fail("tokens or cues can be rotated; a platform's key is by `livedrop platform`")
    place = Place.of(stack)
    _keep(place, with_new_token_key(place.secret()) if what == "tokens" else with_new_cue_secret(place.secret()))


def with_platform(held: Secret, known: dict[str, str]) -> Secret:
    """The secret in which a platform has this entry and no other."""
    others = [platform for platform in held["platforms"] if platform["name"] != known["name"]]
    return held | {"platforms": [*others, known]}


def with_new_token_key(held: Secret) -> Secret:
    """The secret with another key for tokens: all that were given out end."""
    return held | {"jwt_secret": secrets.token_urlsafe(48)}


def with_new_cue_secret(held: Secret) -> Secret:
    """The secret with a new key for cues, and the latest before it, so that show control can follow."""
    return held | {"cue_secrets": [new_cue_secret(), *held["cue_secrets"][:1]]}


def _keep(place: Place, secret: Secret) -> None:
    """Store the secret (of two who do so at once the later wins; Secrets Manager keeps the version before)."""
    stored = place.client("secretsmanager").put_secret_value(
        SecretId=place.outputs["SecretsId"], SecretString=json.dumps(secret)
    )
    start_anew(place.client("lambda"), place.outputs["APIHandlerName"], stored["VersionId"])


def start_anew(functions: Any, name: str, keys_version: str) -> None:
    """Have a function's processes replaced, as it reads its keys when it starts: a change of its environment does that.

    ``ClientError`` when somebody else changed the function meanwhile.
    """
    now = functions.get_function_configuration(FunctionName=name)
    variables = now["Environment"]["Variables"] | {"LIVEDROP_KEYS_VERSION": keys_version}
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": variables}, RevisionId=now["RevisionId"]
    )
