//! The output of `kubectl get`.

use std::time::Duration;

use kbnt_e2e::harness::{Failure, Shop, until};
use serde_json::json;

/// How long a change of the stock may take to show.
const SHOWN: Duration = Duration::from_secs(30);

#[test]
fn kubectl_shows_the_levels_of_the_stock() -> Result<(), Failure> {
    let shop = Shop::shared()?;
    let header = shop.kubectl.run(&["get", "virtualstocks"])?;
    let header: Vec<_> = header.lines().next().unwrap_or_default().split_whitespace().collect();
    let columns = ["NAME", "PRODUCTS", "REAL", "RESERVED", "AVAILABLE", "RESERVATIONS", "READY", "AGE"];
    assert_eq!(header, columns);

    let inventory = shop.service("inventory-service")?;
    until("levels in the status that are the service's own", SHOWN, || {
        let own = inventory.get("/v1/stock/summary")?.body["totals"].clone();
        let shown = shop.kubectl.get(&["virtualstock", "main"])?["status"]["totals"].clone();
        let same = ["real", "reserved", "available", "activeReservations", "products"]
            .iter()
            .all(|field| own[field].is_number() && own[field] == shown[field]);
        if same { Ok(()) } else { Err(Failure(format!("{own} in the service, {shown} in the status"))) }
    })
}

#[test]
fn more_stock_in_the_resource_is_more_stock_in_the_ledger() -> Result<(), Failure> {
    let shop = Shop::shared()?;
    let inventory = shop.service("inventory-service")?;
    let real = || -> Result<i64, Failure> {
        let answer = inventory.get("/v1/stock/PROD-002")?;
        answer.body["real"].as_i64().ok_or_else(|| Failure(format!("{answer:?}")))
    };
    let (before, stock) = (real()?, shop.kubectl.get(&["virtualstock", "main"])?);
    let mut products = stock["spec"]["products"].clone();
    for product in products.as_array_mut().into_iter().flatten() {
        if product["id"] == "PROD-002" {
            product["received"] = json!(product["received"].as_i64().unwrap_or_default() + 5);
        }
    }
    let patch = json!({"spec": {"products": products}}).to_string();
    shop.kubectl.run(&["patch", "virtualstock", "main", "--type=merge", "-p", &patch])?;
    until("five more units", SHOWN, || match real()? {
        now if now == before + 5 => Ok(()),
        now => Err(Failure(format!("{now} instead of {}", before + 5))),
    })
}

#[test]
fn every_condition_speaks_of_the_present_generation() -> Result<(), Failure> {
    let shop = Shop::shared()?;
    for (object, types) in [
        (
            "virtualstock/main",
            &[
                "TopicsReady",
                "LogIntact",
                "WorkloadsAvailable",
                "StockDeclared",
                "LedgerBalanced",
                "LowStock",
                "Ready",
            ][..],
        ),
        (
            "orderworkflow/main",
            &["StockReady", "TopicsReady", "LogIntact", "WorkloadsAvailable", "UsersDeclared", "Ready"][..],
        ),
    ] {
        until(&format!("all conditions of {object}"), SHOWN, || {
            let value = shop.kubectl.get(&[object])?;
            let generation = &value["metadata"]["generation"];
            let conditions = value["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let current = |wanted: &&&str| {
                let found = conditions.iter().find(|condition| condition["type"] == **wanted);
                !found.is_some_and(|condition| condition["observedGeneration"] == *generation)
            };
            let missing: Vec<_> = types.iter().filter(current).collect();
            if missing.is_empty() {
                Ok(())
            } else {
                Err(Failure(format!("{missing:?} of {}", value["status"])))
            }
        })?;
    }
    Ok(())
}
