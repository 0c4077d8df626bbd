"""The command that stores the provider's keys refuses what cannot be one, before it looks for a stack."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from infra.cli.payments import app, key_problem, with_keys
from tests.conftest import EmulatorAccount

API_KEY = "The API key must be a secret key (sk_...) or a restricted key (rk_...)."
WEBHOOK_SECRET = "The webhook secret must be a signing secret (whsec_...)."


@pytest.mark.parametrize(
    "api_key", ["", " ", "sk_", "pk_test_1", "whsec_1", "sk_test_1 ", "sk_test_1\n", "Bearer sk_1"]
)
def test_text_that_is_no_secret_api_key_is_refused(api_key: str) -> None:
    assert key_problem(api_key, "whsec_1") == API_KEY


@pytest.mark.parametrize("secret", ["", "whsec_", "sk_test_1", "we_1", "whsec_1 "])
def test_text_that_is_no_signing_secret_is_refused(secret: str) -> None:
    assert key_problem("sk_test_1", secret) == WEBHOOK_SECRET


@pytest.mark.parametrize("api_key", ["sk_test_1", "sk_live_51aB", "rk_live_51aB"])
def test_secret_and_restricted_keys_are_accepted(api_key: str) -> None:
    assert key_problem(api_key, "whsec_aB1+/=") is None


@pytest.mark.parametrize(("api_key", "secret", "reason"), [("pk_1", "whsec_1", API_KEY), ("sk_1", "", WEBHOOK_SECRET)])
def test_refused_keys_end_the_command_before_anything_is_stored(api_key: str, secret: str, reason: str) -> None:
    options = ["keys", "--api-key", api_key, "--webhook-secret", secret, "--stack", "shop"]
    outcome = CliRunner().invoke(app, options)
    assert (outcome.exit_code, " ".join(outcome.output.split())) == (1, f"livedrop: {reason} Nothing is stored.")


def test_previous_webhook_secret_is_kept_unless_it_is_empty() -> None:
    stored = {"api_key": "", "webhook_secrets": ["", "whsec_1", "whsec_0"]}
    assert with_keys(stored, "sk_1", "whsec_2") == {"api_key": "sk_1", "webhook_secrets": ["whsec_2", "whsec_1"]}
    assert with_keys({"webhook_secrets": [""]}, "sk_1", "whsec_2")["webhook_secrets"] == ["whsec_2"]


@pytest.mark.emulator
def test_accepted_keys_are_stored_in_the_secret_of_the_stack(
    emulator: EmulatorAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets, stored = emulator.client("secretsmanager"), {"webhook_secrets": ["whsec_1", "whsec_0"], "more": "kept"}
    name = secrets.create_secret(Name="shop-payments", SecretString=json.dumps(stored))["ARN"]
    outputs = {"HttpAddress": {"Value": "https://shop.example"}, "PaymentSecretsId": {"Value": name}}
    body = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}, "Outputs": outputs}
    emulator.client("cloudformation").create_stack(StackName="shop", TemplateBody=json.dumps(body))
    for variable, value in emulator.environment.items():
        monkeypatch.setenv(variable, value)
    outcome = CliRunner().invoke(app, ["keys", "--stack", "shop"], input="sk_live_2\nwhsec_2\n")
    assert outcome.exit_code == 0, outcome.output
    assert "Stored. Functions read the keys within five minutes" in outcome.output
    assert not {"sk_live_2", "whsec_2"} & set(outcome.output.split())
    assert json.loads(secrets.get_secret_value(SecretId=name)["SecretString"]) == {
        "api_key": "sk_live_2",
        "webhook_secrets": ["whsec_2", "whsec_1"],
        "more": "kept",
    }
