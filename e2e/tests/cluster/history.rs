//! The history of orders, on a volume of its own for each pod of order-service.

use std::time::Duration;

use kbnt_e2e::harness::{Failure, Shop, Volumes, until};
use serde_json::json;

/// How long a history may take to be built.
const BUILT: Duration = Duration::from_mins(3);

/// What order-service answers from its history alone.
const SEARCH: &str = "/v1/orders?user=USER-12345";

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
    let placed = shop.confirmed_order("history", BUILT)?;
    let orders = shop.service("order-service")?;
    let found = || {
        until("the order in the history", BUILT, || {
            let list = orders.get(SEARCH)?;
            let listed = list.body["items"].as_array().into_iter().flatten();
            let found = listed.filter(|order| order["orderId"] == placed["orderId"]).count() == 1;
            if found { Ok(()) } else { Err(Failure(format!("{list:?}"))) }
        })
    };
    found()?;
    shop.replace_pod_and_volume("order-service")?;
    found()?;
    shop.delete_with_claims()?;
    volumes.delete()
}
