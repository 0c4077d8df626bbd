"""Playing a use case with one fault at one call, and what comes after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.crashes.actions import DROPS, complete_checkout, create_checkout
from tests.crashes.connection import CallFault, Connection
from tests.crashes.crash_world import PAST_ANY_HOLD, CrashWorld, repeat_until_done, run_action
from tests.crashes.invariants import InvariantsAfterWrite, check_invariants, intended_outcome
from tests.crashes.invariants_ledger import closed_ledger_rows
from tests.crashes.snapshot import take_snapshot
from tests.crashes.use_case import UseCase

_MAX_NIGHTS = 3
"""So many days are closed until all that was written down stands in a closed file."""


class FollowUp(StrEnum):
    """What happens after the fault."""

    REPEATED = "repeated"  # the same request or message comes again at once, and once more
    A_MOMENT_LATER = "a moment later"  # the live summary has been made anew, then it comes again, and once more
    LATE = "late"  # everything lapses, others take what they can get, and then it comes again
    ABANDONED = "abandoned"  # nobody asks again and what was under way is lost: repair is all there is


class InvariantsViolated(AssertionError):
    """Rules that do not hold."""


@dataclass
class CrashStats:
    """What was enumerated: calls of the act, crash points played, distinct states they left, and what came after."""

    calls: list[str] = field(default_factory=list)
    points: int = 0
    states: int = 0
    follow_ups: int = 0
    violations: list[str] = field(default_factory=list)


FaultPath = tuple[tuple[int, CallFault], ...]
"""At which call which fault happened, try by try."""


@dataclass
class CrashEnumeration:
    """A use case with all its crash points, each played from the same fresh start.

    Once its process has ended, what comes depends on the cloud alone: of points that left it the same, one goes on.
    """

    case: UseCase
    new_world: Callable[[], CrashWorld]
    sample_every: int = 1
    """Only each so-manieth crash point."""
    only_call: int | None = None
    """The only call at which a fault happens, to look at one crash point again."""
    max_faults: int = 1
    """How many faults one after another: with 2, the repeat of what died may die too."""
    check_every_write: bool = True
    """Rules that hold at any instant are checked after every write, too."""

    def explore(self) -> CrashStats:
        """Play all crash points. Rules that broke are listed in the tally."""
        stats, seen = CrashStats(), set[int]()
        stats.calls, expected = self.run_without_faults()
        paths: list[FaultPath] = [()]
        for _ in range(self.max_faults):
            paths = [path for before in paths for path in self._add_one_fault(before, stats, seen, expected)]
        return stats

    def _add_one_fault(
        self, before: FaultPath, stats: CrashStats, seen: set[int], expected: dict[str, Any]
    ) -> Iterator[FaultPath]:
        """Paths with one fault more that left the cloud as none did before. What comes after each is played."""
        connection, world = Connection(), self._replay(before)
        run_action(world, self.case.action, world.new_process(connection))
        faults = [(at, fault) for at in self._calls_with_faults(connection) for fault in CallFault]
        for at, fault in faults[:: self.sample_every]:
            stats.points += 1
            path = (*before, (at, fault))
            fingerprint = self._replay(path).fake_aws.fingerprint()
            if fingerprint in seen:
                continue
            seen.add(fingerprint)
            stats.states += 1
            for follow_up in self._follow_ups(path):
                stats.follow_ups += 1
                violations = self._violations_after(self._replay(path), follow_up, expected)
                about = f"{self.case.name}, {_describe(path)} ({connection.calls[at - 1]}), {follow_up}"
                stats.violations += [f"{about}: {rule}" for rule in violations]
            yield path

    def _calls_with_faults(self, connection: Connection) -> range:
        """Numbers of the calls at which a fault happens: of all, or of the only one."""
        calls = range(1, len(connection.calls) + 1)
        return calls if self.only_call is None else range(self.only_call, min(self.only_call, len(calls)) + 1)

    def _follow_ups(self, path: FaultPath) -> list[FollowUp]:
        """A moment later is as at once, where no bucket has changed."""
        changed = self._replay(path).fake_aws.streams["stock"]
        return [one for one in FollowUp if changed or one is not FollowUp.A_MOMENT_LATER]

    def run_without_faults(self) -> tuple[list[str], dict[str, Any]]:
        """The calls of the act, and the outcome when nothing fails and the act comes three times. ``Broken``."""
        world, connection = self._new_watched_world(), Connection()
        run_action(world, self.case.action, world.new_process(connection))
        violations = self._run_follow_up(world, FollowUp.REPEATED, None)
        if violations:
            raise InvariantsViolated(f"{self.case.name}, undisturbed: {violations}")
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
        except Exception as error:  # whatever it is: a client would see a fault, or a queue never come to rest
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
            state = take_snapshot(world.fake_aws)
            if len(closed_ledger_rows(state)) == len(state.ledger_rows()):
                break
            world.run_night()
        violations = world.violations + check_invariants(world)
        if follow_up in {FollowUp.REPEATED, FollowUp.A_MOMENT_LATER} and expected is not None:
            violations += list(differences(expected, intended_outcome(world)))
        return list(dict.fromkeys(violations))


def _describe(path: FaultPath) -> str:
    return ", then ".join(f"call {at} {fault}" for at, fault in path)


def let_rivals_take(world: CrashWorld) -> None:
    """Buyers who take what they can get, of discounts too; one of them pays."""
    for drop in DROPS:
        create_checkout(f"rival-{drop}", (drop, 3), discount_codes=("TEN",))(world, world.new_process())
    complete_checkout("rival-mug")(world, world.new_process())


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What two outcomes do not agree on."""
    return [f"{name} is {other[name]}, undisturbed {one[name]}" for name in one if one[name] != other[name]]
