# What can be done here; `make` alone lists it. Everything a target needs besides Rust and Node.js it fetches itself,
# into .cache, and says so.

CARGO := cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
# What lints and tests are built with, once for all of them: see Cargo.toml.
CI := --profile ci --workspace
# Clippy compiles what the tests run, so that lints cost no second pass over every crate below ours. `make lint` has that
# pass, and the documentation's.
LINTED := test programs units simulation pipelines dbt readme
$(LINTED): export RUSTC_WORKSPACE_WRAPPER := clippy-driver
$(LINTED): export CLIPPY_ARGS := -Dwarnings__CLIPPY_HACKERY__

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Fetch the prebuilt DuckDB library
	@scripts/setup

.PHONY: build
build: setup ## Build the hubspot-source command
	$(CARGO) build --release -p hubspot-source

.PHONY: release
release: ## Build and try the archive and the Python wheel of a release, into ./dist
	@scripts/release

.PHONY: functions
functions: ## Build the functions' zips of a release, and what deploys them, into ./dist; ARCHITECTURE=arm64 or x86_64 for one
	@scripts/release-functions $(ARCHITECTURE)

.PHONY: demo
demo: build ## Sync a fake HubSpot account into ./demo/demo.duckdb, change it, sync again
	@$(TARGET)/release/hubspot-source demo

.PHONY: generate
generate: setup ## Write template.yaml, docs/dictionary.md and tables of docs/deploy.md anew from the list of feeds
	@$(CARGO) run --quiet $(CI) --bin hubspot-source -- generate

.PHONY: lint
lint: setup ## Check format, lints, documentation, and the crates that we depend on
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(CI) --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(CI) --no-deps --quiet
	@scripts/deny

.PHONY: test
test: setup ## Run everything that proves it right: lints, tests, pipelines, HubSpot's own client
	$(CARGO) fmt --all --check
	@scripts/deny
	@# Tools are fetched while the programs are compiled.
	$(MAKE) --jobs=2 programs tools
	@# Pipelines wait for the fake account most of the time, units for engines of warehouses; the simulation takes what
	@# they leave: together they take little longer than one of them.
	$(MAKE) --jobs=3 --keep-going units pipelines simulation dbt readme
	$(CARGO) test $(CI) --doc
	PROFILE=ci tests/official-client/run
	$(MAKE) template shell

.PHONY: programs
programs: setup
	@# In one go, so that nothing is compiled with the features of one half, and again with those of the other.
	$(CARGO) build $(CI) --bins --tests

.PHONY: tools
tools:
	@scripts/setup --tests

# Cargo builds the same for all of these, since each is of the whole workspace.
PIPELINES := $(sort $(basename $(notdir $(wildcard tests/tests/*.rs))) $(notdir $(patsubst %/main.rs,%,$(wildcard tests/tests/*/main.rs))))

.PHONY: units
units: ## Run the tests of the crates by themselves; make test does it
	$(CARGO) test $(CI) --no-fail-fast --lib --bins --test behaviour --test corpus
	@scripts/setup --tests
	$(CURDIR)/.cache/tools/sqlfluff/bin/python shared/warehouse/judges/parse.py shared/warehouse/src
	$(CURDIR)/.cache/tools/fakesnow/bin/python -W ignore shared/warehouse/judges/execute.py shared/warehouse/src

.PHONY: simulation
simulation: ## Run seeds of mixed trouble; make test does it; SEEDS=10000 for more, SEED=17 for one
	nice $(CARGO) test $(CI) --test simulation

.PHONY: pipelines
pipelines: ## Run whole pipelines against the fake account; make test does it
	$(CARGO) test $(CI) --no-fail-fast $(foreach name,$(filter-out simulation,$(PIPELINES)),--test $(name))

TOOLS := $(CURDIR)/.cache/tools

.PHONY: dbt
dbt: ## Have dbt build what hubspot-source dbt writes; make test does it
	$(CARGO) build $(CI) --bins
	@scripts/setup --tests
	tests/dbt/run

.PHONY: readme
readme: ## Run the commands of README.md and two pages, and follow all links; make test does it
	$(CARGO) build $(CI) --bins
	@scripts/setup --tests
	tests/readme/run

.PHONY: bench
bench: setup ## Measure what a run costs, beside the floor; BENCH="--scale 0.1 --only contacts" for a part
	@$(CARGO) build --release --workspace --bins
	@$(TARGET)/release/bench $(BENCH)

.PHONY: template
template: ## Check template.yaml and deploy/: SAM, cfn-lint, checkov, Terraform, and what must hold in them
	@scripts/setup --tests
	SAM=$(TOOLS)/sam/bin/sam CFN_LINT=$(TOOLS)/sam/bin/cfn-lint CHECKOV=$(TOOLS)/checkov/bin/checkov \
		MOTO_SERVER=$(TOOLS)/moto/bin/moto_server tests/template/run
	HADOLINT=$(TOOLS)/hadolint/bin/hadolint PYTHON=$(TOOLS)/checkov/bin/python tests/deploy/run

.PHONY: shell
shell: ## Check the shell scripts by shellcheck
	@scripts/setup --tests
	$(TOOLS)/shellcheck/bin/shellcheck --severity=style $$(grep -lE '^#!.*(bash|sh)$$' .ci/run scripts/* tests/*/run)

.PHONY: package
package: ## Build the Lambda functions as they are deployed, with the SAM CLI; ARCHITECTURE=x86_64 or arm64
	@scripts/setup --tests
	PATH="$(TOOLS)/moto/bin:$$PATH" SAM_CLI_TELEMETRY=0 $(TOOLS)/sam/bin/sam build --parameter-overrides Architecture=$(or $(ARCHITECTURE),arm64)
