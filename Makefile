# Thin names for the scripts, which run without make as well: `sh scripts/setup`.
# Arguments: make run ARGS="--tcp-addr 127.0.0.1:9100", make test ARGS="-k breaker".
.PHONY: help run setup test test-clients faults e2e packages deploy-test check fmt bench bare lock

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1	/p' Makefile | expand -t 14

run: ## set up when needed, then start brainrouter
	@exec sh scripts/run $(ARGS)

setup: ## leave .venv/bin/brainrouter ready
	@exec sh scripts/setup

test: ## the checks and every test that needs only Python
	@exec sh scripts/test $(ARGS)

test-clients: ## the seven real harnesses through the daemon (npm; the first time downloads 2 GB)
	@exec sh scripts/test-clients $(ARGS)

faults: ## everything that must be survived, for the whole of its time (45 minutes); writes docs/faults.md
	@exec sh scripts/faults $(ARGS)

e2e: ## the tests in a real browser (installs Chromium by apt as root)
	@exec sh scripts/e2e $(ARGS)

packages: ## wheel and source package, built, installed by pip and uv in empty homes, and started (PyPI)
	@exec sh scripts/packages $(ARGS)

deploy-test: ## install, use and remove the whole on machines of its own (root, apt; 20 minutes)
	@exec sh scripts/deploy-test $(ARGS)

check: ## style, types, layers, shell scripts; runs no tests
	@exec sh scripts/check

fmt: ## put the code into the house's form
	@exec sh scripts/fmt

bench: ## measure what the proxy adds to a request, beside nginx and peers (npm, PyPI; 1 GB the first time)
	@exec sh scripts/bench $(ARGS)

bare: ## try the set-up in bare Debian systems (root, debootstrap)
	@exec sh scripts/bare $(ARGS)

lock: ## resolve the dependencies anew and write the locks
	@exec sh scripts/lock $(ARGS)
