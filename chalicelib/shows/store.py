"""Where shows and drops are kept: the commerce table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from chalicelib.aws import AWS_ERRORS, Item, batch_get, from_item, to_attribute, to_item
from chalicelib.errors import Unavailable
from chalicelib.instants import DAY, SECOND, Instant
from chalicelib.shows.model import Cue, CueRefused, Drop, RefusedCue, Show
from chalicelib.shows.records import AUDIT_FIELDS, DropRecord, PlanRecord, ShowRecord, cue_key
from chalicelib.stock import Summary, summary_from_record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_REFUSED_CUE_RETENTION: Instant = 30 * DAY
_MAX_REFUSED_CUES = 100
_LOST_RACE_REASONS = frozenset({"ConditionalCheckFailed", "TransactionConflict"})
"""Reasons for which a transaction is cancelled because someone else was faster."""
_REFUSED_CUES = "CUES#REFUSED"
"""The partition of refused cues, in the order of their times."""


class PlanOutcome(NamedTuple):
    """Units that a plan was to move, and those that it moved; negative: taken away."""

    quantity: int
    moved: int


class ShowStore:
    """Shows, drops, their audit trail and refused cues in the commerce table.

    A record is only written over the revision that was read: the write is refused when anyone was faster.
    """

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def show(self, show_id: str) -> ShowRecord | None:
        """A show's record, by a strong read (1 RCU)."""
        item = self._get(f"SHOW#{show_id}", "SHOW")
        return None if item is None else ShowRecord.model_validate(from_item(item))

    def drop(self, drop_id: str) -> DropRecord | None:
        """A drop's record, drafts too, by a strong read (1 RCU)."""
        item = self._get(f"DROP#{drop_id}", "DROP")
        return None if item is None else DropRecord.model_validate(from_item(item))

    def commit(
        self,
        before: ShowRecord | DropRecord | None,
        after: ShowRecord | DropRecord,
        action: str,
        extra_item: Mapping[str, Any] | None = None,
    ) -> bool:
        """Write ``after`` IF the record still is at the revision of ``before`` (or none is), with its audit item.

        ``along``: a further item. All in one transaction: 2 WCU an item of up to 1 KB. False when the record has moved
        on; then nothing was written.
        """
        writes = [self._put_record(before, after), self._put_audit(before, after, action)]
        if extra_item is not None:
            writes.append({"Put": {"TableName": self._table, "Item": to_item(extra_item)}})
        try:
            with _translated_aws_errors():
                self._dynamodb.transact_write_items(TransactItems=writes)  # type: ignore[arg-type]
        except _LostRace:
            return False
        return True

    def plan_outcome(self, drop_id: str, key: str) -> PlanOutcome | None:
        """What a plan with this key moved; None when there was none. A strong read (1 RCU)."""
        item = self._get(f"DROP#{drop_id}", _plan_sk(key))
        return None if item is None else PlanOutcome(int(item["quantity"]["N"]), int(item["moved"]["N"]))

    def offer(self, drop_id: str) -> tuple[Drop, Summary | None] | None:
        """A drop and its summary in one query (0.5 RCU up to 4 KB); None when it is unknown or a draft."""
        found = {item["sk"]["S"]: item for item in self._query(f"DROP#{drop_id}", "DROP", "LIVE")}
        return _drop_and_summary(found.get("DROP"), found.get("LIVE"))

    def list_drops(self, show_id: str) -> tuple[Show, list[str]] | None:
        """A show and the ids of its drops, in order: one query (0.5 RCU for some forty drops)."""
        items = list(self._query(f"SHOW#{show_id}", "DROP#", "SHOW"))
        if not items or items[-1]["sk"]["S"] != "SHOW":
            return None
        return Show.model_validate(from_item(items[-1])), [item["drop_id"]["S"] for item in items[:-1]]

    def offers(self, drop_ids: Sequence[str]) -> list[tuple[Drop, Summary | None]]:
        """Drops and their summaries, in the order asked, by batches (0.5 RCU an item); drafts are left out."""
        keys = [{"pk": {"S": f"DROP#{drop_id}"}, "sk": {"S": sk}} for drop_id in drop_ids for sk in ("DROP", "LIVE")]
        found = {(item["pk"]["S"], item["sk"]["S"]): item for item in self._batch(keys)}
        offered = (
            _drop_and_summary(found.get((f"DROP#{drop_id}", "DROP")), found.get((f"DROP#{drop_id}", "LIVE")))
            for drop_id in drop_ids
        )
        return [offer for offer in offered if offer is not None]

    def drops(self, drop_ids: Sequence[str]) -> list[Drop]:
        """Drops by strong reads, in batches (1 RCU each); unknown ones and drafts are left out."""
        keys = [{"pk": {"S": f"DROP#{drop_id}"}, "sk": {"S": "DROP"}} for drop_id in drop_ids]
        found = (_drop_and_summary(item, None) for item in self._batch(keys, strong=True))
        return [offered[0] for offered in found if offered is not None]

    def drops_with_pending_plan(self) -> Iterator[str]:
        """Drops with a stock plan that is not marked done: a scan of the whole table, 1 RCU for each 4 KB."""
        query: dict[str, Any] = {
            "TableName": self._table,
            "FilterExpression": "sk = :drop AND attribute_exists(pending)",
            "ExpressionAttributeValues": {":drop": {"S": "DROP"}},
            "ConsistentRead": True,
        }
        while True:
            with _translated_aws_errors():
                page = self._dynamodb.scan(**query)
            yield from (item["id"]["S"] for item in page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def put_refused_cue(self, show_id: str | None, cue: Cue, refusal: CueRefused, now: Instant) -> None:
        """Keep a refused cue for thirty days. A repeat of the cue replaces it; 1 WCU."""
        refused = RefusedCue(
            show_id=show_id,
            source=cue.source,
            id=cue.id,
            type=cue.type,
            subject=cue.subject,
            time=cue.time,
            code=refusal.code,
            detail=refusal.detail,
            refused_at=now,
        )
        self._put(
            {
                "pk": _REFUSED_CUES,
                "sk": f"{cue.time:013d}#{cue_key(cue)}",
                "expires_at": (now + _REFUSED_CUE_RETENTION) // SECOND,
                **refused.model_dump(),
            }
        )

    def refused_cues(self, subject: str | None) -> tuple[RefusedCue, ...]:
        """Read the newest hundred refused cues, newest first; of one drop, or of a show and its drops.

        Costs 0.5 RCU for each 4 KB of refused cues that are newer than the last one returned.
        """
        newest = (
            RefusedCue.model_validate(from_item(item))
            for item in self._query(_REFUSED_CUES, "0", "9:", newest_first=True)
        )
        of_subject = (cue for cue in newest if subject in (None, cue.subject, cue.show_id))
        return tuple(islice(of_subject, _MAX_REFUSED_CUES))

    def _put_record(self, before: ShowRecord | DropRecord | None, after: ShowRecord | DropRecord) -> dict[str, Any]:
        kind = "DROP" if isinstance(after, DropRecord) else "SHOW"
        put: dict[str, Any] = {
            "TableName": self._table,
            "Item": to_item({"pk": f"{kind}#{after.id}", "sk": kind, **after.model_dump()}),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        if before is not None:
            put |= {
                "ConditionExpression": "#revision = :seen",
                "ExpressionAttributeNames": {"#revision": "revision"},
                "ExpressionAttributeValues": {":seen": to_attribute(before.revision)},
            }
        return {"Put": put}

    def _put_audit(
        self, before: ShowRecord | DropRecord | None, after: ShowRecord | DropRecord, action: str
    ) -> dict[str, Any]:
        show_id = after.show_id if isinstance(after, DropRecord) else after.id
        audit = {
            "pk": f"SHOW#{show_id}",
            "sk": f"AUDIT#{after.changed_at:013d}#{after.id}#{after.revision}",
            "subject": after.id,
            "action": action,
            "by": after.changed_by,
            "at": after.changed_at,
            "changes": _audit_changes(before, after),
        }
        return {"Put": {"TableName": self._table, "Item": to_item(audit)}}

    def _get(self, pk: str, sk: str) -> Item | None:
        with _translated_aws_errors():
            answer = self._dynamodb.get_item(
                TableName=self._table, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
            )
        return answer.get("Item")

    def _put(self, record: Mapping[str, Any]) -> None:
        with _translated_aws_errors():
            self._dynamodb.put_item(TableName=self._table, Item=to_item(record))

    def _query(self, pk: str, first: str, last: str, *, newest_first: bool = False) -> Iterator[Item]:
        """Items of one partition between two sort keys, page by page."""
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": {":pk": {"S": pk}, ":first": {"S": first}, ":last": {"S": last}},
        }
        if newest_first:
            query["ScanIndexForward"] = False
        while True:
            with _translated_aws_errors():
                page = self._dynamodb.query(**query)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _batch(self, keys: list[Item], *, strong: bool = False) -> list[Item]:
        with _translated_aws_errors():
            return list(batch_get(self._dynamodb, self._table, keys, strong=strong))


class _LostRace(Exception):
    """A write was refused by its condition or by a rival's transaction; nothing was written."""


@contextmanager
def _translated_aws_errors() -> Iterator[None]:
    """Say ``Unavailable`` where AWS cannot be reached; the outcome of a write is then unknown."""
    try:
        yield
    except ClientError as error:
        if _LOST_RACE_REASONS & {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}:
            raise _LostRace from error
        raise Unavailable("the shop's records cannot be reached at the moment") from error
    except AWS_ERRORS as error:
        raise Unavailable("the shop's records cannot be reached at the moment") from error


def _plan_sk(key: str) -> str:
    return f"PLAN#{key}"


def membership_item(show_id: str, drop_id: str) -> dict[str, Any]:
    """What lists a drop in its show."""
    return {"pk": f"SHOW#{show_id}", "sk": f"DROP#{drop_id}", "drop_id": drop_id}


def plan_outcome_item(drop_id: str, plan: PlanRecord, moved: int) -> dict[str, Any]:
    """What is written down along with a finished plan, so that its key is never counted again."""
    outcome = {"plan": plan.number, "quantity": plan.quantity, "moved": moved}
    return {"pk": f"DROP#{drop_id}", "sk": _plan_sk(plan.key), **outcome}


def _drop_and_summary(drop: Item | None, live: Item | None) -> tuple[Drop, Summary | None] | None:
    """A drop for sale and its summary; None for an unknown one and a draft."""
    if drop is None or drop.get("draft", {}).get("BOOL"):
        return None
    summary = None if live is None else summary_from_record(drop["id"]["S"], from_item(live))
    return Drop.model_validate(from_item(drop)), summary


def _audit_changes(before: ShowRecord | DropRecord | None, after: ShowRecord | DropRecord) -> dict[str, Any]:
    """What a write changes, for its audit item: ``{field: {"from": …, "to": …}}``; absent ends are None."""
    was = {} if before is None else before.model_dump(exclude=set(AUDIT_FIELDS))
    will_be = after.model_dump(exclude=set(AUDIT_FIELDS))
    return {name: {"from": was.get(name), "to": value} for name, value in will_be.items() if was.get(name) != value}
