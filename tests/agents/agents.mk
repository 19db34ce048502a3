# Real agents against a real model server: what the observer wrote is compared with the server's own log.
AGENTS := $(B)/agents
AGENTS_PY := $(AGENTS)/venv/bin/python

.PHONY: agents agents-setup agents-native agents-test agents-check
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

# Native agents: what is fetched (some 2 GB below build/parts), and what local Go and Rust toolchains build.
AGENT_PARTS := $(shell grep -o '"[a-z]*-[0-9][0-9.]*"' tests/agents/rows_native.py 2>/dev/null | tr -d '"' | sort -u)
GO_AGENT := $(wildcard tests/agents/clients/go_http/*)
RUST_AGENT := $(wildcard tests/agents/clients/rust_ureq*/*.* tests/agents/clients/rust_ureq/src/*)
agents-native: agents-setup
	@tests/locate/fetch.sh $(B)/parts $(AGENT_PARTS) || true
	@mkdir -p $(AGENTS)/bin
	@$(MAKE) --no-print-directory -k $(AGENTS)/bin/go-pie $(AGENTS)/bin/rust-ureq $(AGENTS)/bin/rust-symbols || true
$(AGENTS)/bin/go-pie: $(GO_AGENT)
	cd tests/agents/clients/go_http && go build -o $(abspath $(@D))/go-plain . && \
		go build -trimpath -ldflags='-s -w' -o $(abspath $(@D))/go-stripped . && \
		go build -trimpath -ldflags='-s -w' -buildmode=pie -o $(abspath $@) .
$(AGENTS)/bin/rust-ureq: $(RUST_AGENT)
	tests/agents/cargo-build tests/agents/clients/rust_ureq $(AGENTS)/rust
	strip -o $@ $(AGENTS)/rust/release/rust_ureq
$(AGENTS)/bin/rust-symbols: $(RUST_AGENT)
	tests/agents/cargo-build tests/agents/clients/rust_ureq_old $(AGENTS)/rust
	cp $(AGENTS)/rust/release/rust_ureq_old $@

## make agents       (sudo) observe every agent there is, native ones too: a table of all
agents:
	$(BUILD) all
	@tests/agents/run --group all

## make agents-test  (sudo) observe every agent, by --pid and by run
agents-test: all
	tests/agents/run

## make agents-check test the comparator itself (no root, no observer)
agents-check: agents-setup
	$(AGENTS_PY) -B tests/agents/test_compare.py
