"""Deal users to workers once, and never move a live herd.

    Locust --start, worker joined, worker lost--> Dealer --the run's one--> PinnedDispatcher --users--> workers

Locust's own dispatcher rebalances when a worker joins or is lost: it stops users here and starts them there, and with
them thousands of connections. Here every worker keeps what it was dealt; what a lost worker held is lost, and counted.

Laws: only workers that take part in the run get users (`role_of` is not empty). Each class is dealt evenly by itself,
in the order of the workers' ids, in which `MasterBridge` numbers them too: so client indexes are dense. Asking for the
number of users that was asked for before changes nothing: Locust asks so whenever a worker comes or goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from locust import User
from locust.dispatch import UsersDispatcher
from locust.runners import WorkerNode

RoleOf = Callable[[str], str]
"""Worker id -> "herd", "publisher" or "any"; "" for a worker that takes no part in the run."""


class PinnedDispatcher(UsersDispatcher):
    """Deal users: publishers to publisher workers, herds to the others.

    Args:
        role_of: what each worker introduced itself as.
        refused: says whether the run was refused; then nobody is dealt.
    """

    def __init__(
        self,
        worker_nodes: list[WorkerNode],
        user_classes: list[type[User]],
        role_of: RoleOf,
        refused: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(worker_nodes, user_classes)
        self._role_of = role_of
        self._refused = refused
        self._publishes = {user.__name__: bool(getattr(user, "publishes", False)) for user in user_classes}
        self._asked_for = -1
        self._gone: dict[str, dict[str, int]] = {}

    def _sort_workers(self) -> None:
        self._worker_nodes = sorted(self._worker_nodes, key=lambda node: node.id)

    def new_dispatch(
        self, target_user_count: int, spawn_rate: float, user_classes: list[type[User]] | None = None
    ) -> None:
        """Begin to deal; see Locust's."""
        wanted = self.get_current_user_count() if target_user_count == self._asked_for else target_user_count
        super().new_dispatch(0 if self._refused() else wanted, spawn_rate, user_classes)
        self._asked_for = target_user_count

    def add_worker(self, worker_node: WorkerNode) -> None:
        """Make a worker that joined known, or one that was thought lost, with what it holds; nothing moves to it."""
        if worker_node.id in self._users_on_workers:
            return
        self._worker_nodes.append(worker_node)
        self._sort_workers()
        held = self._gone.pop(worker_node.id, None) or {user.__name__: 0 for user in self._original_user_classes}
        self._users_on_workers[worker_node.id] = held
        for user, count in held.items():
            self._active_users += [(worker_node, user)] * count
        self._active_users.sort(key=lambda active: not self._publishes[active[1]])  # publishers are the last to go
        self._shift(sum(held.values()))

    def remove_worker(self, worker_node: WorkerNode) -> None:
        """Forget a worker that was lost, with its users; nobody else gets them."""
        held = self._users_on_workers.pop(worker_node.id, None)
        if held is None:
            return
        self._worker_nodes = [node for node in self._worker_nodes if node.id != worker_node.id]
        self._gone[worker_node.id] = held
        self._active_users = [(node, user) for node, user in self._active_users if node.id != worker_node.id]
        self._shift(-sum(held.values()))

    def _shift(self, users: int) -> None:
        self._current_user_count += users
        self._target_user_count += users

    def _add_users_on_workers(self) -> dict[str, dict[str, int]]:
        wanted = min(self._current_user_count + self._user_count_per_dispatch_iteration, self._target_user_count)
        while self._current_user_count < wanted:
            user = next(self._user_generator)
            node = None if user is None else self._node_for(user)
            if user is None or node is None:
                self._no_user_to_spawn = True
                break
            self._users_on_workers[node.id][user] += 1
            self._current_user_count += 1
            self._active_users.append((node, user))
        users: dict[str, dict[str, int]] = self._users_on_workers
        return users

    def _node_for(self, user: str) -> WorkerNode | None:
        """Return the worker with the fewest users of this class, the first of them in order; None without workers."""
        roles = [(node, self._role_of(node.id)) for node in self._worker_nodes]
        special = [node for node, role in roles if role == "publisher"]
        others = [node for node, role in roles if role not in ("publisher", "")]
        nodes = (special or others) if self._publishes[user] else (others or special)
        return min(nodes, key=lambda node: self._users_on_workers[node.id][user], default=None)


class Dealer:
    """Make the dispatcher of a run, once: what Locust makes anew while the run is on is the same one.

    Args:
        running: whether a run is on.

    Attributes:
        refused: True while the run that is starting must not deal anybody.
    """

    def __init__(self, role_of: RoleOf, running: Callable[[], bool]) -> None:
        self._role_of = role_of
        self._running = running
        self._dispatcher: PinnedDispatcher | None = None
        self.refused = False

    def __call__(self, worker_nodes: list[WorkerNode], user_classes: list[type[User]]) -> PinnedDispatcher:
        """Return the run's dispatcher; what Locust calls as `environment.dispatcher_class`."""
        if self._dispatcher is None or not self._running():
            self._dispatcher = PinnedDispatcher(worker_nodes, user_classes, self._role_of, lambda: self.refused)
        return self._dispatcher


def dealt(user_classes: Sequence[type[User]], users: int) -> dict[str, int]:
    """Return how many users of each class Locust spawns for `-u users`."""
    dispatcher = UsersDispatcher([WorkerNode("any")], list(user_classes))
    dispatcher.new_dispatch(users, max(1, users))
    counts: dict[str, int] = next(dispatcher)["any"]
    return counts
