.DEFAULT_GOAL := help
.PHONY: help up down images kubeconfig kubectl shell endpoints

CLUSTER := e2e/cluster

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

shell: export CMD := $(value CMD)
shell: ## Open a shell where the cluster can be reached, or run CMD='...' there
	@if [ -n "$$CMD" ]; then $(CLUSTER)/inside.sh bash -c "$$CMD"; else $(CLUSTER)/inside.sh; fi

endpoints: ## Print NAME=ADDRESS of Kafka and the services, as reachable from `make shell`
	@$(CLUSTER)/endpoints.sh

## Help

help: ## Show this
	@awk -F ':.*?## ' '/^## / { printf "\n%s\n", substr($$0, 4) } /^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
