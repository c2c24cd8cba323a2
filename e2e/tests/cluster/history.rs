//! The history of orders, on a volume of its own for each pod of order-service.

use std::time::Duration;

use kbnt_e2e::harness::{Failure, Shop, Volumes, until};
use serde_json::json;

/// How long a pod may take to be replaced, and its history to be built.
const REPLACED: Duration = Duration::from_mins(3);

/// What order-service answers from its history alone.
const SEARCH: &str = "/v1/orders?user=USER-12345";

/// The claims of the shop.
fn claims(shop: &Shop) -> Result<Vec<String>, Failure> {
    let names = shop.kubectl.run(&["get", "persistentvolumeclaims", "-o", "name"])?;
    Ok(names.lines().map(str::to_owned).collect())
}

#[test]
fn an_order_is_found_after_its_pod_and_volume_were_replaced() -> Result<(), Failure> {
    let shop = Shop::namespace("history")?;
    // One for the first pod, one for the next, and one to spare.
    let volumes = Volumes::make(&shop, 3)?;
    shop.apply_samples_with(|resource| {
        if resource["kind"] == "OrderWorkflow" {
            let claim = json!({"size": "64Mi", "storageClassName": volumes.class});
            resource["spec"]["readModel"] = json!({"volumeClaim": claim, "retention": "8760h"});
        }
    })?;
    shop.ready()?;
    let orders = shop.service("order-service")?;
    let items = [json!({"productId": "PROD-001", "quantity": 1})];
    let body = json!({"userId": "USER-12345", "items": items, "payment": {"method": "credit_card"}});
    // A node may learn of a Service's pods a moment after they are ready.
    let placed = until("the order", REPLACED, || {
        let order = orders.post("/v1/orders?wait=25s", "history", &body)?;
        if order.body["status"] == "CONFIRMED" { Ok(order.body) } else { Err(Failure(format!("{order:?}"))) }
    })?;
    let found = || {
        until("the order in the history", REPLACED, || {
            let list = orders.get(SEARCH)?;
            let listed = list.body["items"].as_array().into_iter().flatten();
            let found = listed.filter(|order| order["orderId"] == placed["orderId"]).count() == 1;
            if found { Ok(()) } else { Err(Failure(format!("{list:?}"))) }
        })
    };
    found()?;

    let before = claims(&shop)?;
    assert_eq!(before.len(), 1, "{before:?}");
    let pods = "app.kubernetes.io/component=order-service";
    shop.kubectl.run(&["delete", "pod", "--selector", pods, "--timeout=120s"])?;
    until("a volume of the new pod, and none of the old one", REPLACED, || {
        let now = claims(&shop)?;
        if now.len() == 1 && now != before { Ok(()) } else { Err(Failure(format!("{now:?}"))) }
    })?;
    shop.ready()?;
    found()?;

    shop.kubectl.run(&["delete", "orderworkflow,virtualstock", "--all", "--timeout=120s"])?;
    until("the claims are gone with their resource", REPLACED, || {
        let left = claims(&shop)?;
        if left.is_empty() { Ok(()) } else { Err(Failure(format!("{left:?}"))) }
    })?;
    volumes.delete()
}
