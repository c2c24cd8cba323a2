//! What the API server refuses, and with which advice.

use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams, ValidationDirective};
use serde_json::{Value, json};

use crate::harness::{Failure, KAFKA, Suite, Verdict, expect, stock, workflow};

/// Puts a value at a pointer, making the way there. Null takes away.
fn put(object: &mut Value, pointer: &str, value: Value) {
    let (way, last) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    let mut place = object;
    for part in way.split('/').filter(|part| !part.is_empty()) {
        place = match part.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[part],
        };
    }
    match (value, place.as_object_mut()) {
        (Value::Null, Some(map)) => drop(map.remove(last)),
        (value, _) => place[last] = value,
    }
}

/// What the API server says to the sample with these changes; nothing if it admits it.
async fn say(suite: &Suite, kind: &str, changes: &[(&str, Value)]) -> Result<Option<String>, Failure> {
    let (mut object, plural) = match kind {
        "VirtualStock" => (serde_json::to_value(stock("a", KAFKA)?)?, "virtualstocks"),
        _ => (serde_json::to_value(workflow()?)?, "orderworkflows"),
    };
    for (pointer, value) in changes {
        put(&mut object, pointer, value.clone());
    }
    // As JSON, because the types cannot say everything that a user can.
    let url =
        format!("/apis/kbnt.dev/v1alpha1/namespaces/default/{plural}?dryRun=All&fieldValidation=Strict");
    let request = http::Request::post(url)
        .header("content-type", "application/json")
        .body(object.to_string().into_bytes())?;
    match suite.client.request::<Value>(request).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) => Ok(Some(status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn what_is_right_is_admitted(suite: &Suite) -> Verdict {
    let many: Vec<_> = (0..1000)
        .map(|n| json!({"id": format!("P{n}"), "name": "x".repeat(200), "unitPrice": "1", "received": n}))
        .collect();
    let users: Vec<_> =
        (0..1000).map(|n| json!({"id": format!("U{n}"), "name": "x", "email": "a@b"})).collect();
    for (kind, changes) in [
        ("VirtualStock", vec![]),
        ("VirtualStock", vec![("/spec/products", json!(many))]),
        ("VirtualStock", vec![("/spec/reservation/ttl", json!("1s"))]),
        ("VirtualStock", vec![("/spec/reservation/ttl", json!("24h"))]),
        ("VirtualStock", vec![("/spec/reservation/ttl", json!("1h30m15s"))]),
        (
            "VirtualStock",
            vec![("/spec/products/0/received", json!(0)), ("/spec/products/0/unitPrice", json!("0.5"))],
        ),
        ("VirtualStock", vec![("/spec/products/0/id", json!("a.B_c-9"))]),
        (
            "VirtualStock",
            vec![
                ("/spec/kafka/clusterRef", Value::Null),
                ("/spec/kafka/bootstrapServers", json!("a:9092,b.c:9093")),
            ],
        ),
        ("VirtualStock", vec![("/spec/kafka/topicPrefix", json!("team.shop-"))]),
        (
            "VirtualStock",
            vec![(
                "/spec/inventory",
                json!({"replicas": 3, "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}),
            )],
        ),
        (
            "VirtualStock",
            vec![(
                "/spec/topics",
                json!([{"name": "inventory-events", "retention": "unlimited", "replicas": 3, "minInSyncReplicas": 2}]),
            )],
        ),
        ("OrderWorkflow", vec![]),
        (
            "OrderWorkflow",
            vec![
                ("/spec/payment", Value::Null),
                ("/spec/notification", Value::Null),
                ("/spec/users", Value::Null),
            ],
        ),
        (
            "OrderWorkflow",
            vec![(
                "/spec/payment",
                json!({"http": {"url": "https://pay.example/v1", "secretRef": {"name": "s"}}}),
            )],
        ),
        (
            "OrderWorkflow",
            vec![(
                "/spec/notification",
                json!({"webhook": {"url": "http://hook:8080", "secretRef": {"name": "s"}}}),
            )],
        ),
        ("OrderWorkflow", vec![("/spec/users/declared", json!(users))]),
        (
            "OrderWorkflow",
            vec![("/spec/services", json!({"order": {"replicas": 3}, "audit": {"replicas": 1}}))],
        ),
        ("OrderWorkflow", vec![("/spec/topics", json!([{"name": "audit-logs", "retention": "720h"}]))]),
    ] {
        let said = say(suite, kind, &changes).await?;
        expect(said.is_none(), || format!("{kind} {changes:?}: {said:?}").chars().take(2000).collect())?;
    }
    Ok(())
}

pub(crate) async fn what_is_wrong_is_refused_with_advice(suite: &Suite) -> Verdict {
    let product = |id: &str| json!({"id": id, "name": "x", "unitPrice": "1", "received": 1});
    let many: Vec<_> = (0..1001).map(|n| product(&format!("P{n}"))).collect();
    for (kind, pointer, value, advice) in [
        ("VirtualStock", "/spec/products/0/received", json!(-1), "it cannot be negative"),
        ("VirtualStock", "/spec/products/0/received", json!("many"), "spec.products[0].received"),
        ("VirtualStock", "/spec/products", json!([]), "spec.products in body should have at least 1 items"),
        ("VirtualStock", "/spec/products", json!(many), "spec.products: Too many"),
        (
            "VirtualStock",
            "/spec/products",
            json!([product("a"), product("a")]),
            "Duplicate value: {\"id\":\"a\"}",
        ),
        ("VirtualStock", "/spec/products/0/id", json!("a b"), "id must be 1 to 64 letters"),
        ("VirtualStock", "/spec/products/0/id", json!(""), "id must be 1 to 64 letters"),
        ("VirtualStock", "/spec/products/0/name", json!(""), "spec.products[0].name"),
        (
            "VirtualStock",
            "/spec/products/0/unitPrice",
            json!("1.234"),
            "unitPrice must be a decimal in quotes",
        ),
        ("VirtualStock", "/spec/products/0/unitPrice", json!("-1"), "unitPrice must be a decimal in quotes"),
        ("VirtualStock", "/spec/products/0/unitPrice", json!(1.5), "spec.products[0].unitPrice"),
        ("VirtualStock", "/spec/products/0/lowStockThreshold", json!(-1), "cannot be negative"),
        ("VirtualStock", "/spec/lowStockThreshold", json!(-1), "cannot be negative"),
        (
            "VirtualStock",
            "/spec/reservation/ttl",
            json!("0s"),
            "reservation.ttl must be a duration from 1s to 24h",
        ),
        (
            "VirtualStock",
            "/spec/reservation/ttl",
            json!("24h1s"),
            "reservation.ttl must be a duration from 1s to 24h",
        ),
        (
            "VirtualStock",
            "/spec/reservation/ttl",
            json!("soon"),
            "reservation.ttl must be a duration from 1s to 24h",
        ),
        (
            "VirtualStock",
            "/spec/reservation/ttl",
            json!(""),
            "reservation.ttl must be a duration from 1s to 24h",
        ),
        ("VirtualStock", "/spec/reservations", json!({"ttl": "1m"}), "unknown field \"spec.reservations\""),
        (
            "VirtualStock",
            "/spec/kafka/bootstrapServers",
            json!("a:1"),
            "give exactly one of kafka.clusterRef",
        ),
        ("VirtualStock", "/spec/kafka/clusterRef", Value::Null, "give exactly one of kafka.clusterRef"),
        ("VirtualStock", "/spec/kafka/topicPrefix", json!("Shop_"), "topicPrefix must be lower case letters"),
        ("VirtualStock", "/spec/kafka/topicReplicas", json!(0), "spec.kafka.topicReplicas"),
        ("VirtualStock", "/spec/inventory", json!({"replicas": 4}), "replicas must be 1 to 3"),
        (
            "VirtualStock",
            "/spec/topics",
            json!([{"name": "user-events"}]),
            "the one topic of a VirtualStock is inventory-events",
        ),
        (
            "VirtualStock",
            "/spec/topics",
            json!([{"name": "inventory-events", "retention": "1s"}]),
            "retention must be 'unlimited' or a duration",
        ),
        (
            "VirtualStock",
            "/spec/topics",
            json!([{"name": "inventory-events", "replicas": 1, "minInSyncReplicas": 2}]),
            "minInSyncReplicas cannot be above replicas",
        ),
        (
            "VirtualStock",
            "/spec/topicDeletionPolicy",
            json!("Keep"),
            "supported values: \"Retain\", \"Delete\"",
        ),
        ("VirtualStock", "/metadata/name", json!("a.b"), "metadata.name becomes part of Service names"),
        (
            "VirtualStock",
            "/metadata/name",
            json!("a".repeat(41)),
            "metadata.name becomes part of Service names",
        ),
        ("OrderWorkflow", "/metadata/name", json!("0a"), "metadata.name becomes part of Service names"),
        ("OrderWorkflow", "/spec/virtualStockRef", Value::Null, "spec.virtualStockRef: Required"),
        ("OrderWorkflow", "/spec/virtualStockRef/name", json!(""), "spec.virtualStockRef.name"),
        (
            "OrderWorkflow",
            "/spec/payment",
            json!({}),
            "give exactly one of payment.simulated and payment.http",
        ),
        (
            "OrderWorkflow",
            "/spec/payment/http",
            json!({"url": "http://a"}),
            "give exactly one of payment.simulated and payment.http",
        ),
        (
            "OrderWorkflow",
            "/spec/payment/simulated/declineAbove",
            json!("much"),
            "declineAbove must be a decimal in quotes",
        ),
        (
            "OrderWorkflow",
            "/spec/notification",
            json!({}),
            "give exactly one of notification.log and notification.webhook",
        ),
        (
            "OrderWorkflow",
            "/spec/notification",
            json!({"webhook": {"url": "http://hook"}}),
            "spec.notification.webhook.secretRef: Required",
        ),
        (
            "OrderWorkflow",
            "/spec/notification",
            json!({"webhook": {"url": "hook", "secretRef": {"name": "s"}}}),
            "url must be an absolute URL",
        ),
        ("OrderWorkflow", "/spec/services", json!({"user": {"replicas": 0}}), "replicas must be 1 to 3"),
        (
            "OrderWorkflow",
            "/spec/services",
            json!({"audit": {"replicas": 2}}),
            "replicas must be 1: the audit-logs topic has 1 partition",
        ),
        ("OrderWorkflow", "/spec/users/declared/0/email", json!("ana"), "email must be an address"),
        (
            "OrderWorkflow",
            "/spec/users/declared/0/id",
            json!("USER-001"),
            "Duplicate value: {\"id\":\"USER-001\"}",
        ),
        (
            "OrderWorkflow",
            "/spec/topics",
            json!([{"name": "inventory-events"}]),
            "inventory-events belongs to the VirtualStock",
        ),
        (
            "OrderWorkflow",
            "/spec/topics",
            json!([{"name": "audit-logs"}, {"name": "audit-logs"}]),
            "Duplicate value",
        ),
        ("OrderWorkflow", "/spec/partitions", json!(6), "unknown field \"spec.partitions\""),
    ] {
        let said = say(suite, kind, &[(pointer, value.clone())]).await?;
        let fits = said.as_ref().is_some_and(|said| said.contains(advice));
        let value: String = value.to_string().chars().take(200).collect();
        expect(fits, || format!("{kind} {pointer} = {value}: {said:?} instead of {advice}"))?;
    }
    Ok(())
}

pub(crate) async fn what_cannot_change_cannot_be_changed(suite: &Suite) -> Verdict {
    let shop = suite.shop("admission-changes").await?;
    let (mut stock, mut workflow) = (stock("fixed", KAFKA)?, workflow()?);
    // Nothing is to come of them.
    (stock.spec.paused, workflow.spec.paused) = (true, true);
    shop.create(&stock).await?;
    shop.create(&workflow).await?;
    for (change, advice) in [
        (json!({"kafka": {"clusterRef": {"name": "other"}}}), "kafka.clusterRef cannot be changed"),
        (json!({"kafka": {"clusterRef": {"namespace": "other"}}}), "kafka.clusterRef cannot be changed"),
        (
            json!({"kafka": {"clusterRef": null, "bootstrapServers": "a:1"}}),
            "kafka.clusterRef cannot be changed",
        ),
        (json!({"kafka": {"topicPrefix": "other-"}}), "kafka.topicPrefix cannot be changed"),
    ] {
        refused(&shop.patch::<VirtualStock>(&json!({"spec": change})).await, advice)?;
    }
    let other = json!({"spec": {"virtualStockRef": {"name": "other"}}});
    refused(&shop.patch::<OrderWorkflow>(&other).await, "virtualStockRef cannot be changed")?;
    // What may change, may.
    shop.patch::<VirtualStock>(
        &json!({"spec": {"reservation": {"ttl": "1m"}, "kafka": {"topicReplicas": 2}}}),
    )
    .await?;
    // A client that asks for no strictness loses unknown fields, and nothing else happens.
    let api: Api<VirtualStock> = shop.api();
    let unknown = json!({"spec": {"unknown": 1}});
    let lenient = PatchParams { field_validation: Some(ValidationDirective::Warn), ..PatchParams::default() };
    api.patch("main", &lenient, &Patch::Merge(&unknown)).await?;
    let stored = serde_json::to_value(api.get("main").await?)?;
    expect(stored["spec"].get("unknown").is_none(), || "an unknown field is kept".into())?;
    let again = api.create(&PostParams::default(), &stock).await;
    expect(again.is_err(), || "made twice".into())
}

fn refused<T>(answer: &Result<T, Failure>, advice: &str) -> Verdict {
    match answer {
        Ok(_) => Err(Failure::new(format!("admitted, instead of {advice}"))),
        Err(failure) => {
            expect(failure.to_string().contains(advice), || format!("{failure} instead of {advice}"))
        }
    }
}
