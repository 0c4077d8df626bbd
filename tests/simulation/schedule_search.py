"""Run schedules by seed, count them, and print at the end of the run which controls were caught."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import pytest

from chalicelib.errors import InvariantBroken
from tests.fakes.dynamodb_expressions import InvalidDynamoDBRequest
from tests.report import recorded_values, write_report

_PROPERTY: Final = "schedules"
_REPLAYED_SEED: Final = os.environ.get("LIVEDROP_SEED")
"""The only seed to run, so that one schedule is replayed."""
_SEED_PARTS: Final = 2
"""Parts of each fault class, one for each test process."""

ScheduleRunner = Callable[[int], Mapping[str, int]]
"""Run the schedule of a seed and count its events. Raise ``AssertionError`` where an invariant is violated."""


def parametrize_seeds(default_count: int) -> pytest.MarkDecorator:
    """Give a test the ``seeds`` of a fault class: the default count, or ``LIVEDROP_SCHEDULES`` of them."""
    count = int(os.environ.get("LIVEDROP_SCHEDULES", default_count))
    parts = {f"part{first + 1}": range(first, count, _SEED_PARTS) for first in range(_SEED_PARTS)}
    if _REPLAYED_SEED is not None:
        parts = {f"seed{_REPLAYED_SEED}": range(int(_REPLAYED_SEED), int(_REPLAYED_SEED) + 1)}
    return pytest.mark.parametrize("seeds", parts.values(), ids=list(parts))


class ScheduleSearch:
    """Runs the schedules of seeds and counts them."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record

    def expect_invariants_hold(
        self, fault_class: str, seeds: range, run_schedule: ScheduleRunner, *, expected_events: Iterable[str] = ()
    ) -> None:
        """Assert that every invariant holds in all schedules. A failure names its seed, which replays the schedule.

        Each of ``expected_events`` must occur at least once: a search that never meets them proves nothing.
        """
        events_seen: Counter[str] = Counter()
        violation = None
        try:
            for count, seed in enumerate(seeds, 1):
                events_seen["schedules"] = count
                events_seen.update(run_schedule(seed))
        except (AssertionError, InvariantBroken) as error:
            violation = f"{fault_class}, seed {seed}: {type(error).__name__} {error}"
            raise AssertionError(violation) from error
        finally:
            self._record(_PROPERTY, {"class": fault_class, "violation": violation, "events_seen": dict(events_seen)})
        if _REPLAYED_SEED is None:
            _assert_events_seen(events_seen, expected_events)

    def record_model_steps(self, events_seen: Counter[str], *, expected_events: Iterable[str]) -> None:
        """Record the ``steps`` of a run in which the product did what its model says."""
        self._record(_PROPERTY, {"model": dict(events_seen)})
        _assert_events_seen(events_seen, expected_events)

    def expect_control_caught(
        self, control: str, max_schedules: int, run_schedule: ScheduleRunner, *, times: int = 2
    ) -> None:
        """Assert that a wrong variant violates an invariant ``times`` times within ``max_schedules`` schedules."""
        caught = seed = 0
        while seed < max_schedules and caught < times:
            caught += self.violates_invariant(seed, run_schedule)
            seed += 1
        self._record(_PROPERTY, {"control": control, "schedules": seed, "caught": caught})
        assert caught == times, f"{control}: caught in {caught} of {seed} schedules"

    def violates_invariant(self, seed: int, run_schedule: ScheduleRunner) -> bool:
        """Whether the schedule of this seed violates an invariant.

        Raises: InvalidDynamoDBRequest, where the variant sends what DynamoDB would refuse.
        """
        try:
            run_schedule(seed)
        except InvalidDynamoDBRequest:
            raise
        except (AssertionError, InvariantBroken):
            return True
        return False


def _assert_events_seen(events_seen: Counter[str], expected_events: Iterable[str]) -> None:
    missed = [one for one in expected_events if not events_seen[one]]
    assert not missed, f"The search never met {missed}."


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a line for each fault class, and write ``build/schedules.json``."""
    entries = recorded_values(terminalreporter, _PROPERTY)
    if not entries:
        return
    classes = _merge_parts([entry for entry in entries if "class" in entry])
    controls = {entry["control"]: entry for entry in entries if "control" in entry}
    schedules = sum(found["events_seen"]["schedules"] for found in classes.values())
    violations = [one for found in classes.values() for one in found["violations"]]
    caught = sum(control["caught"] > 0 for control in controls.values())
    model = sum((Counter(entry["model"]) for entry in entries if "model" in entry), Counter[str]())
    summary = {"schedules": schedules, "violations": violations, "classes": classes}
    summary |= {"controls": controls, "model": model}
    write_report("schedules", summary)
    terminalreporter.write_line(
        f"schedules: {schedules} in {len(classes)} fault classes, {len(violations)} invariants broken; "
        f"{caught} of {len(controls)} controls caught; {model['steps']} steps as the model says"
    )
    for name, found in sorted(classes.items()):
        terminalreporter.write_line(f"  {found['events_seen']['schedules']:>6} {name}")


def _merge_parts(entries: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Add up the parts of each fault class."""
    classes: dict[str, dict[str, Any]] = {}
    for entry in entries:
        found = classes.setdefault(entry["class"], {"violations": [], "events_seen": Counter()})
        found["violations"] += [entry["violation"]] if entry["violation"] else []
        found["events_seen"].update(entry["events_seen"])
    return classes
