"""Request finance's interim export of one show, and read it from the bucket."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.rehearse.client import Client, StepFailed
from infra.rehearse.drive import RehearsalRun
from infra.rehearse.stack_info import StackInfo

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LEDGER_TIMEOUT_SECONDS: Final = 30
"""How long the ledger may lag behind the orders."""
_EXPORT_TIMEOUT_SECONDS: Final = 120
_SECONDS_BETWEEN_EXPORTS: Final = 2.0

UnitsAndGross = tuple[int, int]


@dataclass(slots=True)
class Exported:
    """``lines.csv`` of a show: units and gross by drop, for each order and entry type. ``keys`` name its objects."""

    lines: dict[tuple[str, str], dict[str, UnitsAndGross]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    manifests: list[dict[str, Any]] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Add the rows of a file."""
        for row in csv.DictReader(io.StringIO(text, newline="")):
            drops = self.lines.setdefault((row["order_id"], row["entry_type"]), {})
            units, gross = drops.get(row["drop_id"], (0, 0))
            drops[row["drop_id"]] = (units + int(row["quantity"]), gross + int(row["gross"]))

    def orders(self) -> set[str]:
        return {order_id for order_id, _ in self.lines}

    def gross(self, entry_type: str) -> int:
        """Return the gross amount of all lines of an entry type, with the sign that it has in the file."""
        return sum(
            gross for (_, kind), drops in self.lines.items() if kind == entry_type for _, gross in drops.values()
        )

    def finance_differences(self) -> list[str]:
        """Return the differences between ledger and orders that the manifests report."""
        return [
            f"export {manifest['date']}: finance's own check found {manifest['differences_count']} differences"
            for manifest in self.manifests
            if manifest["differences_count"]
        ]


async def export_until(
    agrees: Callable[[Exported], bool],
    show_id: str,
    run: RehearsalRun,
    stack_info: StackInfo,
    client: Client,
    timeout_seconds: float,
) -> Exported:
    """Request the show's interim export again until it agrees, or until ``timeout_seconds`` are over."""
    deadline = time.monotonic() + timeout_seconds
    days = _days(run.started_at, run.ended_at, stack_info.time_zone)
    s3 = _s3(stack_info)
    attempt = 0
    while True:
        attempt += 1
        begun = time.monotonic()
        exported = Exported()
        for day in days:
            run_key = f"{show_id}/{run.ended_at}/{day}/{attempt}"
            manifest_key = await _request_export(day, show_id, run_key, client)
            await asyncio.to_thread(_read_export, s3, stack_info.bucket, manifest_key, exported)
        client.measures.observe("interim export", time.monotonic() - begun)
        if agrees(exported) or time.monotonic() > deadline:
            return exported
        client.measures.count("exports made again")
        await client.pause(_SECONDS_BETWEEN_EXPORTS)


async def _request_export(day: date, show_id: str, run_key: str, client: Client) -> str:
    """Request an export and wait until it is written. Returns the key of its manifest."""
    request = {"date": day.isoformat(), "show_id": show_id}
    reply = await client.as_finance("ask for export", "POST", "/exports", request, run_key)
    if reply.status not in {200, 201, 202}:
        raise StepFailed(f"POST /exports: {reply}")
    run_id = reply.body["export_id"]
    deadline = time.monotonic() + _EXPORT_TIMEOUT_SECONDS
    while True:
        reply = await client.as_finance("look up exports", "GET", f"/exports/{day.isoformat()}")
        if reply.status != 200:
            raise StepFailed(f"GET /exports/{day}: {reply}")
        export_run = next((run for run in reply.body["exports"] if run["export_id"] == run_id), None)
        if export_run and export_run["state"] == "done":
            manifest_key = str(export_run["manifest_key"])
            if show_id not in manifest_key:
                raise StepFailed(f"the export's key {manifest_key} does not name the show {show_id}")
            return manifest_key
        if time.monotonic() > deadline:
            raise StepFailed(f"run {run_id} of {day} is {export_run['state'] if export_run else 'unknown'}")
        await client.pause(0.3)


def _read_export(s3: S3Client, bucket: str, manifest_key: str, exported: Exported) -> None:
    """Read a manifest and the lines that it names. Raises: StepFailed, also when the hash of the lines differs."""
    try:
        manifest = json.loads(s3.get_object(Bucket=bucket, Key=manifest_key)["Body"].read())
        named = manifest["files"]["lines.csv"]
        content = s3.get_object(Bucket=bucket, Key=named["key"])["Body"].read()
    except (BotoCoreError, ClientError) as error:
        raise StepFailed(f"{manifest_key}: {error}") from error
    if hashlib.sha256(content).hexdigest() != named["sha256"]:
        raise StepFailed(f"{named['key']}: its hash is not the manifest's")
    exported.manifests.append(manifest)
    exported.keys.append(named["key"])
    exported.add(content.decode())


def _days(first: str, last: str, time_zone: str) -> Sequence[date]:
    """Return the business days on which orders can have been paid: two when the run passed midnight."""
    zone = ZoneInfo(time_zone)
    return sorted({datetime.fromisoformat(moment).astimezone(zone).date() for moment in (first, last)})


def _s3(stack_info: StackInfo) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=stack_info.aws_endpoint,
        region_name=stack_info.region,
        aws_access_key_id=stack_info.aws_access_key_id,
        aws_secret_access_key=stack_info.aws_secret_access_key,
        config=Config(s3={"addressing_style": "path"}),
    )
