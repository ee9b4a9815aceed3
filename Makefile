# The developers' verbs. None is needed to use the product: see bin/up and bin/test.
.PHONY: check bench chaos docs up test

check: ; bin/check

bench: ; . bin/environment && environment --dev && .venv/bin/python -m benchmarks

chaos: ; bin/test -m chaos --chaos-seconds=600 tests/crash

docs: ; bin/test tests/docs

up: ; bin/up

test: ; bin/test
