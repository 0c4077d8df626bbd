"""Playing a use case with one fault at one call, and what comes after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.crashes.acts import DROPS, complete_checkout, create_checkout
from tests.crashes.cases import UseCase
from tests.crashes.faults import CallFault, Connection
from tests.crashes.rules import AtAnyInstant, check_everything, outcome
from tests.crashes.rules_of_books import posted
from tests.crashes.state import read
from tests.crashes.world import PAST_ANY_HOLD, CrashWorld, repeat_until_done, run_action

_MOST_NIGHTS = 3
"""So many days are closed until all that was written down stands in a closed file."""


class Aftermath(StrEnum):
    """What happens after the fault."""

    REPEATED = "repeated"  # the same request or message comes again at once, and once more
    A_MOMENT_LATER = "a moment later"  # the live summary has been made anew, then it comes again, and once more
    LATE = "late"  # everything lapses, others take what they can get, and then it comes again
    ABANDONED = "abandoned"  # nobody asks again and what was under way is lost: repair is all there is


class Broken(AssertionError):
    """Rules that do not hold."""


@dataclass
class Tally:
    """What was enumerated: calls of the act, crash points played, distinct states they left, and what came after."""

    calls: list[str] = field(default_factory=list)
    points: int = 0
    states: int = 0
    aftermaths: int = 0
    broken: list[str] = field(default_factory=list)


Path = tuple[tuple[int, CallFault], ...]
"""At which call which fault happened, try by try."""


@dataclass
class Enumeration:
    """A use case with all its crash points, each played from the same fresh start.

    Once its process has ended, what comes depends on the cloud alone: of points that left it the same, one goes on.
    """

    case: UseCase
    fresh: Callable[[], CrashWorld]
    every: int = 1
    """Only each so-manieth crash point."""
    depth: int = 1
    """How many faults one after another: with 2, the repeat of what died may die too."""
    watching: bool = True
    """Rules that hold at any instant are checked after every write, too."""

    def explore(self) -> Tally:
        """Play all crash points. Rules that broke are listed in the tally."""
        tally, seen = Tally(), set[int]()
        tally.calls, undisturbed = self.undisturbed()
        paths: list[Path] = [()]
        for _ in range(self.depth):
            paths = [path for before in paths for path in self._once_more(before, tally, seen, undisturbed)]
        return tally

    def _once_more(self, before: Path, tally: Tally, seen: set[int], undisturbed: dict[str, Any]) -> Iterator[Path]:
        """Paths with one fault more that left the cloud as none did before. What comes after each is played."""
        line, world = Connection(), self._played(before)
        run_action(world, self.case.action, world.new_process(line))
        faults = [(at, fault) for at in range(1, len(line.calls) + 1) for fault in CallFault]
        for at, fault in faults[:: self.every]:
            tally.points += 1
            path = (*before, (at, fault))
            left = self._played(path).fake_aws.fingerprint()
            if left in seen:
                continue
            seen.add(left)
            tally.states += 1
            for aftermath in self._aftermaths(path):
                tally.aftermaths += 1
                broken = self._broken_after(self._played(path), aftermath, undisturbed)
                about = f"{self.case.name}, {_told(path)} ({line.calls[at - 1]}), {aftermath}"
                tally.broken += [f"{about}: {rule}" for rule in broken]
            yield path

    def _aftermaths(self, path: Path) -> list[Aftermath]:
        """A moment later is as at once, where no bucket has changed."""
        changed = self._played(path).fake_aws.streams["stock"]
        return [one for one in Aftermath if changed or one is not Aftermath.A_MOMENT_LATER]

    def undisturbed(self) -> tuple[list[str], dict[str, Any]]:
        """The calls of the act, and the outcome when nothing fails and the act comes three times. ``Broken``."""
        world, line = self._watched(), Connection()
        run_action(world, self.case.action, world.new_process(line))
        broken = self._after(world, Aftermath.REPEATED, None)
        if broken:
            raise Broken(f"{self.case.name}, undisturbed: {broken}")
        return line.calls, outcome(world)

    def _watched(self) -> CrashWorld:
        world = self.fresh()
        if self.watching:
            world.watch(AtAnyInstant())
        return world

    def _played(self, path: Path) -> CrashWorld:
        world = self._watched()
        for at, fault in path:
            run_action(world, self.case.action, world.new_process(Connection(fault, at)))
        return world

    def _broken_after(self, world: CrashWorld, aftermath: Aftermath, undisturbed: dict[str, Any]) -> list[str]:
        try:
            return self._after(world, aftermath, undisturbed)
        except Exception as error:  # whatever it is: a client would see a fault, or a queue never come to rest
            return [repr(error)]

    def _after(self, world: CrashWorld, aftermath: Aftermath, undisturbed: dict[str, Any] | None) -> list[str]:
        if aftermath is Aftermath.A_MOMENT_LATER:
            world.deliver_stock()
        if aftermath is Aftermath.LATE:
            world.advance_clock(PAST_ANY_HOLD)
            others_come(world)
        if aftermath is Aftermath.ABANDONED:
            world.lose_messages()
        else:
            repeat_until_done(world, self.case.action)
            repeat_until_done(world, self.case.action)
        world.settle()
        for _ in range(_MOST_NIGHTS):
            state = read(world.fake_aws)
            if len(posted(state)) == len(state.entries()):
                break
            world.run_night()
        broken = world.violations + check_everything(world)
        if aftermath in {Aftermath.REPEATED, Aftermath.A_MOMENT_LATER} and undisturbed is not None:
            broken += list(differences(undisturbed, outcome(world)))
        return list(dict.fromkeys(broken))


def _told(path: Path) -> str:
    return ", then ".join(f"call {at} {fault}" for at, fault in path)


def others_come(world: CrashWorld) -> None:
    """Buyers who take what they can get, of discounts too; one of them pays."""
    for drop in DROPS:
        create_checkout(f"rival-{drop}", (drop, 3), discount_codes=("TEN",))(world, world.new_process())
    complete_checkout("rival-mug")(world, world.new_process())


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What two outcomes do not agree on."""
    return [f"{name} is {other[name]}, undisturbed {one[name]}" for name in one if one[name] != other[name]]
