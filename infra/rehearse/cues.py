"""Send the cues of the show, in turn over the Kinesis stream and as signed HTTP requests. Send a late cue again."""

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

from infra.rehearse.client import RETRY_TIMEOUT_SECONDS, Client, StepFailed
from infra.rehearse.plan import CueTransport, Plan
from infra.rehearse.stack_info import StackInfo

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

OPEN: Final = "dev.livedrop.drop.open"
SEND_AGAIN_SECONDS: Final = 20
"""When a drop is not open so long after its cue, the cue was lost or refused as late, and is sent again."""
_MAX_RECORDS_PER_CALL: Final = 500
_STALE_OPEN: Final = "stale_open"
_SUPERSEDED: Final = "superseded"


@dataclass(slots=True)
class SentCue:
    """A drop's latest cue: when it was sent (monotonic seconds), its transport, and the number of cues so far."""

    sent_at: float
    transport: CueTransport
    times: int = 1
    hold_seen: bool = False


class CueSender:
    """Open drops by cues. The first buyer of a drop sends its cue. A drop counts as open once a hold succeeds."""

    def __init__(self, stack_info: StackInfo, client: Client, plan: Plan) -> None:
        self._client = client
        self._plan = plan
        self._stream = stack_info.cue_stream
        self._webhook = Webhook(stack_info.cue_secret)
        self._kinesis = _kinesis(stack_info)
        self._sent: dict[str, SentCue] = {}

    async def open(self, drop_ids: Iterable[str]) -> None:
        """Send the cues of these drops that nobody has sent yet, as one wave."""
        new = [drop_id for drop_id in drop_ids if drop_id not in self._sent]
        for drop_id in new:
            self._sent[drop_id] = SentCue(time.monotonic(), self._plan.drops[drop_id].cue_transport)
        await self._send(new)

    async def resend_late(self, drop_ids: Iterable[str]) -> None:
        """Send cues again, with a new time and id, whose drops are not open long after the first cue."""
        now = time.monotonic()
        late = [
            one
            for one in drop_ids
            if now - self._sent[one].sent_at > SEND_AGAIN_SECONDS and not self._sent[one].hold_seen
        ]
        self._mark_resent(late)
        await self._send(late)

    def record_hold(self, drop_id: str) -> None:
        """Record that a buyer holds units of a drop. The first hold ends the measurement from the cue."""
        sent = self._sent[drop_id]
        if not sent.hold_seen:
            sent.hold_seen = True
            self._client.measures.observe(f"cue to first hold, {sent.transport}", time.monotonic() - sent.sent_at)

    def _mark_resent(self, drop_ids: Iterable[str]) -> None:
        for drop_id in drop_ids:
            sent = self._sent[drop_id]
            sent.sent_at, sent.times = time.monotonic(), sent.times + 1
            self._client.measures.count("cues sent again")

    async def _send(self, drop_ids: Sequence[str]) -> None:
        streamed = [drop_id for drop_id in drop_ids if self._sent[drop_id].transport == "kinesis"]
        posted = [drop_id for drop_id in drop_ids if self._sent[drop_id].transport == "http"]
        async with asyncio.TaskGroup() as sending:
            if streamed:
                sending.create_task(self._send_over_kinesis(streamed))
            for drop_id in posted:
                sending.create_task(self._send_over_http(drop_id))

    async def _send_over_http(self, drop_id: str) -> None:
        while True:
            self._sent[drop_id].sent_at = time.monotonic()
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
            if reply.status in {200, 202} or (reply.status == 409 and reply.body.get("code") == _SUPERSEDED):
                return
            if reply.status != 409 or reply.body.get("code") != _STALE_OPEN:
                raise StepFailed(f"POST /cues for {self._plan.drops[drop_id]}: {reply}")
            self._client.measures.count("cues refused as late")
            self._mark_resent([drop_id])

    async def _send_over_kinesis(self, drop_ids: Sequence[str]) -> None:
        records = [{"Data": json.dumps(self._cue(drop_id)).encode(), "PartitionKey": drop_id} for drop_id in drop_ids]
        deadline = time.monotonic() + RETRY_TIMEOUT_SECONDS
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
                    raise StepFailed(f"stream {self._stream}: {error}") from error
                self._client.measures.count(f"repeated after {type(error).__name__}")
                await self._client.pause(0.5)
                continue
            self._client.measures.observe("cue, kinesis", time.monotonic() - begun)
            sent = answer["Records"]
            failed = [record for record, one in zip(records, sent, strict=False) if "ErrorCode" in one]
            records = failed + records[len(sent) :]

    def _cue(self, drop_id: str) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "specversion": "1.0",
            "id": f"{drop_id}-{self._sent[drop_id].times}",
            "source": f"/rehearsal/{self._plan.show_id}",
            "type": OPEN,
            "subject": drop_id,
            "time": now,
            "datacontenttype": "application/json",
            "data": {},
        }


def _kinesis(stack_info: StackInfo) -> KinesisClient:
    return boto3.client(
        "kinesis",
        endpoint_url=stack_info.aws_endpoint,
        region_name=stack_info.region,
        aws_access_key_id=stack_info.aws_access_key_id,
        aws_secret_access_key=stack_info.aws_secret_access_key,
        config=Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 1}),
    )
