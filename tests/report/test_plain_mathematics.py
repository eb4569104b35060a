import re

import pytest

from collabtheory.claims.discovery import discover
from collabtheory.report.mathematics import plain, plain_lines, shortened
from collabtheory.report.tex import unicode_formula

FORMULAS = {
    # Operators have a space on both sides, signs have none.
    r"\mu - \bar e": "μ - ē",
    r"\mu-\bar e": "μ - ē",
    r"-A^*(m)": "-A*(m)",
    r"a = -b": "a = -b",
    r"(b, -a)": "(b, -a)",
    r"\pm x": "±x",
    # Whole numbers become raised and lowered digits; other scripts keep their mark.
    r"x^2 + \mu_1": "x² + μ₁",
    r"s_1^2": "s₁²",
    r"(H + 2\lambda_A I)^{-1}H": "(H + 2λ_A I)⁻¹ H",
    r"(\mu - m_b)^\top H": "(μ - m_b)ᵀ H",
    r"x^{12}_{34}": "x₃₄¹²",
    r"x_{ij}": "x_ij",
    r"x_{i,j}": "x_(i,j)",
    r"e^{v'/2}": "e^(v′/2)",
    r"e^{-h}": "e^(-h)",
    r"f''(x)": "f″(x)",
    # Sums and integrals.
    r"\sum_{i} e_i": "∑_i e_i",
    r"\frac{1}{n}\sum_{i=1}^n e_i^2": "1/n ∑_(i=1)^n e_i²",
    r"\int_0^\infty f\,dt": "∫_0^∞ f dt",
    r"\int\int g": "∫∫ g",
    # Fractions and roots keep the meaning that the line of a fraction gives them.
    r"\frac12\delta\frac{ab}{a+b}": "½ δ ab/(a + b)",
    r"\frac{a+b}{c}": "(a + b)/c",
    r"\frac{g_{ab}}{ab}": "g_ab/(ab)",
    r"a\log\frac{a+b}{a}": "a log((a + b)/a)",
    r"c\,\frac{1}{n}": "c (1/n)",
    r"\sqrt{k+1}": "√(k + 1)",
    r"1/\sqrt{k}": "1/√k",
    r"\sqrt{x^2}": "√(x²)",
    # Norms, bars and brackets.
    r"L_\phi\lVert x-y\rVert_1": "L_φ ‖x - y‖₁",
    r"\|a\| \|b\|": "‖a‖ ‖b‖",
    r"r = |d_u - d_v|": "r = |d_u - d_v|",
    r"P(a | b)": "P(a | b)",
    r"q(z|x) + |x|": "q(z | x) + |x|",
    r"KL(x\|p) \ge KL(y\|p)": "KL(x ‖ p) ≥ KL(y ‖ p)",
    r"\left(\frac{a}{b}\right)^2": "(a/b)²",
    r"\{q_u > s\} \cap \{q_v > t\}": "{q_u > s} ∩ {q_v > t}",
    r"\langle a,b\rangle^2": "⟨a, b⟩²",
    # No relation may get lost.
    r"x_u \ne x_v": "x_u ≠ x_v",
    r"0 \preceq H \preceq L I": "0 ≼ H ≼ L I",
    # Words.
    r"\mathrm{tr}\,\Sigma": "tr Σ",
    r"\mathbb{E}t = 0": "E t = 0",
    r"\operatorname{vol}(A)": "vol(A)",
    r"r_{\mathrm{share}}": "r_share",
    r"\max_i \lVert W_i\rVert": "max_i ‖W_i‖",
    r"\tanh^2 s": "tanh² s",
    r"\binom{n+1}{k}": "C(n + 1, k)",
    # What is not known stays as it is.
    r"2\unheardof x": r"2\unheardof x",
}
RELATIONS = {r"\le": "≤", r"\ge": "≥", r"\ne": "≠", "=": "=", "<": "<", ">": ">", r"\sim": "∼", r"\in": "∈"}


@pytest.mark.parametrize("tex", FORMULAS)
def test_formula_reads_as_people_write_it_in_a_line(tex):
    assert unicode_formula(tex) == FORMULAS[tex]


def test_prose_outside_dollar_signs_is_left_alone():
    assert plain(r"costs \alpha and 3 - 2, so $\alpha$") == r"costs \alpha and 3 - 2, so α"


def prose():
    for file in discover():
        one = file.statement
        steps = [step if isinstance(step, str) else step.text for step in one.proof]
        yield one.identifier, [one.title, one.text, *one.assumptions, *one.limits, *steps]


@pytest.mark.parametrize(
    ("identifier", "texts"), list(prose()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_formulas_of_the_statements_lose_nothing(identifier, texts):
    for formula in (found for text in texts for found in re.findall(r"\$([^$]+)\$", text)):
        written = unicode_formula(formula)
        assert "\\" not in written, f"{formula} has a macro that is not known"
        assert written.count("(") == written.count(")"), written
        for macro, sign in RELATIONS.items():
            pattern = rf"{re.escape(macro)}(?:q)?(?![a-zA-Z])" if macro[0] == "\\" else macro
            in_scripts_too = len(re.findall(pattern, formula))
            assert written.count(sign) >= in_scripts_too, f"{formula} lost {sign}: {written}"


def test_short_formulas_are_never_broken():
    lines = plain_lines(r"a word or two, then $z \sim N(\mu, \Sigma)$ and more", 30)
    assert lines == ["a word or two, then", "z ∼ N(μ, Σ) and more"]


def test_long_formulas_break_before_operators_outside_brackets():
    text = r"$\mu^2 - 2\mu S_1/n + S_2/n = (\mu - S_1/n)^2 + (S_2/n - (S_1/n)^2)$"
    lines = plain_lines(text, 40, "1. ", "   ")
    assert " ".join(line[3:] for line in lines) == plain(text)
    assert all(len(line) <= 40 for line in lines)
    assert all(line[3] in "=+-" for line in lines[1:])


def test_long_text_loses_its_middle_and_keeps_its_ends():
    text = " + ".join(f"term{i}" for i in range(100)) + " = 0"
    cut = shortened(text, 60)
    assert len(cut) <= 60
    assert cut.startswith("term0 + term1")
    assert cut.endswith("= 0")
    assert "…" in cut
    assert shortened("short", 60) == "short"
