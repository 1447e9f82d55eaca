.DEFAULT_GOAL := help
SHELL := bash
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
SERVERS := go run ./internal/testserver/servers
# The packages with the longest tests, which begin first, so that none of them runs alone at the end. Vet is a part of lint. Three
# packages run at once: tests of servers wait most of the time (the root's take 0.54 of a processor).
LONG := . ./internal/torture ./durable ./internal/accept
# The packages whose tests read the source, with one goroutine: the race detector would only take time.
ALONE := ./internal/mutants ./internal/shape

RACE := go test -race -vet=off -json -timeout 25m

.PHONY: help test model-test fuzz lint shape smoke accept torture mutants vuln bench bench-test bench-peers bench-smoke examples-test otel-test dashboard-test cli-test deploy-test monitoring-test model image-test release-check release-snapshot

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

test: ## run all tests with the race detector, on real servers that it brings
	@set -o pipefail; { go test -vet=off -json $(ALONE) || true; \
	RAPID_CHECKS=$(or $(RAPID_CHECKS),30) $(SERVERS) $(RACE) -p 3 $(LONG) $$(go list ./... | grep -v -x -F "$$(go list $(ALONE))") || true; } | \
	RAPID_CHECKS=$(or $(RAPID_CHECKS),30) go run ./internal/testcount --packages $$(go list ./... | wc -l) $(RACE)

model-test: ## random sequences of calls against a plain model, 10,000 on each implementation (CHECKS=1000)
	RAPID_CHECKS=$(or $(CHECKS),10000) $(SERVERS) go test -count=1 -timeout 4h -v -run '^TestModel$$' ./durable/... ./hotset/... .

fuzz: ## each fuzz target for some seconds (TIME=60s)
	@bash scripts/fuzz.sh $(or $(TIME),10s)

lint: ## gofmt, go vet, staticcheck, and the shape of the source
	@out=$$(gofmt -l .); [ -z "$$out" ] || { echo "not gofmt-clean: $$out"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go vet -tags failpoint ./...
	go run ./internal/shape

shape: ## the sizes of functions and files, exported names without a comment or an Example
	go run ./internal/shape

bench-test: ## gofmt, go vet, staticcheck and the tests of the benchmarks' own module
	cd bench && go vet ./... && go run $(STATICCHECK) ./... && go mod tidy -diff && go test ./...

examples-test: ## go vet, staticcheck, go mod tidy and the tests of the examples that have a module of their own
	cd examples/integrations && go vet ./... && go run $(STATICCHECK) ./... && go mod tidy -diff && go test ./...

smoke: ## run the quick start for some seconds
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; go run ./examples/quickstart --data "$$dir" --tasks 300 --spread 2s --json

model: ## search the models of the protocol to the end with spin, and see each weakened rule fail (ARGS="--only NAME")
	go run ./internal/modelcheck $(ARGS)

accept: ## the heavy runs: 15 minutes of worker processes on real servers, not part of CI (ARGS="--scenario kill --json")
	go run ./internal/accept $(ARGS)

torture: ## worker processes under all faults, a minute or one round of them, on servers of its own (ARGS="--seed 7 --duration 5m --json")
	go run ./internal/torture $(ARGS)

mutants: ## break the code on purpose, one step at a time, and see a named test turn red (ONLY=name,name ARGS=--torture)
	$(SERVERS) go run ./internal/mutants $(if $(ONLY),--only $(ONLY)) $(ARGS)

vuln: ## look for known vulnerabilities in the dependencies
	go run ./internal/vuln $(ARGS)

bench: ## measure all scenarios at full size beside the peers: hours (RUNS=5 SCENARIO=create,send SYSTEM=all)
	cd bench && rm -f results.jsonl && go run . run --system $(or $(SYSTEM),all) --scenario $(or $(SCENARIO),all) --runs $(or $(RUNS),5) --json results.jsonl
	cd bench && go run . report --plots plots results.jsonl

otel-test: ## go vet, staticcheck and the tests of the module for OpenTelemetry
	cd otel && go vet ./... && go run $(STATICCHECK) ./... && bash ../scripts/tidy.sh && go test -race ./...

dashboard-test: ## go vet, staticcheck and the tests of the dashboard, in Chromium, which it brings
	cd dashboard && go vet ./... && go run $(STATICCHECK) ./... && bash ../scripts/tidy.sh && go test ./...

cli-test: ## go vet, staticcheck and the tests of the command triggerhook, on the embedded pair and on real servers
	cd cmd/triggerhook && go vet ./... && go run $(STATICCHECK) ./... && bash ../../scripts/tidy.sh && go test ./...

deploy-test: ## go vet, staticcheck and the tests of the Helm chart; the packages of Helm take minutes to build for the first time
	cd deploy && go vet ./... && go run $(STATICCHECK) ./... && go mod tidy -diff && go test ./...

monitoring-test: ## the rules, the dashboard and the ScaledObject: promtool, and that each metric exists
	cd monitoring && go vet ./... && go run $(STATICCHECK) ./... && go mod tidy -diff && go test ./...

bench-peers: ## measure beside the peers, some 12 minutes, and write tables and plot into README.md and docs/performance.md (RUNS=3)
	cd bench && rm -f results.jsonl && go build -o bench .
	cd bench && ./bench run --suite peers --runs $(or $(RUNS),1) --json results.jsonl
	cd bench && ./bench run --suite unflushed --flush=false --runs $(or $(RUNS),1) --json results.jsonl
	cd bench && ./bench publish results.jsonl

image-test: ## build the image of deploy, and run it as Kubernetes does, without a container engine: needs root
	$(SERVERS) bash deploy/image-test.sh

release-check: ## whether the command, the library, otel and dashboard install from the tags of a release, made in a copy (CI: only loaded)
	bash scripts/release-check.sh $(ARGS)

release-snapshot: ## build the binaries of a release in a copy, look into each archive, and leave them in dist; the first time for some 10 minutes (CI: ARGS=--here)
	bash scripts/release-check.sh --load -- bash scripts/release-build.sh $(ARGS) "$$(pwd)/dist"

bench-smoke: ## run each scenario small, for the library and the limit: to see that it works, never to judge a time
	cd bench && go run . run --n 500 --workers 2
