//! What the API server refuses, and with which advice.

use std::collections::BTreeMap;

use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams, ValidationDirective};
use serde::Deserialize;
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

/// A line of `admitted.yaml` or `refused.yaml`.
#[derive(Debug, Deserialize)]
struct Case {
    kind: String,
    put: BTreeMap<String, Value>,
    #[serde(default)]
    says: String,
}

/// What the API server says to the sample with these changes; nothing if it admits it.
async fn say(suite: &Suite, case: &Case) -> Result<Option<String>, Failure> {
    let (mut object, plural) = match case.kind.as_str() {
        "VirtualStock" => (serde_json::to_value(stock("a", KAFKA)?)?, "virtualstocks"),
        _ => (serde_json::to_value(workflow()?)?, "orderworkflows"),
    };
    for (pointer, value) in &case.put {
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
    let mut cases: Vec<Case> = serde_yaml::from_str(include_str!("admitted.yaml"))?;
    cases.extend([products(1000), users(1000)]);
    for case in cases {
        let said = say(suite, &case).await?;
        expect(said.is_none(), || short(&format!("{said:?} to {case:?}")))?;
    }
    Ok(())
}

pub(crate) async fn what_is_wrong_is_refused_with_advice(suite: &Suite) -> Verdict {
    let mut cases: Vec<Case> = serde_yaml::from_str(include_str!("refused.yaml"))?;
    cases.push(Case { says: "spec.products: Too many".into(), ..products(1001) });
    cases.push(Case { says: "spec.users.declared: Too many".into(), ..users(1001) });
    for case in cases {
        let said = say(suite, &case).await?;
        let fits = said.as_ref().is_some_and(|said| said.contains(&case.says));
        expect(fits, || short(&format!("{said:?} to {case:?}")))?;
    }
    Ok(())
}

fn products(count: usize) -> Case {
    let name = "x".repeat(200);
    let product = |n| json!({"id": format!("P{n}"), "name": name, "unitPrice": "1", "received": n});
    let products: Vec<_> = (0..count).map(product).collect();
    Case {
        kind: "VirtualStock".into(),
        put: [("/spec/products".into(), json!(products))].into(),
        says: String::new(),
    }
}

fn users(count: usize) -> Case {
    let user = |n| json!({"id": format!("U{n}"), "name": "x", "email": "a@b"});
    let users: Vec<_> = (0..count).map(user).collect();
    let put = [("/spec/users/declared".into(), json!(users))].into();
    Case { kind: "OrderWorkflow".into(), put, says: String::new() }
}

fn short(text: &str) -> String {
    text.chars().take(2000).collect()
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
