from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentops.agents.dependency_audit.policy import Policy
from agentops.agents.dependency_audit.standing import Standing, standing

POLICY = Policy(
    allowed_licences=("MIT", "Apache-*", "GPL-2.0-only WITH Classpath-exception-2.0"),
    denied_licences=("GPL-*", "Apache-1.1"),
)
NAMES = {"MIT": Standing.ALLOWED, "ISC": Standing.UNDECIDED, "GPL-3.0-only": Standing.DENIED}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", Standing.ALLOWED),
        ("Apache-2.0", Standing.ALLOWED),
        ("Apache-1.1", Standing.DENIED),
        ("ISC", Standing.UNDECIDED),
        ("MIT OR GPL-3.0-only", Standing.ALLOWED),
        ("MIT AND GPL-3.0-only", Standing.DENIED),
        ("MIT AND ISC", Standing.UNDECIDED),
        ("GPL-3.0-only OR ISC AND MIT", Standing.UNDECIDED),
        ("(GPL-3.0-only OR MIT) AND Apache-2.0", Standing.ALLOWED),
        ("GPL-2.0-only WITH Classpath-exception-2.0", Standing.ALLOWED),
        ("GPL-3.0-only WITH GCC-exception-3.1", Standing.DENIED),
    ],
)
def test_an_expression_stands_as_the_policy_says(expression: str, expected: Standing) -> None:
    assert standing(expression, POLICY) is expected


TREES = st.recursive(
    st.sampled_from(sorted(NAMES)).map(lambda n: (n, NAMES[n])),
    lambda inner: st.tuples(st.sampled_from(["AND", "OR"]), inner, inner).map(
        lambda t: (
            f"({t[1][0]} {t[0]} {t[2][0]})",
            (max if t[0] == "AND" else min)(t[1][1], t[2][1]),
        )
    ),
    max_leaves=8,
)


@given(TREES)
def test_and_takes_the_worst_and_or_the_best(tree: tuple[str, Standing]) -> None:
    expression, expected = tree

    assert standing(expression, POLICY) is expected
