"""The engine's rules as small state machines, explored completely.

``effects`` says when an effect may act twice, ``wakeups`` when a run may sleep for ever and
``endings`` when a run may end twice or lose count. Each has switches that break one rule; the tests
show that the rules hold in every reachable state and that no broken rule goes unnoticed.
"""
