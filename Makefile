# Aliases for people who have make; the README's two commands need none of it.
PY = .venv/bin/python

.PHONY: install demo test explore check fix coverage bench chaos

install:
	python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e '.[test]'

demo: install
	.venv/bin/notifier demo

test: install
	$(PY) -m pytest

# The laws again, with other examples each time and ten times as many.
explore: install
	$(PY) -m pytest -m hypothesis --hypothesis-profile=exploring

check: install
	$(PY) -m pytest tests/test_house.py

fix: install
	.venv/bin/ruff check --fix notifier tests && .venv/bin/ruff format notifier tests

# Every branch of the domain, and 95 % of the rest; the chaos suite would be slow, and adds nothing. No part of the tests: it takes longer.
coverage: install
	$(PY) -m pytest --ignore=tests/chaos --cov --cov-report=
	$(PY) -m coverage report --skip-covered --include='notifier/domain/*' --fail-under=100
	$(PY) -m coverage report --skip-covered --omit='notifier/domain/*' --fail-under=95

bench: install
	$(PY) tests/benchmarks/poll.py && $(PY) tests/benchmarks/replicas.py
	$(PY) tests/benchmarks/page.py

chaos: install
	$(PY) tests/chaos/chaos.py
