"""Deal users to workers once, and never move a live herd.

Locust's own dispatcher rebalances when a worker joins or is lost: it stops users here and starts them there, and with
them thousands of connections. Here every worker keeps what it was dealt; what a lost worker held is lost, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from locust.dispatch import UsersDispatcher
from locust.runners import WorkerNode

RoleOf = Callable[[str], str]
"""Worker id -> "herd", "publisher" or "any"."""


class PinnedDispatcher(UsersDispatcher):
    """Deal users round robin: publishers to publisher workers, herds to the others.

    Args:
        role_of: what each worker introduced itself as.
    """

    def __init__(self, worker_nodes: list[WorkerNode], user_classes: list[type], role_of: RoleOf) -> None:
        super().__init__(worker_nodes, user_classes)
        self._role_of = role_of
        self._publishes: Mapping[str, bool] = {
            user_class.__name__: bool(getattr(user_class, "publishes", False)) for user_class in user_classes
        }
        self._turn = {True: 0, False: 0}

    def add_worker(self, worker_node: WorkerNode) -> None:
        """Make a worker that joined known; it gets users only from later dispatches, nothing moves to it."""
        if worker_node.id not in self._users_on_workers:
            self._worker_nodes.append(worker_node)
            self._users_on_workers[worker_node.id] = {user.__name__: 0 for user in self._original_user_classes}

    def remove_worker(self, worker_node: WorkerNode) -> None:
        """Forget a worker that was lost, with its users; nobody else gets them."""
        self._worker_nodes = [node for node in self._worker_nodes if node.id != worker_node.id]
        gone = self._users_on_workers.pop(worker_node.id, {})
        self._current_user_count -= sum(gone.values())
        self._target_user_count -= sum(gone.values())
        self._active_users = [(node, user) for node, user in self._active_users if node.id != worker_node.id]

    def _add_users_on_workers(self) -> dict[str, dict[str, int]]:
        wanted = min(self._current_user_count + self._user_count_per_dispatch_iteration, self._target_user_count)
        for user in self._user_generator:
            if not user:
                self._no_user_to_spawn = True
                break
            node = self._next_node(self._publishes.get(user, False))
            self._users_on_workers[node.id][user] += 1
            self._current_user_count += 1
            self._active_users.append((node, user))
            if self._current_user_count >= wanted:
                break
        users: dict[str, dict[str, int]] = self._users_on_workers
        return users

    def _next_node(self, publishes: bool) -> Any:
        special = [node for node in self._worker_nodes if self._role_of(node.id) == "publisher"]
        others = [node for node in self._worker_nodes if self._role_of(node.id) != "publisher"]
        nodes = (special or others) if publishes else (others or special)
        self._turn[publishes] += 1
        return nodes[(self._turn[publishes] - 1) % len(nodes)]
