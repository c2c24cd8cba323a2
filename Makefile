.DEFAULT_GOAL := help
.PHONY: help demo test check generate simulate mutants chaos chaos-mutants soak bench bench-recovery bench-saga scale upgrade-test up down images kubeconfig kubectl shell endpoints

CLUSTER := e2e/cluster
CARGO := e2e/cargo.sh
SEEDS ?= 10000
N ?= 1000
FAULTS ?= 200
ORDERS ?= 200000
DURATION ?= 2h
CUT_EVERY ?= 5m
KILL_EVERY ?= 1m
PLOT ?= docs/soak.svg
FROM ?= e4d750c
EVENTS ?= 1000000

## The two commands

demo: ## A cluster with Kafka and the operator, and orders through all of it; stays up until `make down`
	@e2e/demo.sh

test: ## All tests: on the machine, on an API server, on a broker and on a cluster
	@e2e/test.sh

## Development

check: ## Before every commit: what CI checks without running the product, and the unit tests
	@e2e/check/check.sh

generate: ## Write every generated file: CRDs, charts as rendered, API description, examples in the docs
	@e2e/check/generate.sh

simulate: ## Run the whole saga under SEEDS=N seeds of faults
	@$(CARGO) run --release --locked --quiet --bin kbnt-simulate -- --seeds $(SEEDS)

mutants: ## Plant bugs one by one, and show that a test or the simulator catches each
	@$(CARGO) run --release --locked --quiet --bin kbnt-mutants

chaos: ## Kill and break services and broker under load, FAULTS=N times over ORDERS=N, and check the log
	@e2e/chaos/run.sh faults --faults $(FAULTS) --orders $(ORDERS)

chaos-mutants: ## Switch off the fence, and then a dedupe, and show that the check of a chaos run tells of it
	@e2e/chaos/mutants.sh

soak: ## Orders for DURATION=2h at RATE=1000 a second, a kill -9 every KILL_EVERY=1m, a cut of the log every CUT_EVERY=5m; PLOT=docs/soak.svg
	@e2e/chaos/soak.sh --duration $(DURATION) --rate $(or $(RATE),1000) --kill-every $(KILL_EVERY) --cut-every $(CUT_EVERY) --plot $(PLOT)

bench: ## Measure the ledger, the simulator, the saga and buyers over HTTP
	@e2e/bench.sh

bench-saga: ## Measure one broker and all six services at RATE=3000 orders a second, beside the broker's own benchmark; AGAIN=N keys repeated, OVERLOAD=N times the rate
	@e2e/bench/saga.sh

bench-recovery: ## Measure how soon inventory-service is back with EVENTS=N in its log, and memory while services catch up
	@e2e/bench/recovery.sh --events $(EVENTS)

scale: ## Measure the operator with N=1000 VirtualStocks and as many OrderWorkflows, beside controller-runtime
	@e2e/scale.sh $(N)

upgrade-test: ## Upgrade from the revision FROM=e4d750c to the present one while orders come in: none may be lost
	@e2e/upgrade.sh $(FROM)

## Cluster

up: ## Bring up the test cluster with Kafka and the project's images (KBNT_CLUSTER=docker|built, KBNT_E2E_KUBECONFIG=FILE)
	@$(CLUSTER)/up.sh

down: ## Remove every trace of it; what was built stays cached
	@$(CLUSTER)/down.sh

images: ## Build the project's container images and load them into the cluster
	@$(CLUSTER)/images.sh

kubeconfig: ## Print the path of the cluster's kubeconfig; it works inside `make shell`
	@$(CLUSTER)/inside.sh printenv KUBECONFIG

kubectl: ## Run kubectl on the cluster: make kubectl ARGS='get pods -A'
	@$(CLUSTER)/inside.sh kubectl $(ARGS)

shell: override export CMD := $(value CMD)
shell: ## Open a shell where the cluster can be reached, or run CMD='...' there
	@if [ -n "$$CMD" ]; then $(CLUSTER)/inside.sh bash -c "$$CMD"; else $(CLUSTER)/inside.sh; fi

endpoints: ## Print NAME=ADDRESS of Kafka and the services, as reachable from `make shell`
	@$(CLUSTER)/endpoints.sh

## Help

help: ## Show this
	@awk -F ':.*?## ' '/^## / { printf "\n%s\n", substr($$0, 4) } /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
