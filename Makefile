# SPDX-License-Identifier: Apache-2.0
# The same verbs for people and for CI. Each installs what it needs and says what is missing.

SHELL := /bin/bash
.PHONY: help build release demo demo-stop test guests packets dev tidy bench simulate property docs image clean

help: ## these lines
	@echo "Apus: OpenStack as one program. Verbs:"; echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r verb what; do \
		printf '  make %-10s %s\n' "$$verb" "$$what"; done
	@echo; echo "To begin: make demo (a real cloud, a real server; needs root) or make test."

build: ## debug build
	@scripts/setup build
	@. scripts/shell.sh && need_swift && swift_build

release: ## one optimised, stripped binary at dist/apus
	@scripts/release

demo: ## a cloud, a network, a server, a login; leaves the cloud running (needs root)
	@scripts/demo

demo-stop: ## stop the cloud of make demo
	@scripts/demo stop

test: ## everything that must hold; ROOM=Compute only one room's tests
	@scripts/test $(if $(ROOM),$(ROOM)Tests)

dev: ## a cloud in the foreground: fake hypervisor and network, no root; ARGS="..." go to apus up
	@scripts/dev $(ARGS)

guests: ## the long scenarios: real guests, packets, power actions, crashes, Ansible (needs root)
	@SCENARIOS=all scripts/test

packets: ## packets through OVN: one, two and three hosts with namespaces as guests (needs root)
	@scripts/packets

tidy: ## formatter in strict mode and the Tidy test
	@scripts/tidy

bench: ## the budgets, measured on this machine
	@Benchmarks/run

simulate: ## simulated clouds; SEED=42 repeats one, APUS_SEEDS=1000 runs so many
	@scripts/simulate $(SEED)

property: ## Placement's candidates against a plain reference, 100,000 random questions; CASES=n
	@scripts/property $(CASES)

docs: ## the API reference, the policy sample and the configuration sample, from the code
	@scripts/docs

image: ## the guest image the demo and the tests boot
	@Examples/guest-image/build

clean: ## remove what was built (the clients in .venv and the guest's packages stay)
	rm -rf .build dist .cache/test .cache/bench
