"""Stream mappings after an engine's restart.

The engine keeps the positions of its stream mappings but not the streams' records, so that nothing would be delivered
until as many new records exist as had been read. Remade at TRIM_HORIZON before any write, they deliver all that is new;
what was unread when the engine stopped is what ``repair`` is for.
"""

from __future__ import annotations

from typing import Any

_COPIED_SETTINGS = (
    "EventSourceArn",
    "BatchSize",
    "MaximumBatchingWindowInSeconds",
    "FilterCriteria",
    "DestinationConfig",
    "ParallelizationFactor",
    "MaximumRetryAttempts",
    "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError",
    "FunctionResponseTypes",
)


def recreate_stream_mappings(functions: Any) -> int:
    """Delete and make again every mapping of a stream (``functions``: a Lambda client). Returns how many there were."""
    mappings = functions.list_event_source_mappings()["EventSourceMappings"]
    streams = [mapping for mapping in mappings if ":sqs:" not in mapping["EventSourceArn"]]
    for mapping in streams:
        functions.delete_event_source_mapping(UUID=mapping["UUID"])
        functions.create_event_source_mapping(
            FunctionName=mapping["FunctionArn"],
            StartingPosition="TRIM_HORIZON",
            **{name: mapping[name] for name in _COPIED_SETTINGS if mapping.get(name) not in (None, [], {})},
        )
    return len(streams)


def pause_mappings(functions: Any, *, paused: bool) -> None:
    """Stop (or start again) the delivery of every event to every function."""
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=not paused)
