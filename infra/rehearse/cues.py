"""Cues of the show, sent by turns over the Kinesis stream and as signed HTTP; a late one is sent again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from standardwebhooks import Webhook

from infra.rehearse.client import PATIENCE_SECONDS, Client, Stuck
from infra.rehearse.facts import Facts
from infra.rehearse.plan import Plan, Way

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

OPEN: Final = "dev.livedrop.drop.open"
SEND_AGAIN_SECONDS: Final = 20
"""After so long without an open drop its cue is taken for lost or refused as late, and said again."""
_MAX_RECORDS_PER_CALL: Final = 500
_LATE: Final = "stale_open"
_OVERTAKEN: Final = "superseded"


@dataclass(slots=True)
class Said:
    """When a drop's latest cue was sent (monotonic seconds), over what, and how many there were."""

    at: float
    over: Way
    times: int = 1
    held: bool = False


class CueDesk:
    """Opens drops. Whoever first wants a drop sends its cue; a drop is open when a hold succeeds, never by waiting."""

    def __init__(self, facts: Facts, client: Client, plan: Plan) -> None:
        self._client = client
        self._plan = plan
        self._stream = facts.cue_stream
        self._webhook = Webhook(facts.cue_secret)
        self._kinesis = _kinesis(facts)
        self._said: dict[str, Said] = {}

    async def open(self, drop_ids: Iterable[str]) -> None:
        """Send the cues of those drops that nobody sent yet: one wave."""
        new = [drop_id for drop_id in drop_ids if drop_id not in self._said]
        for drop_id in new:
            self._said[drop_id] = Said(time.monotonic(), self._plan.drops[drop_id].opened_over)
        await self._send(new)

    async def open_again(self, drop_ids: Iterable[str]) -> None:
        """Say once more what is not open long after it was said: with a new time and id."""
        now = time.monotonic()
        late = [one for one in drop_ids if now - self._said[one].at > SEND_AGAIN_SECONDS and not self._said[one].held]
        self._renew(late)
        await self._send(late)

    def held(self, drop_id: str) -> None:
        """A buyer holds units of a drop: it is open. The first one ends the measurement from its cue."""
        said = self._said[drop_id]
        if not said.held:
            said.held = True
            self._client.measures.took(f"cue to first hold, {said.over}", time.monotonic() - said.at)

    def _renew(self, drop_ids: Iterable[str]) -> None:
        for drop_id in drop_ids:
            said = self._said[drop_id]
            said.at, said.times = time.monotonic(), said.times + 1
            self._client.measures.count("cues sent again")

    async def _send(self, drop_ids: Sequence[str]) -> None:
        streamed = [drop_id for drop_id in drop_ids if self._said[drop_id].over == "kinesis"]
        posted = [drop_id for drop_id in drop_ids if self._said[drop_id].over == "http"]
        async with asyncio.TaskGroup() as sending:
            if streamed:
                sending.create_task(self._put(streamed))
            for drop_id in posted:
                sending.create_task(self._post(drop_id))

    async def _post(self, drop_id: str) -> None:
        while True:
            self._said[drop_id].at = time.monotonic()
            cue = self._cue(drop_id)
            name = str(cue["id"])

            def sign(content: bytes, name: str = name) -> dict[str, str]:
                moment = datetime.now(UTC)
                signature = self._webhook.sign(name, moment, content.decode())
                return {
                    "Content-Type": "application/cloudevents+json",
                    "webhook-id": name,
                    "webhook-timestamp": str(int(moment.timestamp())),
                    "webhook-signature": signature,
                }

            reply = await self._client.signed("cue, http", "/cues", json.dumps(cue).encode(), sign)
            if reply.status in {200, 202} or (reply.status == 409 and reply.body.get("code") == _OVERTAKEN):
                return
            if reply.status != 409 or reply.body.get("code") != _LATE:
                raise Stuck(f"POST /cues for {self._plan.drops[drop_id]}: {reply}")
            self._client.measures.count("cues refused as late")
            self._renew([drop_id])

    async def _put(self, drop_ids: Sequence[str]) -> None:
        records = [{"Data": json.dumps(self._cue(drop_id)).encode(), "PartitionKey": drop_id} for drop_id in drop_ids]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while records:
            begun = time.monotonic()
            try:
                answer: Any = await asyncio.to_thread(
                    self._kinesis.put_records,
                    StreamName=self._stream,
                    Records=records[:_MAX_RECORDS_PER_CALL],  # type: ignore[arg-type]
                )
            except (BotoCoreError, ClientError) as error:
                if time.monotonic() > deadline:
                    raise Stuck(f"stream {self._stream}: {error}") from error
                self._client.measures.count(f"repeated after {type(error).__name__}")
                await self._client.pause(0.5)
                continue
            self._client.measures.took("cue, kinesis", time.monotonic() - begun)
            sent = answer["Records"]
            failed = [record for record, one in zip(records, sent, strict=False) if "ErrorCode" in one]
            records = failed + records[len(sent) :]

    def _cue(self, drop_id: str) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "specversion": "1.0",
            "id": f"{drop_id}-{self._said[drop_id].times}",
            "source": f"/rehearsal/{self._plan.show_id}",
            "type": OPEN,
            "subject": drop_id,
            "time": now,
            "datacontenttype": "application/json",
            "data": {},
        }


def _kinesis(facts: Facts) -> KinesisClient:
    return boto3.client(
        "kinesis",
        endpoint_url=facts.aws_endpoint,
        region_name=facts.region,
        aws_access_key_id=facts.aws_access_key_id,
        aws_secret_access_key=facts.aws_secret_access_key,
        config=Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 1}),
    )
