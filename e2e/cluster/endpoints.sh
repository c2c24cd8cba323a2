#!/usr/bin/env bash
# Prints NAME=ADDRESS of what the cluster serves, as reachable from `make shell`. What is not there yet is left out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# print NAME PREFIX NAMESPACE SERVICE
print() {
    local address
    address=$("$here/inside.sh" kubectl get service --namespace "$3" "$4" --ignore-not-found \
        --output jsonpath='{.spec.clusterIP}:{.spec.ports[0].port}')
    [ -z "$address" ] || echo "$1=$2$address"
}

print KAFKA '' kafka kbnt-kafka-bootstrap
print ORDERS http:// shop main-order-service
print INVENTORY http:// shop main-inventory-service
print USERS http:// shop main-user-service
