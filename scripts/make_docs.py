"""Write docs/operators.md from the catalog: `python scripts/make_docs.py`."""

from __future__ import annotations

from pathlib import Path

from downup.catalog import FAMILIES, OPERATORS, SIZE_WORDS, Family, Operator

TARGET = Path(__file__).resolve().parent.parent / "docs" / "operators.md"


def operators_page() -> str:
    words = "\n".join(f"- `{word}`: {meaning}" for word, meaning in SIZE_WORDS.items())
    tables = "\n\n".join(_family(family, shared) for family, shared in FAMILIES.items())
    return f"""# Operators

Generated from `downup.catalog` by `scripts/make_docs.py`; `downup ops` prints the same rows.

Each family has its ways down and its ways up. The size rule gives output rows or columns in these words:

{words}

How padding makes `p`, and what `ceil_mode` and "same" change, is told in [geometry.md](geometry.md).

{tables}
"""


def _family(family: Family, shared: str) -> str:
    head = (
        f"## {family}: {shared}\n\n"
        "| operator | way | module | size | partner | types | cost per output sample | stands in for |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(_row(operator) for operator in OPERATORS if operator.family == family)


def _row(operator: Operator) -> str:
    cells = (
        f"`{operator.name}`",
        operator.direction,
        f"`{_last(operator.module)}`",
        f"`{operator.size}`",
        f"`{operator.partner}`",
        ", ".join(operator.types),
        operator.cost,
        f"`{operator.peer.replace(':', '.')}`" if operator.peer else "",
    )
    return f"| {' | '.join(cells)} |"


def _last(path: str) -> str:
    return path.partition(":")[2]


if __name__ == "__main__":
    TARGET.write_text(operators_page(), encoding="utf-8")
    print(f"wrote {TARGET}")
