"""Apply the rewriting rules until none finds anything more."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from downup.errors import ArgumentError, DataError
from downup.graph.facts import Facts
from downup.graph.folding import fold_constants
from downup.graph.nodes import collect_names, name_node, remove_dead_ends, remove_if_dead
from downup.graph.rules import RULES, Rule

# A rule moves a node past one other a round: no network comes near it, and rules that undo each other stop at it.
_MOST_ROUNDS = 1000


@dataclass(frozen=True)
class Change:
    """One thing that a rule did: the rule's name, and the node it began at."""

    rule: str
    node: str


def rewrite(model: ir.Model, rules: Collection[str] | None = None) -> list[Change]:
    """Rewrite a network, in place, into a cheaper one that computes the same in standard operators.

    Args:
        model: as `downup.graph.read` returns it.
        rules: names of the rules to apply; all of `downup.graph.RULES` unless given.

    Returns:
        What was changed, in order.

    Raises:
        ArgumentError: there is no rule of such a name.
        DataError: the rules came to no end.
    """
    unknown = sorted(set(rules or ()) - set(RULES))
    if unknown:
        raise ArgumentError(f"rules names {', '.join(unknown)}; there are {', '.join(RULES)}")
    chosen = {name: rule for name, rule in RULES.items() if rules is None or name in rules}
    graph, facts = model.graph, Facts(model)
    collect_names(graph)
    changes: list[Change] = []
    for _ in range(_MOST_ROUNDS):
        found = _apply_once(graph, facts, chosen)
        if not found:
            break
        changes += found
    else:
        last = ", ".join(sorted({change.rule for change in found}))
        raise DataError(
            f"rewriting came to no end in {_MOST_ROUNDS} rounds, the last of them by {last}; leave one of these rules out"
        )
    fold_constants(graph)
    remove_dead_ends(graph)
    return changes


def _apply_once(graph: ir.Graph, facts: Facts, rules: Mapping[str, Rule]) -> list[Change]:
    """Try each rule on each node."""
    changes = []
    for name, rule in rules.items():
        for node in list(graph):
            # An earlier change of this round may have taken the node away, or left it to nobody.
            called = name_node(node)
            if node.graph is graph and _is_alive(node) and rule(node, facts):
                changes.append(Change(name, called))
                remove_if_dead(node)
    return changes


def _is_alive(node: ir.Node) -> bool:
    return any(value.uses() or value.is_graph_output() for value in node.outputs)
