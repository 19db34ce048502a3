# Real agents against a real model server: what the observer wrote is compared with the server's own log.
AGENTS := $(B)/agents
AGENTS_PY := $(AGENTS)/venv/bin/python

.PHONY: agents-setup agents-test agents-check
## make agents-setup install the pinned SDKs and frameworks below build/agents (python3-venv, npm, openssl needed)
agents-setup: $(AGENTS)/.python $(AGENTS)/.node

# Debian's own interpreter: its libssl is what most Python agents on such a host use.
$(AGENTS)/.python: tests/agents/requirements.txt
	@mkdir -p $(AGENTS)
	test -x $(AGENTS_PY) || /usr/bin/python3 -m venv $(AGENTS)/venv
	$(AGENTS_PY) -m pip install -q --disable-pip-version-check --no-deps -r $<
	@touch $@

$(AGENTS)/.node: tests/agents/package.json tests/agents/package-lock.json
	@mkdir -p $(AGENTS)
	cp tests/agents/package.json tests/agents/package-lock.json tests/agents/.npmrc $(AGENTS)/
	cd $(AGENTS) && npm ci --silent
	@touch $@

## make agents-test  (sudo) observe every agent, by --pid and by run
agents-test: all
	tests/agents/run

## make agents-check test the comparator itself (no root, no observer)
agents-check: agents-setup
	$(AGENTS_PY) -B tests/agents/test_compare.py
