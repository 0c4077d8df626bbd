"""What a use case is, and who buys in it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.crashes.actions import open_shop
from tests.crashes.crash_world import Action, CrashWorld

ADA, BOB = "ada", "bob"


@dataclass(frozen=True)
class UseCase:
    """``given`` happens undisturbed; ``act`` is what dies."""

    name: str
    setup: tuple[Action, ...]
    action: Action

    def set_up(self, world: CrashWorld) -> CrashWorld:
        open_shop(world)
        for action in self.setup:
            action(world, world.new_process())
        return world


def use_case(name: str, *actions: Action) -> UseCase:
    """A use case: its last act is the one that dies."""
    return UseCase(name, actions[:-1], actions[-1])
