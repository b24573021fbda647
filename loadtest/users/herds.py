"""The herds of one process: who asks for room gets it in the newest herd of its kind, or in a new one.

    user class --room--> [herd: the process's own descriptors]            all its connections fit under RLIMIT_NOFILE
                     \\-> [herd apart] [herd apart] ...                   they do not: a descriptor table for each herd

Law: hooks are called where the process's own descriptors are, so what has hooks has one herd. So has everybody where
the system allows no tables; connections that find no file there fail under that reason.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator

from loadtest.herd.clients import Hooks
from loadtest.herd.herd import Herd
from loadtest.herd.sockets import usable_files
from loadtest.metrics.ledger import Announced
from loadtest.profile.model import Profile
from loadtest.users import descriptor_table
from loadtest.users.apart import HerdApart
from loadtest.users.build import Plan, make_herd
from loadtest.users.engine import Engine, new_poller


class Herds:
    """Herds by the key of who asked for them, such as a user class.

    Args:
        engine: gives them their turns. plan: of this worker for a profile, as if each worker had one herd.
    """

    def __init__(self, engine: Callable[[], Engine], plan: Callable[[Profile], Plan]) -> None:
        self._engine, self._plan = engine, plan
        self._of: dict[object, list[Herd]] = {}

    def __iter__(self) -> Iterator[Herd]:
        for herds in self._of.values():
            yield from herds

    def __bool__(self) -> bool:
        return any(self._of.values())

    @property
    def listening(self) -> list[Herd]:
        """Return those of the population, not of publishers."""
        return [herd for herd in self if herd.ledger is not None]

    def room(
        self,
        key: object,
        profile: Profile,
        *,
        listening: bool,
        hooks: Hooks | None,
        connections: int,
        size: int = 0,
        kind: type[Herd] = Herd,
    ) -> Herd:
        """Return a herd of `key` with room for `size` connections more; a new one, of class `kind`, if need be.

        Args:
            connections: all that `key` will have here.
        """
        herds = self._of.setdefault(key, [])
        usable = usable_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        several = connections > usable and kind is Herd and hooks is None and descriptor_table.most() > 1
        if herds and (not several or len(herds[-1]) + size <= usable):
            return herds[-1]
        herd = make_herd(
            self._plan(profile).part_of(len(herds), -(-connections // usable) if several else 1),
            new_poller(),
            listening=listening,
            hooks=hooks,
            connections=connections,
            kind=HerdApart if several else kind,
        )
        self._engine().add(herd)
        herds.append(herd)
        return herd

    def enter(self, message: Announced) -> None:
        """Have everybody who is subscribed expect `message`."""
        for herd in self:
            if herd.ledger is not None:
                herd.ledger.announce(message)
                herd.witnesses.announced(message.sched_ns, message.channel)

    def close(self) -> None:
        """Give up all of them; their users have released them."""
        for herd in self:
            self._engine().remove(herd)
        self._of.clear()
