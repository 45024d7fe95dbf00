"""Who a request is about: from what it names to all that the person is known by, through declared links.

The walk asks every store for the records of what is new, and goes on until nothing new appears. It is kept as
a graph, with masks in place of values, so that a person can see why a device counts as somebody's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from privacy_assets.dsar.stores.protocol import Identifier, Identifiers, Store
from privacy_assets.masking import mask

MOST_STEPS = 8
MOST_IDENTIFIERS = 1_000
_SHOWN = 20


@dataclass(frozen=True)
class Node:
    """An identifier as it may be shown; ``steps`` is how many links it is away from what was asked with."""

    kind: str
    name: str
    steps: int


@dataclass(frozen=True)
class Edge:
    """That a record of one identifier names another in a field; both are places in ``Graph.nodes``."""

    source: int
    target: int
    store: str
    field: str


@dataclass(frozen=True)
class Graph:
    """What was walked; holds no raw value."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def as_json(self) -> dict[str, Any]:
        """For the records of a request."""
        return {
            "nodes": [{"kind": each.kind, "name": each.name, "steps": each.steps} for each in self.nodes],
            "edges": [
                {"from": each.source, "to": each.target, "store": each.store, "field": each.field}
                for each in self.edges
            ],
        }

    def lines(self) -> list[str]:
        """For a person: ``email ja••••om → customer_id ••••  (crm.id)``."""
        shown = [f"{each.kind} {each.name}" for each in self.nodes]
        return [
            f"{shown[each.source]} → {shown[each.target]}  ({each.store}.{each.field})" for each in self.edges
        ]


@dataclass(frozen=True)
class Resolved:
    """All that the subject is known by, and how it was found out."""

    identifiers: Identifiers
    graph: Graph


class LimitExceeded(Exception):  # noqa: N818  # what happened
    """The links lead too far to be one person's; ``graph`` is what was walked."""

    def __init__(self, said: str, graph: Graph) -> None:
        super().__init__(said)
        self.graph = graph


def resolve(
    seed: Mapping[str, Iterable[str]],
    stores: Sequence[Store],
    *,
    steps: int = MOST_STEPS,
    most: int = MOST_IDENTIFIERS,
    name: Callable[[Identifier], str] = lambda identifier: mask(identifier.value),
) -> Resolved:
    """Walk the links from ``seed`` until nothing new appears; ``name`` gives what an identifier is shown as.

    Raises LimitExceeded beyond ``steps`` links or ``most`` identifiers, and what a store raises: a walk that
    misses a store would leave data behind.
    """
    walk = _Walk(name, most)
    for kind, values in seed.items():
        for value in values:
            walk.add(Identifier(kind, value), 0)
    fresh = list(walk.places)
    step = 0
    while fresh:
        step += 1
        before = len(walk.places)
        asked = together(fresh)
        for store in stores:
            wanted = {kind: values for kind, values in asked.items() if kind in store.kinds}
            if wanted:
                walk.follow(store.name, store.find(wanted).links, step)
        fresh = list(walk.places)[before:]
        if fresh and step > steps:
            raise LimitExceeded(_too_far(walk, f"links go on after {steps} steps"), walk.graph())
    return Resolved(together(walk.places), walk.graph())


def together(identifiers: Iterable[Identifier]) -> Identifiers:
    """The values of each kind; addresses also in lower case, as mail knows no difference."""
    found: dict[str, set[str]] = {}
    for kind, value in identifiers:
        if not value:
            continue
        found.setdefault(kind, set()).add(value)
        if kind == "email":
            found[kind].add(value.lower())
    return {kind: frozenset(values) for kind, values in found.items()}


class _Walk:
    def __init__(self, name: Callable[[Identifier], str], most: int) -> None:
        self._name, self._most = name, most
        self.places: dict[Identifier, int] = {}
        self._nodes: list[Node] = []
        self._edges: dict[Edge, None] = {}

    def add(self, identifier: Identifier, steps: int) -> int:
        place = self.places.get(identifier)
        if place is None:
            if len(self._nodes) >= self._most:
                raise LimitExceeded(
                    _too_far(self, f"links lead to more than {self._most:,} identifiers"), self.graph()
                )
            place = self.places[identifier] = len(self._nodes)
            self._nodes.append(Node(identifier.kind, self._name(identifier), steps))
        return place

    def follow(self, store: str, links: Iterable[Any], steps: int) -> None:
        for source, target, field in sorted(links):
            one, other = self._as_asked(source), self._as_asked(target)
            if other.value and one != other:
                known = self.add(one, max(0, steps - 1))
                self._edges[Edge(known, self.add(other, steps), store, field)] = None

    def _as_asked(self, source: Identifier) -> Identifier:
        """The lower-case form of an address is no node of its own."""
        if source in self.places or source.kind != "email":
            return source
        same = (each for each in self.places if each.kind == "email" and each.value.lower() == source.value)
        return next(same, source)

    def graph(self) -> Graph:
        return Graph(tuple(self._nodes), tuple(self._edges))


def _too_far(walk: _Walk, what: str) -> str:
    graph = walk.graph()
    shown = "\n".join(graph.lines()[-_SHOWN:])
    return (
        f"identity: {what}, which is more than one person's; take the link that leads astray out of "
        f"'links' in estate.yaml. The last of {len(graph.edges)} links:\n{shown}"
    )
