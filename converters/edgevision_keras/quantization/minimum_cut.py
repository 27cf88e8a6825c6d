"""The cheapest division of things in two, where some pairs cost more apart."""

from __future__ import annotations

from collections import deque

#: A capacity that no cut pays if there is another.
UNLIMITED = 1 << 60


class CutGraph:
    """A directed graph whose minimum cut is searched for by Dinic's algorithm, 1970.

    Node 0 is the source and node 1 the sink. Capacities are integers.
    """

    def __init__(self) -> None:
        self._edges: list[list[int]] = [[], []]
        self._ends: list[int] = []
        self._capacities: list[int] = []

    def add_node(self) -> int:
        """A new node."""
        self._edges.append([])
        return len(self._edges) - 1

    def add_edge(self, start: int, end: int, capacity: int) -> None:
        """Let a cut pay `capacity` if `start` is on the side of the source and `end` on that of the sink."""
        for tail, head, amount in ((start, end, capacity), (end, start, 0)):
            self._edges[tail].append(len(self._ends))
            self._ends.append(head)
            self._capacities.append(amount)

    def source_side(self) -> set[int]:
        """The nodes on the source's side of a minimum cut, the fewest possible."""
        while True:
            levels = self._levels()
            if levels[1] < 0:
                return {node for node, level in enumerate(levels) if level >= 0}
            positions = [0] * len(self._edges)
            while self._augment(levels, positions):
                pass

    def _levels(self) -> list[int]:
        """Distance of each node from the source over edges with capacity left; -1 if out of reach."""
        levels = [-1] * len(self._edges)
        levels[0] = 0
        pending = deque([0])
        while pending:
            node = pending.popleft()
            for edge in self._edges[node]:
                if self._capacities[edge] > 0 and levels[self._ends[edge]] < 0:
                    levels[self._ends[edge]] = levels[node] + 1
                    pending.append(self._ends[edge])
        return levels

    def _augment(self, levels: list[int], positions: list[int]) -> bool:
        """Send flow along one more shortest path; return whether there was one."""
        path: list[int] = []
        node = 0
        while node != 1:
            edges = self._edges[node]
            while positions[node] < len(edges):
                edge = edges[positions[node]]
                if self._capacities[edge] > 0 and levels[self._ends[edge]] == levels[node] + 1:
                    break
                positions[node] += 1
            if positions[node] < len(edges):
                path.append(edges[positions[node]])
                node = self._ends[path[-1]]
            elif path:
                node = self._ends[path.pop() ^ 1]
                positions[node] += 1
            else:
                return False
        flow = min(self._capacities[edge] for edge in path)
        for edge in path:
            self._capacities[edge] -= flow
            self._capacities[edge ^ 1] += flow
        return True
