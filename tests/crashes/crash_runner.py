"""Run a use case with one fault at one call, then a follow-up, then check all invariants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.crashes.actions import DROPS, complete_checkout, create_checkout
from tests.crashes.connection import Connection, Fault, faults_of
from tests.crashes.crash_world import PAST_ANY_HOLD, CrashWorld, repeat_until_done, run_action
from tests.crashes.invariants import InvariantsAfterWrite, check_invariants, intended_outcome
from tests.crashes.invariants_ledger import closed_ledger_rows
from tests.crashes.invariants_money import has_open_refund
from tests.crashes.snapshot import take_snapshot
from tests.crashes.use_case import UseCase

_MAX_NIGHTS = 4
"""Nights until every refund has ended and every ledger entry is in a closed file."""


class FollowUp(StrEnum):
    """The events after the fault."""

    REPEATED = "repeated"  # the same request or message arrives twice more, at once
    A_MOMENT_LATER = "a moment later"  # the live summary is refreshed first, then the request arrives twice more
    LATE = "late"  # all holds expire and other buyers take units first, then the request arrives twice more
    ABANDONED = "abandoned"  # the request is not repeated and all messages are lost: only recovery runs


class InvariantsViolated(AssertionError):
    """Invariants that do not hold."""


@dataclass
class CrashStats:
    """The calls of the action, the crash points, the distinct states they left, and the follow-ups that ran."""

    calls: list[str] = field(default_factory=list)
    points: int = 0
    states: int = 0
    follow_ups: int = 0
    violations: list[str] = field(default_factory=list)


FaultPath = tuple[tuple[int, Fault], ...]
"""The number of the call and its fault, for each try."""


@dataclass
class CrashEnumeration:
    """A use case and all its crash points. Each starts from the same fresh world.

    After the process has ended, the follow-up depends only on the stored state. Of crash points that left the same
    state, only the first gets follow-ups.
    """

    case: UseCase
    new_world: Callable[[], CrashWorld]
    sample_every: int = 1
    """Run every n-th crash point only."""
    only_call: int | None = None
    """The only call at which a fault occurs, so that one crash point is replayed."""
    only_calls_of: str = ""
    """The beginning of the names of the calls at which a fault occurs."""
    max_faults: int = 1
    """Faults in a row. With 2, the repeat of a failed action may fail, too."""
    check_every_write: bool = True
    """Check the invariants that hold at every instant after every write, too."""

    def explore(self) -> CrashStats:
        """Run all crash points. The result lists the violated invariants."""
        stats, fingerprints = CrashStats(), set[int]()
        stats.calls, expected = self.run_without_faults()
        paths: list[FaultPath] = [()]
        for _ in range(self.max_faults):
            paths = [path for before in paths for path in self._add_one_fault(before, stats, fingerprints, expected)]
        return stats

    def _add_one_fault(
        self, before: FaultPath, stats: CrashStats, fingerprints: set[int], expected: dict[str, Any]
    ) -> Iterator[FaultPath]:
        """Yield the paths with one fault more that left a new state, after all their follow-ups have run."""
        connection, world = Connection(), self._replay(before)
        run_action(world, self.case.action, world.new_process(connection))
        calls = [(at, connection.calls[at - 1]) for at in self._calls_with_faults(connection)]
        chosen = [(at, operation) for at, operation in calls if operation.startswith(self.only_calls_of)]
        faults = [(at, fault) for at, operation in chosen for fault in faults_of(operation)]
        for at, fault in faults[:: self.sample_every]:
            stats.points += 1
            path = (*before, (at, fault))
            fingerprint = self._replay(path).fingerprint()
            if fingerprint in fingerprints:
                continue
            fingerprints.add(fingerprint)
            stats.states += 1
            for follow_up in self._follow_ups(path):
                stats.follow_ups += 1
                violations = self._violations_after(self._replay(path), follow_up, expected)
                about = f"{self.case.name}, {_describe(path)} ({connection.calls[at - 1]}), {follow_up}"
                stats.violations += [f"{about}: {violation}" for violation in violations]
            yield path

    def _calls_with_faults(self, connection: Connection) -> range:
        """Return the numbers of the calls at which a fault occurs."""
        if self.only_call is not None:
            return range(self.only_call, self.only_call + 1)
        return range(1, len(connection.calls) + 1)

    def _follow_ups(self, path: FaultPath) -> list[FollowUp]:
        """Return the follow-ups to run. Without a changed bucket, "a moment later" would equal "repeated"."""
        changed = self._replay(path).fake_aws.streams["stock"]
        return [one for one in FollowUp if changed or one is not FollowUp.A_MOMENT_LATER]

    def run_without_faults(self) -> tuple[list[str], dict[str, Any]]:
        """Return the calls of the action, and the outcome when it runs three times without a fault.

        Raises: InvariantsViolated.
        """
        world, connection = self._new_watched_world(), Connection()
        run_action(world, self.case.action, world.new_process(connection))
        violations = self._run_follow_up(world, FollowUp.REPEATED, None)
        if violations:
            raise InvariantsViolated(f"{self.case.name}, without faults: {violations}")
        return connection.calls, intended_outcome(world)

    def _new_watched_world(self) -> CrashWorld:
        world = self.new_world()
        if self.check_every_write:
            world.watch(InvariantsAfterWrite())
        return world

    def _replay(self, path: FaultPath) -> CrashWorld:
        world = self._new_watched_world()
        for at, fault in path:
            run_action(world, self.case.action, world.new_process(Connection(fault, at)))
        return world

    def _violations_after(self, world: CrashWorld, follow_up: FollowUp, expected: dict[str, Any]) -> list[str]:
        try:
            return self._run_follow_up(world, follow_up, expected)
        except Exception as error:  # any error is a finding: a client would get a 5xx, or a queue would never be empty
            return [repr(error)]

    def _run_follow_up(self, world: CrashWorld, follow_up: FollowUp, expected: dict[str, Any] | None) -> list[str]:
        if follow_up is FollowUp.A_MOMENT_LATER:
            world.deliver_stock()
        if follow_up is FollowUp.LATE:
            world.advance_clock(PAST_ANY_HOLD)
            let_rivals_take(world)
        if follow_up is FollowUp.ABANDONED:
            world.lose_messages()
        else:
            repeat_until_done(world, self.case.action)
            repeat_until_done(world, self.case.action)
        world.settle()
        for _ in range(_MAX_NIGHTS):
            state = take_snapshot(world)
            if len(closed_ledger_rows(state)) == len(state.ledger_rows()) and not has_open_refund(state):
                break
            world.run_night()
        violations = world.violations + check_invariants(world)
        if follow_up in {FollowUp.REPEATED, FollowUp.A_MOMENT_LATER} and expected is not None:
            violations += list(differences(expected, intended_outcome(world)))
        return list(dict.fromkeys(violations))


def _describe(path: FaultPath) -> str:
    return ", then ".join(f"call {at} {fault}" for at, fault in path)


def let_rivals_take(world: CrashWorld) -> None:
    """Let other buyers take all units and discount uses that they can get. One of them pays."""
    for drop in DROPS:
        create_checkout(f"rival-{drop}", (drop, 3), discount_codes=("TEN",))(world, world.new_process())
    complete_checkout("rival-mug")(world, world.new_process())


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Describe the parts in which two outcomes differ."""
    return [f"{name} is {other[name]}, without faults {one[name]}" for name in one if one[name] != other[name]]
