"""What a use case is, and who buys in it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.crashes.acts import open_shop
from tests.crashes.world import Act, World

ADA, BOB = "ada", "bob"


@dataclass(frozen=True)
class UseCase:
    """``given`` happens undisturbed; ``act`` is what dies."""

    name: str
    given: tuple[Act, ...]
    act: Act

    def begin(self, world: World) -> World:
        open_shop(world)
        for act in self.given:
            act(world, world.process())
        return world


def a_case(name: str, *acts: Act) -> UseCase:
    """A use case: its last act is the one that dies."""
    return UseCase(name, acts[:-1], acts[-1])
