# The targets that people and CI call. `make help` lists them.
.PHONY: help build release check format docs test test-full bench demo clean

help: ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+): *## */\1\t/' | expand -t 14

build: ## debug build of everything
	swift build

release: ## optimised postern and postern-init
	swift build -c release --product postern
	swift build -c release --product postern-init

check: ## the rules of the house, each first seen to fail
	scripts/check --self-test
	scripts/check

format: ## format all Swift files in place
	swift format format --in-place --parallel --recursive Package.swift Sources Tests

docs: ## make the pages that are made from the code
	swift build --product postern
	.build/debug/postern docs configuration > docs/configuration.md
	.build/debug/postern docs policy > docs/policy-reference.md
	.build/debug/postern sandbox policy controls strict --markdown > docs/controls.md
	.build/debug/postern docs hardening > docs/hardening.md

test: ## everything, with reduced counts
	scripts/test

test-full: ## everything, with full counts; writes docs/test-report.md
	scripts/test --full

bench: ## one table of measurements
	scripts/bench

demo: ## the main job on this machine
	scripts/demo

clean: ## remove what was built
	rm -rf .build
