#!/usr/bin/env bash
# Places an order for each outcome over HTTP, waits for its end, and prints a table. Exits with 1 if an outcome is not
# as it must be. Runs where the services can be reached (cluster/inside.sh).
set -euo pipefail

address() { kubectl get service --namespace shop "main-$1" --output jsonpath='http://{.spec.clusterIP}:{.spec.ports[?(@.name=="http")].port}'; }
orders=$(address order-service)
# Each run places orders of its own.
run=$(date +%s)
wrong=0

# A node may learn of a Service's pods a moment after they are ready.
ask() {
    curl --silent --noproxy '*' --max-time 40 --retry 30 --retry-delay 1 --retry-connrefused "$@" && return
    echo "no answer from ${*: -1} (curl: $?)" >&2
    return 1
}

# order NAME USER PRODUCT QUANTITY TOKEN EXPECTED-STATUS [EXPECTED-REASON]
order() {
    local name=$1 user=$2 product=$3 quantity=$4 token=$5 status=$6 reason=${7:-} began ended answer verdict=as-expected
    began=$(date +%s%3N)
    answer=$(jq -n --arg user "$user" --arg product "$product" --argjson quantity "$quantity" --arg token "$token" '{
            userId: $user, items: [{productId: $product, quantity: $quantity}],
            payment: {method: "credit_card", token: $token}
        }' | ask --header 'Content-Type: application/json' --header "Idempotency-Key: demo-$run-$name" \
        --data @- "$orders/v1/orders?wait=30s")
    ended=$(date +%s%3N)
    if ! jq -e --arg status "$status" --arg reason "$reason" \
        '.status == $status and (.reason // "") == $reason' <<<"$answer" >/dev/null; then
        verdict="WRONG: expected $status $reason"
        wrong=1
    fi
    jq -r --arg name "$name" --arg what "$quantity x $product" --arg millis "$((ended - began)) ms" --arg verdict "$verdict" \
        '[$name, .userId // "-", $what, .status // "no answer", .reason // "-", (.amount.value // "-"), $millis, $verdict] | @tsv' \
        <<<"$answer"
}

(
    printf 'ORDER\tUSER\tITEMS\tSTATUS\tREASON\tAMOUNT\tTOOK\tVERDICT\n'
    order success USER-12345 PROD-001 3 tok_ok CONFIRMED
    order insufficient-stock USER-002 PROD-003 1000 tok_ok REJECTED INSUFFICIENT_STOCK
    order payment-declined USER-004 PROD-001 1 tok_decline CANCELLED PAYMENT_DECLINED
    order unknown-product USER-003 PROD-999 1 tok_ok REJECTED PRODUCT_NOT_FOUND
    order unknown-user NOBODY PROD-001 1 tok_ok REJECTED USER_NOT_FOUND
    exit "$wrong"
) | column -t -s "$(printf '\t')"

# The status of the resources follows within seconds.
shows() { # OBJECT PATH ADDRESS FIELD
    kubectl wait --namespace shop "$1" --timeout=30s >/dev/null \
        --for=jsonpath="{.status.$2}=$(ask "$3" | jq -r ".$4")"
}
for status in confirmed rejected cancelled; do
    shows orderworkflow/main "orders.$status" "$orders/v1/orders/summary" "$status"
done
shows virtualstock/main totals.available "$(address inventory-service)/v1/stock/summary" totals.available
