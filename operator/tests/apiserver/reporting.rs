//! What the status shows a user.

use std::collections::BTreeMap;

use k8s_openapi::api::events::v1::Event;
use kbnt_crds::VirtualStock;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use crate::harness::{KAFKA, STILL, Suite, Verdict, expect, stock, until};

pub(crate) async fn the_words_of_strimzi_reach_the_condition(suite: &Suite) -> Verdict {
    let shop = suite.shop("words").await?;
    shop.create(&stock("words", "kafka-manual")?).await?;
    let topics = shop.topics("kafka-manual");
    let name = "words-inventory-events";
    let made = until(name, || async { Ok(topics.get(name).await?) }).await?;
    for (type_, status, reason, message, ready) in [
        ("Ready", "False", "KafkaError", "no such broker", false),
        ("Ready", "False", "NotSupported", "Decreasing partitions not supported", false),
        ("Ready", "False", "ResourceConflict", "Managed by Ref{namespace='a', name='b'}", false),
        ("Unmanaged", "True", "", "", true),
        ("Ready", "False", "KafkaError", "again", false),
        ("ReconciliationPaused", "True", "", "", true),
    ] {
        let status = json!({"status": {"observedGeneration": made.metadata.generation,
            "conditions": [{"type": type_, "status": status, "reason": reason, "message": message}]}});
        topics.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await?;
        if ready {
            let condition = shop.stock_is("TopicsReady", "True", "TopicsReady").await?;
            expect(condition.message.contains(type_), || condition.message.clone())?;
        } else {
            until(reason, || async {
                let condition = shop.stock_is("TopicsReady", "False", "TopicFailed").await?;
                expect(condition.message.contains(&format!("{reason}: {message}")), || {
                    condition.message.clone()
                })
            })
            .await?;
        }
    }
    Ok(())
}

pub(crate) async fn the_ledger_reaches_the_status(suite: &Suite) -> Verdict {
    let shop = suite.shop("ledger").await?;
    shop.create(&stock("ledger", KAFKA)?).await?;
    shop.stock_is("StockDeclared", "True", "Declared").await?;
    shop.stock_is("LowStock", "False", "EnoughStock").await?;
    let stocks = shop.api::<VirtualStock>();
    let totals = |real: i64, reserved: i64| {
        let stocks = stocks.clone();
        async move {
            let totals =
                stocks.get("main").await?.status.and_then(|status| status.totals).unwrap_or_default();
            let so = (totals.real, totals.reserved, totals.available, totals.products)
                == (real, reserved, real - reserved, 3);
            expect(so, || format!("{totals:?}"))
        }
    };
    until("what was declared", || totals(175, 0)).await?;
    suite.ledgers.reserve("ledger", "PROD-003", 20);
    until("what was reserved", || totals(175, 20)).await?;
    let low = shop.stock_is("LowStock", "True", "BelowThreshold").await?;
    expect(low.message.contains("PROD-003 (5 of 10)"), || low.message.clone())?;
    // A receipt, as a change of the resource.
    let product = |received: i64| json!({"id": "PROD-003", "name": "Tablet Mini", "unitPrice": "299.99", "received": received});
    shop.patch::<VirtualStock>(&json!({"spec": {"products": [product(125)]}})).await?;
    // The other two products left the resource, and keep their stock.
    until("the receipt", || totals(275, 20)).await?;
    shop.stock_is("LowStock", "False", "EnoughStock").await?;
    suite.ledgers.violate("ledger", "reserved is 20, active reservations hold 19");
    let broken = shop.stock_is("LedgerBalanced", "False", "InvariantViolated").await?;
    expect(broken.message.contains("active reservations hold 19"), || broken.message.clone())?;
    shop.stock_is("Ready", "False", "InvariantViolated").await.map(drop)
}

