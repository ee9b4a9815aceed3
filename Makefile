# The developers' verbs. None is needed to use the product: see bin/up and bin/test.
.PHONY: check bench chaos docs up test

check: ; bin/check

bench: ; . bin/environment && environment --dev && .venv/bin/python -m benchmarks

chaos: ; . bin/environment && environment --dev && .venv/bin/python -m tests.chaos --seconds 600

docs: ; bin/test tests/docs

up: ; bin/up

test: ; bin/test
