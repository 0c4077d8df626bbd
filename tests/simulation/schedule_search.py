"""Playing schedules and counting them: what was played and which controls were caught, for the end of the run."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import pytest

from infra.paths import ROOT
from tests.fakes.dynamodb_expressions import InvalidDynamoDBRequest

_PROPERTY: Final = "schedules"
_REPLAYED_SEED: Final = os.environ.get("LIVEDROP_SEED")
"""The only seed to play, to look at one schedule again."""
_SEED_PARTS: Final = 2
"""Each class is played in so many parts, for as many test processes."""

ScheduleRunner = Callable[[int], Mapping[str, int]]
"""Plays a seed and counts what happened. Raises ``AssertionError`` where it finds a rule broken."""


def parametrize_seeds(default_count: int) -> pytest.MarkDecorator:
    """The ``seeds`` of a fault class: so many, or ``LIVEDROP_SCHEDULES`` in the long form."""
    count = int(os.environ.get("LIVEDROP_SCHEDULES", default_count))
    parts = [range(first, count, _SEED_PARTS) for first in range(_SEED_PARTS)]
    if _REPLAYED_SEED is not None:
        parts = [range(int(_REPLAYED_SEED), int(_REPLAYED_SEED) + 1)]
    return pytest.mark.parametrize("seeds", parts, ids=lambda seeds: f"part{seeds.start + 1}")


class ScheduleSearch:
    """Plays seeds and keeps count."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record

    def expect_invariants_hold(
        self, fault_class: str, seeds: range, run_schedule: ScheduleRunner, *, expected_events: Iterable[str] = ()
    ) -> None:
        """Every rule holds in all schedules. A failure names its seed, from which it can be played again.

        ``met`` is what must have happened at least once: a search that never gets there shows nothing.
        """
        events_seen: Counter[str] = Counter()
        violation = None
        try:
            for played, seed in enumerate(seeds, 1):
                events_seen["played"] = played
                events_seen.update(run_schedule(seed))
        except AssertionError as error:
            violation = f"{fault_class}, seed {seed}: {type(error).__name__} {error}"
            raise AssertionError(violation) from error
        finally:
            self._record(_PROPERTY, {"class": fault_class, "broken": violation, "events_seen": dict(events_seen)})
        if _REPLAYED_SEED is None:
            _assert_events_seen(events_seen, expected_events)

    def record_model_steps(self, events_seen: Counter[str], *, expected_events: Iterable[str]) -> None:
        """So many ``steps`` were taken against a model, and none was other than the model says."""
        self._record(_PROPERTY, {"model": dict(events_seen)})
        _assert_events_seen(events_seen, expected_events)

    def expect_control_caught(
        self, control: str, max_schedules: int, run_schedule: ScheduleRunner, *, times: int = 2
    ) -> None:
        """The wrong variant breaks a rule in so many of at most ``most`` schedules; no more are played then."""
        caught = seed = 0
        while seed < max_schedules and caught < times:
            caught += self.violates_invariant(seed, run_schedule)
            seed += 1
        self._record(_PROPERTY, {"control": control, "played": seed, "caught": caught})
        assert caught == times, f"{control}: caught in {caught} of {seed} schedules"

    def violates_invariant(self, seed: int, run_schedule: ScheduleRunner) -> bool:
        """Whether a rule is broken in the play of this seed. An expression that DynamoDB would refuse is no play."""
        try:
            run_schedule(seed)
        except InvalidDynamoDBRequest:
            raise
        except AssertionError:
            return True
        return False


def _assert_events_seen(events_seen: Counter[str], expected_events: Iterable[str]) -> None:
    missed = [one for one in expected_events if not events_seen[one]]
    assert not missed, f"{missed} never happened"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A line a class and ``build/schedules.json``; the processes of xdist send what they recorded with each report."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    entries = [
        value
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == _PROPERTY
    ]
    if not entries:
        return
    classes = _merge_parts([entry for entry in entries if "class" in entry])
    controls = {entry["control"]: entry for entry in entries if "control" in entry}
    played = sum(found["events_seen"]["played"] for found in classes.values())
    broken = [one for found in classes.values() for one in found["broken"]]
    caught = sum(control["caught"] > 0 for control in controls.values())
    model = sum((Counter(entry["model"]) for entry in entries if "model" in entry), Counter[str]())
    summary = {"schedules": played, "broken": broken, "classes": classes, "controls": controls, "model": model}
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "schedules.json").write_text(json.dumps(summary, indent=2, sort_keys=True) + "\n")
    terminalreporter.write_line(
        f"schedules: {played} in {len(classes)} fault classes, {len(broken)} rules broken; "
        f"{caught} of {len(controls)} controls caught; {model['steps']} steps as the model says"
    )
    for name, found in sorted(classes.items()):
        terminalreporter.write_line(f"  {found['events_seen']['played']:>6} {name}")


def _merge_parts(entries: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the parts of each class played, together."""
    classes: dict[str, dict[str, Any]] = {}
    for entry in entries:
        found = classes.setdefault(entry["class"], {"broken": [], "events_seen": Counter()})
        found["broken"] += [entry["broken"]] if entry["broken"] else []
        found["events_seen"].update(entry["events_seen"])
    return classes
