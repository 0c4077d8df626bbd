"""The store of the shows room: shows, drops, their audit trail and refused cues, in the commerce table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from chalicelib.aws import Item, batch_get, from_item, read_pages, to_item, unavailable_on_failure
from chalicelib.instants import DAY, SECOND, Instant
from chalicelib.revisions import AuditEntry, commit_revision
from chalicelib.shows.model import Cue, CueRefused, Drop, RefusedCue, Show
from chalicelib.shows.records import DropRecord, PlanRecord, ShowRecord, cue_key
from chalicelib.stock import Summary, summary_from_record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_UNREACHABLE: Final = "The shop's records cannot be reached. Retry later."
_REFUSED_CUE_RETENTION: Final[Instant] = 30 * DAY
_MAX_REFUSED_CUES: Final = 100
_MAX_SEARCHED_REFUSED_CUES: Final = 1_000
_REFUSED_CUES: Final = "CUES#REFUSED"
"""The partition of refused cues, in the order of their times."""


class PlanOutcome(NamedTuple):
    """Units that a stock plan was to move, and those that it moved. Negative: taken away."""

    quantity: int
    moved: int


class ShowStore:
    """Reads and writes shows, drops, their audit trail and refused cues.

    Every method may raise ``Unavailable``. The outcome of a write is then unknown.
    """

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def show(self, show_id: str) -> ShowRecord | None:
        """Read a show's record, strongly (1 RCU)."""
        item = self._get(f"SHOW#{show_id}", "SHOW")
        return None if item is None else ShowRecord.model_validate(from_item(item))

    def drop(self, drop_id: str) -> DropRecord | None:
        """Read a drop's record, which may be a draft, strongly (1 RCU)."""
        item = self._get(f"DROP#{drop_id}", "DROP")
        return None if item is None else DropRecord.model_validate(from_item(item))

    def commit(
        self,
        before: ShowRecord | DropRecord | None,
        after: ShowRecord | DropRecord,
        action: str,
        *further_items: Mapping[str, Any],
    ) -> bool:
        """Write ``after`` over ``before``, with its audit item and ``further_items``, or nothing.

        Costs 2 WCU for each item of up to 1 KB. Returns False when a rival has changed the record since ``before``.
        """
        kind = "DROP" if isinstance(after, DropRecord) else "SHOW"
        show_id = after.show_id if isinstance(after, DropRecord) else after.id
        audit_sk = f"AUDIT#{after.changed_at:013d}#{after.id}#{after.revision}"
        audit = AuditEntry({"pk": f"SHOW#{show_id}", "sk": audit_sk}, after.id, action)
        with unavailable_on_failure(_UNREACHABLE):
            return commit_revision(
                self._dynamodb,
                self._table,
                {"pk": f"{kind}#{after.id}", "sk": kind},
                before,
                after,
                audit,
                further_items,
            )

    def plan_outcome(self, drop_id: str, key: str) -> PlanOutcome | None:
        """Read the outcome of the plan with this key, strongly (1 RCU); None when there was none."""
        item = self._get(f"DROP#{drop_id}", _plan_sk(key))
        return None if item is None else PlanOutcome(int(item["quantity"]["N"]), int(item["moved"]["N"]))

    def offer(self, drop_id: str) -> tuple[Drop, Summary | None] | None:
        """Read a drop and its summary in one query (0.5 RCU up to 4 KB); None for an unknown drop or a draft."""
        items = {item["sk"]["S"]: item for item in self._query(f"DROP#{drop_id}", "DROP", "LIVE")}
        return _drop_and_summary(items.get("DROP"), items.get("LIVE"))

    def list_drops(self, show_id: str) -> tuple[Show, list[str]] | None:
        """Read a show and the ids of its drops, in order: one query (0.5 RCU for some forty drops)."""
        items = self._query(f"SHOW#{show_id}", "DROP#", "SHOW")
        if not items or items[-1]["sk"]["S"] != "SHOW":
            return None
        return Show.model_validate(from_item(items[-1])), [item["drop_id"]["S"] for item in items[:-1]]

    def offers(self, drop_ids: Sequence[str]) -> list[tuple[Drop, Summary | None]]:
        """Read drops and their summaries, in the given order, fifty a call (0.5 RCU an item). Leaves out drafts."""
        keys = [(f"DROP#{drop_id}", sk) for drop_id in drop_ids for sk in ("DROP", "LIVE")]
        items = {(item["pk"]["S"], item["sk"]["S"]): item for item in self._batch(keys, strong=False)}
        offers = (
            _drop_and_summary(items.get((f"DROP#{drop_id}", "DROP")), items.get((f"DROP#{drop_id}", "LIVE")))
            for drop_id in drop_ids
        )
        return [offer for offer in offers if offer is not None]

    def drops(self, drop_ids: Sequence[str]) -> list[Drop]:
        """Read drops strongly, a hundred a call (1 RCU each). Leaves out unknown drops and drafts."""
        items = self._batch([(f"DROP#{drop_id}", "DROP") for drop_id in drop_ids], strong=True)
        offers = (_drop_and_summary(item, None) for item in items)
        return [offer[0] for offer in offers if offer is not None]

    def drops_with_pending_plan(self) -> Iterator[str]:
        """Yield the drops whose stock plan is not done: a scan of the whole table, 1 RCU for each 4 KB."""
        with unavailable_on_failure(_UNREACHABLE):
            items = read_pages(
                self._dynamodb.scan,
                TableName=self._table,
                FilterExpression="sk = :drop AND attribute_exists(pending)",
                ExpressionAttributeValues={":drop": {"S": "DROP"}},
                ConsistentRead=True,
            )
            yield from (item["id"]["S"] for item in items)

    def put_refused_cue(self, show_id: str | None, cue: Cue, refusal: CueRefused, now: Instant) -> None:
        """Store a refused cue for thirty days. 1 WCU.

        Cues are in the order of their own times. A cue with a time to come is in the order of its arrival, so that a
        clock that runs fast hides no other cue. A repeat replaces the cue, unless its time was still to come.
        """
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
        record = {
            "pk": _REFUSED_CUES,
            "sk": f"{min(cue.time, now):013d}#{cue_key(cue)}",
            "expires_at": (now + _REFUSED_CUE_RETENTION) // SECOND,
            **refused.model_dump(),
        }
        with unavailable_on_failure(_UNREACHABLE):
            self._dynamodb.put_item(TableName=self._table, Item=to_item(record))

    def refused_cues(self, subject: str | None) -> tuple[RefusedCue, ...]:
        """Read the newest hundred refused cues, newest first: all, or those of a drop, or of a show and its drops.

        Those of a subject are sought among the newest thousand. Costs 0.5 RCU for each 4 KB, in pages of a hundred
        cues: one page, or ten at most with a subject.
        """
        query = self._between(_REFUSED_CUES, "0", "9:")
        with unavailable_on_failure(_UNREACHABLE):
            items = read_pages(self._dynamodb.query, ScanIndexForward=False, Limit=_MAX_REFUSED_CUES, **query)
            searched = islice(items, _MAX_REFUSED_CUES if subject is None else _MAX_SEARCHED_REFUSED_CUES)
            cues = (RefusedCue.model_validate(from_item(item)) for item in searched)
            of_subject = (cue for cue in cues if subject in (None, cue.subject, cue.show_id))
            return tuple(islice(of_subject, _MAX_REFUSED_CUES))

    def _get(self, pk: str, sk: str) -> Item | None:
        with unavailable_on_failure(_UNREACHABLE):
            answer = self._dynamodb.get_item(TableName=self._table, Key=_key(pk, sk), ConsistentRead=True)
        return answer.get("Item")

    def _query(self, pk: str, first: str, last: str) -> list[Item]:
        query = self._between(pk, first, last)
        with unavailable_on_failure(_UNREACHABLE):
            return list(read_pages(self._dynamodb.query, **query))

    def _batch(self, keys: Iterable[tuple[str, str]], *, strong: bool) -> list[Item]:
        with unavailable_on_failure(_UNREACHABLE):
            return batch_get(self._dynamodb, self._table, [_key(pk, sk) for pk, sk in keys], strong=strong)

    def _between(self, pk: str, first: str, last: str) -> Any:
        return {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": {":pk": {"S": pk}, ":first": {"S": first}, ":last": {"S": last}},
        }


def _key(pk: str, sk: str) -> Item:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _plan_sk(key: str) -> str:
    return f"PLAN#{key}"


def membership_item(show_id: str, drop_id: str) -> dict[str, Any]:
    """Return the item that lists a drop in its show."""
    return {"pk": f"SHOW#{show_id}", "sk": f"DROP#{drop_id}", "drop_id": drop_id}


def plan_outcome_item(drop_id: str, plan: PlanRecord, moved: int) -> dict[str, Any]:
    """Return the item that is written with a finished plan, so that no later request counts its key again."""
    outcome = {"plan": plan.number, "quantity": plan.quantity, "moved": moved}
    return {"pk": f"DROP#{drop_id}", "sk": _plan_sk(plan.key), **outcome}


def _drop_and_summary(drop: Item | None, live: Item | None) -> tuple[Drop, Summary | None] | None:
    """Read a drop and its summary from their items; None for an unknown drop or a draft."""
    if drop is None or drop.get("draft", {}).get("BOOL"):
        return None
    found = Drop.model_validate(from_item(drop))
    return found, None if live is None else summary_from_record(found.id, from_item(live))
