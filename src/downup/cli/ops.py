"""`downup ops`."""

from __future__ import annotations

from downup.cli.console import output, say, table


def ops() -> None:
    """List the operators: what each does to a size, on which types, at what cost."""
    from downup.catalog import FAMILIES, OPERATORS, SIZE_WORDS

    console = output()
    made = table("", "operator", "", "family", "rows out, of n", "types", "cost", text_columns=6)
    arrows = {"down": "↓", "up": "↑"}
    for row in sorted(OPERATORS, key=lambda row: list(FAMILIES).index(row.family)):
        types = ", ".join(row.types)
        made.add_row(row.name, arrows[row.direction], row.family, row.size, types, row.cost)
    console.print(made)
    for family, meaning in FAMILIES.items():
        say(console, f"  {family}: {meaning}")
    say(console, "In sizes: " + "; ".join(f"{name} {meaning}" for name, meaning in SIZE_WORDS.items()))
