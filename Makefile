# Set-up only: what the steps do is in tools/setup, lab/, playbooks/ and tests/stages.yml.
SHELL := bash
ACTIVATE := source .venv/bin/activate

.PHONY: local test drills setup lock
local: setup ## a verified region on this machine
	$(ACTIVATE) && python -m lab up && ansible-playbook -i inventories/local playbooks/bootstrap.yml

test: setup ## all that CI runs, each stage within its budget
	$(ACTIVATE) && python -m tools.stages

drills: setup ## a drill of every fault, and every way in which a drill must be red
	$(ACTIVATE) && python -m lab up && DRILLS=all pytest tests/e2e/test_drill.py --durations 0

setup: .venv/.stamp

.venv/.stamp: requirements.lock bootstrap.lock tools/setup
	tools/setup

lock: setup ## take newer versions of the dependencies, as far as pyproject.toml allows
	$(ACTIVATE) && .bootstrap/bin/uv pip compile pyproject.toml --group dev --upgrade --universal --generate-hashes \
	  --no-emit-index-url --python-version 3.11 --custom-compile-command "make lock" --quiet --output-file requirements.lock
