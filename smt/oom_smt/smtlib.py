"""Finite questions as SMT-LIB 2 text, in the logic of bit-vectors without quantifiers (QF_BV).

The same question gives the same bytes in every process: nothing is printed in the order of a set, and
no solver prints it.
"""

from __future__ import annotations

from collections.abc import Mapping

from oom_smt.finite import Gate, Node, Question
from oom_spec.language.errors import SpecError

SHARED = "shared!"
"""Prefix of the names of parts that occur more than once; no object or field is called so."""
SYMBOLS = {
    Gate.NOT: "not",
    Gate.AND: "and",
    Gate.OR: "or",
    Gate.CHOOSE: "ite",
    Gate.EQUALS: "=",
    Gate.AT_LEAST: "bvuge",
    Gate.PLUS: "bvadd",
}


def smtlib(question: Question, header: Mapping[str, str], expected: str = "unsat") -> str:
    """The text of a question: a comment per line of ``header``, declarations by name, and one `check-sat`.

    ``expected``: ``sat`` or ``unsat``, what a solver should say.
    Raises `SpecError` for a name that cannot be quoted.
    """
    lines = ["; oomspec obligation, schema 1"]
    lines += [f"; {name}: {' '.join(text.split())}" for name, text in header.items()]
    lines += ["(set-logic QF_BV)", f"(set-info :status {expected})"]
    for node in sorted(question.variables, key=lambda each: each.name):
        lines.append(f"(declare-fun {quoted(node.name)} () {_sort(node)})")
    texts = _texts(question, lines)
    lines += [f"(assert {texts[number]})" for number in question.asserted]
    lines += ["(check-sat)", "(exit)"]
    return "\n".join(lines) + "\n"


def quoted(name: str) -> str:
    """A name as a quoted symbol. Raises `SpecError` where SMT-LIB has no way to write it."""
    if "|" in name or "\\" in name or not name.isprintable() or name.startswith(SHARED):
        raise SpecError(f"internal error: {name!r} cannot be a symbol of SMT-LIB")
    return f"|{name}|"


def _sort(node: Node) -> str:
    return f"(_ BitVec {node.width})" if node.width else "Bool"


def _texts(question: Question, lines: list[str]) -> list[str]:
    """The text of each node; those that occur more than once get a definition in ``lines`` and are named."""
    uses = [0] * len(question.nodes)
    for node in question.nodes:
        for arg in node.args:
            uses[arg] += 1
    texts: list[str] = []
    for number, node in enumerate(question.nodes):
        text = _text(node, [texts[arg] for arg in node.args])
        if node.args and uses[number] > 1:
            name = f"{SHARED}{number}"
            lines.append(f"(define-fun {name} () {_sort(node)} {text})")
            text = name
        texts.append(text)
    return texts


def _text(node: Node, args: list[str]) -> str:
    if node.gate is Gate.VARIABLE:
        return quoted(node.name)
    if node.gate is Gate.NUMBER:
        return f"#b{node.value:0{node.width}b}" if node.width else "true" if node.value else "false"
    return f"({SYMBOLS[node.gate]} {' '.join(args)})"


__all__ = ["quoted", "smtlib"]
