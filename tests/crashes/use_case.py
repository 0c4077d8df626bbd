"""A use case of the crash enumeration, and the names of its buyers."""

from __future__ import annotations

from dataclasses import dataclass

from tests.crashes.actions import open_shop
from tests.crashes.crash_world import Action, CrashWorld

ADA, BOB, CYD = "ada", "bob", "cyd"


@dataclass(frozen=True)
class UseCase:
    """``setup`` runs without faults. ``action`` is the one whose process dies."""

    name: str
    setup: tuple[Action, ...]
    action: Action

    def set_up(self, world: CrashWorld) -> CrashWorld:
        open_shop(world)
        for action in self.setup:
            action(world, world.new_process())
        return world


def use_case(name: str, *actions: Action) -> UseCase:
    """Make a use case of actions. The last is the one whose process dies."""
    return UseCase(name, actions[:-1], actions[-1])
