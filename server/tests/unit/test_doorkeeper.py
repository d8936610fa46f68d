"""Who may stay: compared with a slow reference over random comings and goings."""

import random

from fxsocket_server.security.doorkeeper import Doorkeeper


class SlowDoorkeeper:
    """The same promise, by counting a list anew every time."""

    def __init__(self, total: int, per_address: int) -> None:
        self.total, self.per_address = total, per_address
        self.guests: list[tuple[int, str, bool]] = []  # guest, address, known

    def enter(self, guest: int, address: str) -> int | None:
        strangers = [g for g in self.guests if not g[2]]
        of_address = [g for g in strangers if g[1] == address]
        goes = None
        if len(of_address) >= self.per_address:
            goes = of_address[0][0]
        elif len(self.guests) >= self.total:
            goes = strangers[0][0] if strangers else guest
        if goes != guest:
            self.leave(-1 if goes is None else goes)
            self.guests.append((guest, address, False))
        return goes

    def trust(self, guest: int) -> None:
        self.guests = [(g, a, known or g == guest) for g, a, known in self.guests]

    def leave(self, guest: int) -> None:
        self.guests = [entry for entry in self.guests if entry[0] != guest]


def test_comings_and_goings(rng: random.Random) -> None:
    for _ in range(40):
        total, per_address = rng.randint(1, 12), rng.randint(1, 6)
        door: Doorkeeper[int] = Doorkeeper(total, per_address)
        slow = SlowDoorkeeper(total, per_address)
        for guest in range(200):
            some = rng.randint(max(0, guest - 15), guest)
            address = f"192.0.2.{rng.randint(1, 3)}"
            assert door.enter(guest, address) == slow.enter(guest, address)
            for act in rng.sample(("trust", "leave", ""), 2):
                if act:
                    getattr(door, act)(some)
                    getattr(slow, act)(some)
            assert len(door) == len(slow.guests) <= total
