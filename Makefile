# What each target does is in scripts/ of the same name.

.PHONY: help setup test simulate soak demo adminer bench fmt lint install clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## install what building and testing need, if it is missing
	@scripts/setup

test: ## lints and every test
	@scripts/test

simulate: ## random schedules against the engine: make simulate N=1000000 SEED=1
	@seed=$(or $(SEED),$$(date +%s)); echo "from seed $$seed on"; \
		SIMULATE_N=$(or $(N),200000) SIMULATE_SEED=$$seed cargo test --release -p engine --test simulator random -- --nocapture

soak: ## random load on both sides, faults and kills, all checked: make soak MINUTES=60 SOAK_SEED=1
	@MINUTES=$(or $(MINUTES),60) SOAK_SEED=$(SOAK_SEED) scripts/soak

demo: ## a private Postgres and a local Sheets server, and two-way sync between them
	@scripts/demo

adminer: ## Adminer in the browser, on the running demo's database
	@scripts/adminer

bench: ## the figures in bench/RESULTS.md, measured again
	@scripts/bench

fmt: ## format the code
	@cargo fmt --all

lint: ## formatting and lints
	@scripts/lint

install: setup ## build for release and install into the Postgres that pg_config names
	@scripts/install

clean: ## remove what was built, and the demo
	@scripts/clean
