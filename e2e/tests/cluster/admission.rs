//! A mistake in a resource gets a clear message, at admission or in a condition.

use std::time::Duration;

use kbnt_e2e::harness::{Failure, Kubectl, Shop, until};
use serde_json::{Value, json};

fn sample(kind: &str) -> Result<Value, Failure> {
    let found = Shop::samples()?.into_iter().find(|object| object["kind"] == kind);
    found.ok_or_else(|| Failure(format!("the samples have no {kind}")))
}

/// Applies the sample after `change` in a dry run. Returns the API server's message.
fn refused(kind: &str, change: impl Fn(&mut Value)) -> Result<String, Failure> {
    let mut resource = sample(kind)?;
    resource["metadata"]["namespace"] = "default".into();
    change(&mut resource);
    let outcome =
        Kubectl::new("default").try_run(&["apply", "--dry-run=server", "-f", "-"], &resource.to_string())?;
    assert!(!outcome.success, "admitted: {resource}");
    Ok(outcome.stderr)
}

#[test]
fn the_sample_itself_is_admitted() -> Result<(), Failure> {
    for kind in ["VirtualStock", "OrderWorkflow"] {
        let mut resource = sample(kind)?;
        resource["metadata"]["namespace"] = "default".into();
        let args = ["apply", "--dry-run=server", "-f", "-"];
        Kubectl::new("default").run_with(&args, &resource.to_string())?;
    }
    Ok(())
}

#[test]
fn a_negative_receipt_is_refused() -> Result<(), Failure> {
    let said = refused("VirtualStock", |stock| stock["spec"]["products"][0]["received"] = json!(-1))?;
    assert!(said.contains("received") && said.contains("cannot be negative"), "{said}");
    Ok(())
}

#[test]
fn an_empty_product_list_is_refused() -> Result<(), Failure> {
    let said = refused("VirtualStock", |stock| stock["spec"]["products"] = json!([]))?;
    assert!(said.contains("spec.products") && said.contains("at least 1"), "{said}");
    Ok(())
}

#[test]
fn an_unknown_field_is_refused_by_its_name() -> Result<(), Failure> {
    let said = refused("VirtualStock", |stock| stock["spec"]["reservations"] = json!({"ttl": "15m"}))?;
    assert!(said.contains("unknown field \"spec.reservations\""), "{said}");
    Ok(())
}

#[test]
fn a_workflow_without_its_stock_says_what_it_waits_for() -> Result<(), Failure> {
    let shop = Shop::namespace("stockless")?;
    let mut workflow = sample("OrderWorkflow")?;
    workflow["metadata"]["namespace"] = shop.kubectl.namespace().into();
    workflow["spec"]["virtualStockRef"]["name"] = "nowhere".into();
    shop.kubectl.apply(&workflow.to_string())?;
    until("a condition that names the stock", Duration::from_mins(1), || {
        let (status, why) = shop.kubectl.condition("orderworkflow/main", "StockReady")?;
        let reported = status == "False" && why.contains("nowhere");
        if reported { Ok(()) } else { Err(Failure(format!("StockReady={status} ({why})"))) }
    })?;
    let pods = shop.kubectl.get(&["pods"])?;
    assert_eq!(pods["items"], json!([]), "nothing runs, so nothing can loop");
    shop.kubectl.run(&["delete", "orderworkflow", "main", "--timeout=60s"]).map(|_| ())
}
