"""Where shows and drops are kept: the commerce table, and the queue of cues that could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class ParkedCues:
    """The queue of records from the cue stream that are no cues: kept with the reason, for a person to look at."""

    def __init__(self, sqs: SQSClient, queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url

    def park(self, record: dict[str, Any]) -> None:
        """Put one record on the queue."""
        raise NotImplementedError