pub(crate) async fn a_refused_write_off_is_told_in_numbers(suite: &Suite) -> Verdict {
    let shop = suite.shop("write-off").await?;
    shop.create(&stock("write-off", KAFKA)?).await?;
    shop.stock_is("Ready", "True", "Ready").await?;
    suite.ledgers.reserve("write-off", "PROD-001", 60);
    let product = |received: i64| json!([{"id": "PROD-001", "name": "Smartphone X", "unitPrice": "599.99", "received": received}]);
    shop.patch::<VirtualStock>(&json!({"spec": {"products": product(50)}})).await?;
    let refused = shop.stock_is("StockDeclared", "False", "WriteOffRefused").await?;
    let numbers = "PROD-001: received cannot go from 100 to 50, as 50 units would go and only 40 of 100 are available (60 reserved): declare at least 60";
    expect(refused.message == numbers, || refused.message.clone())?;
    // It succeeds as soon as the reservations are gone.
    suite.ledgers.reserve("write-off", "PROD-001", 0);
    shop.stock_is("StockDeclared", "True", "Declared").await?;
    expect(suite.ledgers.received("write-off", "PROD-001") == Some(50), || "not written off".into())
}

pub(crate) async fn each_change_of_a_condition_is_one_event(suite: &Suite) -> Verdict {
    let shop = suite.shop("events").await?;
    shop.open().await?;
    let events = shop.api::<Event>();
    let count = || async {
        let mut counts = BTreeMap::<String, i32>::new();
        for event in events.list(&ListParams::default()).await? {
            let kind = event.regarding.and_then(|object| object.kind).unwrap_or_default();
            let times = event.series.map_or(1, |series| series.count);
            *counts.entry(format!("{kind} {}", event.reason.unwrap_or_default())).or_default() += times;
        }
        Ok::<_, crate::harness::Failure>(counts)
    };
    let before = until("the event of readiness", || async {
        let counts = count().await?;
        expect(counts.get("OrderWorkflow Ready") == Some(&1), || format!("{counts:?}"))?;
        expect(counts.get("VirtualStock Ready") == Some(&1), || format!("{counts:?}"))?;
        Ok(counts)
    })
    .await?;
    // Of many reconciles, one changes a condition.
    for units in 1..=20 {
        suite.ledgers.reserve("events", "PROD-003", units);
        shop.patch::<VirtualStock>(&json!({"metadata": {"annotations": {"touched": units.to_string()}}}))
            .await?;
    }
    shop.stock_is("LowStock", "True", "BelowThreshold").await?;
    until("the event of low stock", || async {
        let mut after = count().await?;
        let low = after.remove("VirtualStock BelowThreshold");
        expect(low == Some(1) && after == before, || format!("{low:?}, {after:?} after {before:?}"))
    })
    .await
}

pub(crate) async fn a_status_is_written_only_when_it_differs(suite: &Suite) -> Verdict {
    // No pods start here, so nothing changes by itself.
    let shop = suite.shop(&format!("{STILL}status")).await?;
    shop.create(&stock("still-status", KAFKA)?).await?;
    let stocks = shop.api::<VirtualStock>();
    shop.stock_is("WorkloadsAvailable", "False", "Progressing").await?;
    let status_written = |stock: &VirtualStock| {
        let entries = stock.metadata.managed_fields.clone().unwrap_or_default();
        entries
            .iter()
            .find(|entry| entry.subresource.as_deref() == Some("status"))
            .and_then(|entry| entry.time.clone())
    };
    let before = stocks.get("main").await?;
    let reconciles = suite.operator.metric("kbnt_operator_reconciles_total", &["VirtualStock"], &[]).await?;
    for count in 0..5 {
        shop.patch::<VirtualStock>(&json!({"metadata": {"annotations": {"touched": count.to_string()}}}))
            .await?;
    }
    // A change of another resource after it takes effect after it.
    until("further reconciles", || async {
        let now = suite.operator.metric("kbnt_operator_reconciles_total", &["VirtualStock"], &[]).await?;
        expect(now > reconciles + 1.0, || format!("{now} after {reconciles}"))
    })
    .await?;
    let version = stocks.get("main").await?.resource_version();
    let other = suite.shop("status-other").await?;
    other.create(&stock("status-other", KAFKA)?).await?;
    other.stock_is("Ready", "True", "Ready").await?;
    let after = stocks.get("main").await?;
    expect(after.resource_version() == version, || "written though nothing differs".into())?;
    expect(status_written(&after) == status_written(&before), || "the status was written".into())
}
