#!/usr/bin/env bash
# Prints NAME=ADDRESS of what the cluster serves, as reachable from `make shell`. What is not there yet is left out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# print NAME PREFIX NAMESPACE SERVICE PORT: the port by its name, as a Service may have several in any order.
print() {
    local address
    address=$("$here/inside.sh" kubectl get service --namespace "$3" "$4" --ignore-not-found \
        --output jsonpath="{.spec.clusterIP}:{.spec.ports[?(@.name==\"$5\")].port}")
    case $address in
    '') ;;
    *:) echo "endpoints: Service $3/$4 has no port $5" >&2 ;;
    *) echo "$1=$2$address" ;;
    esac
}

print KAFKA '' kafka kbnt-kafka-bootstrap tcp-clients
print ORDERS http:// shop main-order-service http
print INVENTORY http:// shop main-inventory-service http
print USERS http:// shop main-user-service http
