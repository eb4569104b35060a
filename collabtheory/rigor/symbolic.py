"""Identities by computer algebra, and inequalities that are sums of squares (sympy), or decided by z3."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import sympy

from collabtheory.errors import InvalidInput
from collabtheory.rigor.compare import Decision
from collabtheory.rigor.finding import Finding, Means

Z3_MILLISECONDS = 20_000
POINTS = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
"""Where two sides that do not simplify to each other are compared: distinct primes, to hit no coincidence."""


def identity(left: sympy.Expr, right: sympy.Expr) -> Finding:
    """Decide ``left == right`` for all values of their symbols.

    True if the difference simplifies to 0; false if it differs from 0 at one of two points (which is given); else
    undecided.

    Examples
    --------
    >>> x, y = sympy.symbols("x y")
    >>> identity((x + y) ** 2, x**2 + 2 * x * y + y**2).decision.value
    'certainly true'
    """
    difference = sympy.simplify(sympy.expand(left - right))
    text = f"{sympy.sstr(left)} = {sympy.sstr(right)}"
    if difference == 0:
        return Finding(Means.SYMBOLIC, Decision.TRUE, 1, f"the difference of {text} simplifies to 0", margin=0.0)
    for start in (0, len(POINTS) // 2):
        point = _point(difference, start)
        gap = difference.subs(point)
        named: dict[str, float | int | str] = {str(symbol): str(value) for symbol, value in point.items()}
        if gap.is_number and gap.is_zero is False and abs(gap.evalf(30)) > sympy.Float("1e-20"):
            worst = named | {"difference": str(gap)}
            return Finding(Means.SYMBOLIC, Decision.FALSE, 1, f"{text} fails at a point", worst, -float(abs(gap)))
    return Finding(Means.SYMBOLIC, Decision.UNDECIDED, 1, f"{text}: not simplified to 0", named)


def identities(pairs: Sequence[tuple[sympy.Expr, sympy.Expr]]) -> Finding:
    """Decide several identities at once; the first that is not true is reported."""
    if not pairs:
        raise InvalidInput("no identity to decide")
    findings = [identity(left, right) for left, right in pairs]
    failed = next((finding for finding in findings if finding.decision is not Decision.TRUE), None)
    if failed is not None:
        return failed
    detail = f"{len(findings)} identities simplify to 0" if len(findings) > 1 else findings[0].detail
    return Finding(Means.SYMBOLIC, Decision.TRUE, len(findings), detail, margin=0.0)


def sum_of_squares(expression: sympy.Expr, terms: Sequence[tuple[sympy.Expr, sympy.Expr]]) -> Finding:
    """Decide ``expression >= 0`` from a certificate: ``expression = sum c_k q_k^2`` with every ``c_k >= 0``.

    Parameters
    ----------
    expression
        What is claimed to be nonnegative.
    terms
        Pairs ``(c_k, q_k)``. Each ``c_k`` must be seen to be nonnegative, and each ``q_k`` to be real, by sympy from
        the assumptions on their symbols (``nonnegative=True``, ``positive=True``, ``real=True``).

    Examples
    --------
    >>> x, y = sympy.symbols("x y", real=True)
    >>> sum_of_squares(x**2 + y**2 - 2 * x * y, [(1, x - y)]).decision.value
    'certainly true'
    """
    certificate = sum((c * q**2 for c, q in terms), sympy.Integer(0))
    unsigned = [c for c, _ in terms if sympy.sympify(c).is_nonnegative is not True]
    if unsigned:
        return Finding(Means.POLYNOMIAL, Decision.UNDECIDED, 1, f"cannot see that {unsigned[0]} >= 0")
    # The square of an imaginary number is negative.
    unreal = [q for _, q in terms if sympy.sympify(q).is_extended_real is not True]
    if unreal:
        return Finding(Means.POLYNOMIAL, Decision.UNDECIDED, 1, f"cannot see that {unreal[0]} is real")
    found = identity(expression, certificate)
    text = f"{sympy.sstr(expression)} = {sympy.sstr(certificate)} >= 0"
    # A wrong certificate refutes itself, not the inequality; a negative value refutes the inequality.
    decision = found.decision if found.decision is Decision.TRUE else _sign_at_points(expression)
    return Finding(Means.POLYNOMIAL, decision, 1, f"sum of squares: {text}", found.worst, found.margin)


def implied(assumptions: Sequence[sympy.Expr], conclusion: sympy.Expr, *, timeout: int = Z3_MILLISECONDS) -> Finding:
    """Decide with z3 whether polynomial relations imply another, over the reals.

    Parameters
    ----------
    assumptions, conclusion
        sympy relations (``x >= 0``, ``sympy.Eq(...)``) between polynomials with rational coefficients; anything else
        raises ``InvalidInput``.
    timeout
        Milliseconds before z3 answers "unknown".

    Returns
    -------
    Finding
        ``TRUE`` if the negation is unsatisfiable, ``FALSE`` with z3's model if not, ``UNDECIDED`` if z3 gives up or is
        not installed (the detail then says how to install it).
    """
    if importlib.util.find_spec("z3") is None:
        return Finding(
            Means.POLYNOMIAL, Decision.UNDECIDED, 0, "z3 is not installed: pip install 'collabtheory[polynomial]'"
        )
    import z3

    names = {str(s): z3.Real(str(s)) for e in (*assumptions, conclusion) for s in e.free_symbols}
    solver = z3.Solver()
    solver.set("timeout", timeout)
    for relation in assumptions:
        solver.add(_to_z3(relation, names))
    solver.add(z3.Not(_to_z3(conclusion, names)))
    answer = solver.check()
    text = f"{', '.join(map(sympy.sstr, assumptions))} imply {sympy.sstr(conclusion)}"
    if answer == z3.unsat:
        return Finding(Means.POLYNOMIAL, Decision.TRUE, 1, f"z3: {text}")
    if answer == z3.sat:
        model = solver.model()
        worst = {str(variable): str(model[variable]) for variable in model}
        return Finding(Means.POLYNOMIAL, Decision.FALSE, 1, f"z3 refutes: {text}", worst)
    return Finding(Means.POLYNOMIAL, Decision.UNDECIDED, 1, f"z3 gave up: {text}")


def _to_z3(expression: sympy.Basic, names: Mapping[str, Any]) -> Any:
    """Translate node by node, so that rational numbers stay exact."""
    import z3

    if isinstance(expression, sympy.Rational):
        return z3.Q(int(expression.p), int(expression.q))
    if isinstance(expression, sympy.Symbol):
        return names[str(expression)]
    parts = [_to_z3(part, names) for part in expression.args]
    if isinstance(expression, sympy.Add):
        return functools.reduce(operator.add, parts)
    if isinstance(expression, sympy.Mul):
        return functools.reduce(operator.mul, parts)
    if isinstance(expression, sympy.Pow) and expression.exp.is_Integer and expression.exp > 0:
        return functools.reduce(operator.mul, [parts[0]] * int(expression.exp))
    if type(expression) in _RELATIONS:
        return _RELATIONS[type(expression)](*parts)
    raise InvalidInput(f"{sympy.sstr(expression)} is no polynomial relation with rational coefficients")


_RELATIONS = {
    sympy.Eq: operator.eq,
    sympy.Ne: operator.ne,
    sympy.Le: operator.le,
    sympy.Lt: operator.lt,
    sympy.Ge: operator.ge,
    sympy.Gt: operator.gt,
}


def _point(expression: sympy.Expr, start: int = 0) -> dict[sympy.Symbol, sympy.Rational]:
    symbols = sorted(expression.free_symbols, key=str)
    values = itertools.cycle(POINTS[start:] + POINTS[:start])
    # Variables that have to lie below 1 (weights, probabilities) get 1/p.
    return {
        s: sympy.Rational(1, next(values)) if s.is_extended_real is None else sympy.Integer(next(values))
        for s in symbols
    }


def _sign_at_points(expression: sympy.Expr) -> Decision:
    value = expression.subs(_point(expression))
    return Decision.FALSE if value.is_number and value.is_negative else Decision.UNDECIDED
