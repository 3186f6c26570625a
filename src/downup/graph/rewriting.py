"""Apply the rewriting rules until none finds anything more."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import onnx_ir as ir

from downup.errors import ArgumentError
from downup.graph.facts import Facts
from downup.graph.folding import fold_constants
from downup.graph.nodes import collect_names, name_node, remove_dead_ends, remove_if_dead
from downup.graph.rules import RULES


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
    """
    unknown = sorted(set(rules or ()) - set(RULES))
    if unknown:
        raise ArgumentError(f"rules names {', '.join(unknown)}; there are {', '.join(RULES)}")
    chosen = {name: rule for name, rule in RULES.items() if rules is None or name in rules}
    graph, facts = model.graph, Facts(model)
    collect_names(graph)
    changes: list[Change] = []
    while True:
        before = len(changes)
        for name, rule in chosen.items():
            for node in list(graph):
                # An earlier change of this round may have taken the node away, or left it to nobody.
                called = name_node(node)
                if node.graph is graph and _is_alive(node) and rule(node, facts):
                    changes.append(Change(name, called))
                    remove_if_dead(node)
        if len(changes) == before:
            break
    fold_constants(graph)
    remove_dead_ends(graph)
    return changes


def _is_alive(node: ir.Node) -> bool:
    return any(value.uses() or value.is_graph_output() for value in node.outputs)
