# Aliases for people who have make; the README's two commands need none of it.
PY = .venv/bin/python

.PHONY: install demo test check fix bench chaos

install:
	python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e '.[test]'

demo: install
	.venv/bin/notifier demo

test: install
	$(PY) -m pytest

check: install
	$(PY) -m pytest tests/test_house.py

fix: install
	.venv/bin/ruff check --fix notifier tests && .venv/bin/ruff format notifier tests

bench: install
	$(PY) tests/benchmarks/poll.py && $(PY) tests/benchmarks/replicas.py
	$(PY) tests/benchmarks/page.py

chaos: install
	$(PY) tests/chaos/chaos.py
