//! What the API server refuses, and the advice it gives.

use std::collections::BTreeMap;

use kbnt_crds::VirtualStock;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams, ValidationDirective};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::{Failure, KAFKA, Suite, Verdict, expect, stock, workflow};

/// Sets the value at a pointer, and creates the path to it. Null removes it.
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

/// A line of `admitted.yaml`, `refused.yaml` or `changes.yaml`.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    kind: String,
    #[serde(default)]
    put: BTreeMap<String, Value>,
    /// Merged into the spec of the object, which exists by then.
    change: Option<Value>,
    #[serde(default)]
    pub(crate) says: String,
}

impl Case {
    pub(crate) fn admitted() -> Result<Vec<Self>, Failure> {
        Ok(serde_yaml::from_str(include_str!("admitted.yaml"))?)
    }

    pub(crate) fn refused() -> Result<Vec<Self>, Failure> {
        Ok(serde_yaml::from_str(include_str!("refused.yaml"))?)
    }

    pub(crate) fn changes() -> Result<Vec<Self>, Failure> {
        Ok(serde_yaml::from_str(include_str!("changes.yaml"))?)
    }

    /// The sample with the case's values.
    pub(crate) fn object(&self) -> Result<Value, Failure> {
        let mut object = match self.kind.as_str() {
            "VirtualStock" => serde_json::to_value(stock("a", KAFKA)?)?,
            _ => serde_json::to_value(workflow()?)?,
        };
        for (pointer, value) in &self.put {
            put(&mut object, pointer, value.clone());
        }
        Ok(object)
    }

    /// The URL of objects of its kind, with this suffix.
    fn at(&self, namespace: &str, end: &str) -> String {
        let plural = if self.kind == "VirtualStock" { "virtualstocks" } else { "orderworkflows" };
        format!("/apis/kbnt.dev/v1alpha1/namespaces/{namespace}/{plural}{end}")
    }
}

/// The message of the API server for this body; `None` if it admits it. The body is JSON, because users can
/// write more than the types can express.
async fn say(
    suite: &Suite,
    request: http::request::Builder,
    kind: &str,
    body: &Value,
) -> Result<Option<String>, Failure> {
    let request = request.header("content-type", kind).body(body.to_string().into_bytes())?;
    match suite.client.request::<Value>(request).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) => Ok(Some(status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

async fn say_to_new(suite: &Suite, case: &Case) -> Result<Option<String>, Failure> {
    let request = http::Request::post(case.at("default", "?dryRun=All&fieldValidation=Strict"));
    say(suite, request, "application/json", &case.object()?).await
}

pub(crate) async fn what_is_right_is_admitted(suite: &Suite) -> Verdict {
    let mut cases = Case::admitted()?;
    cases.extend([products(1000), users(1000)]);
    for case in cases {
        let said = say_to_new(suite, &case).await?;
        expect(said.is_none(), || short(&format!("{said:?} to {case:?}")))?;
    }
    Ok(())
}

pub(crate) async fn what_is_wrong_is_refused_with_advice(suite: &Suite) -> Verdict {
    let mut cases = Case::refused()?;
    cases.push(Case { says: "spec.products: Too many".into(), ..products(1001) });
    cases.push(Case { says: "spec.users.declared: Too many".into(), ..users(1001) });
    for case in cases {
        let said = say_to_new(suite, &case).await?;
        let fits = said.as_ref().is_some_and(|said| said.contains(&case.says));
        expect(fits, || short(&format!("{said:?} to {case:?}")))?;
    }
    Ok(())
}

fn products(count: usize) -> Case {
    let name = "x".repeat(200);
    let product = |n| json!({"id": format!("P{n}"), "name": name, "unitPrice": "1", "received": n});
    let products: Vec<_> = (0..count).map(product).collect();
    let put = [("/spec/products".into(), json!(products))].into();
    Case { kind: "VirtualStock".into(), put, change: None, says: String::new() }
}

fn users(count: usize) -> Case {
    let user = |n| json!({"id": format!("U{n}"), "name": "x", "email": "a@b"});
    let users: Vec<_> = (0..count).map(user).collect();
    let put = [("/spec/users/declared".into(), json!(users))].into();
    Case { kind: "OrderWorkflow".into(), put, change: None, says: String::new() }
}

fn short(text: &str) -> String {
    text.chars().take(2000).collect()
}

pub(crate) async fn what_cannot_change_cannot_be_changed(suite: &Suite) -> Verdict {
    let shop = suite.shop("admission-changes").await?;
    for (number, case) in Case::changes()?.into_iter().enumerate() {
        let (name, mut object) = (format!("case-{number}"), case.object()?);
        object["metadata"]["name"] = name.clone().into();
        // Nothing must be made for them.
        object["spec"]["paused"] = true.into();
        let made = http::Request::post(case.at(&shop.namespace, ""));
        let said = say(suite, made, "application/json", &object).await?;
        expect(said.is_none(), || format!("{said:?} to {case:?}"))?;
        let change =
            http::Request::patch(case.at(&shop.namespace, &format!("/{name}?fieldValidation=Strict")));
        let said = say(suite, change, "application/merge-patch+json", &json!({"spec": case.change})).await?;
        let fits = match &said {
            Some(said) => !case.says.is_empty() && said.contains(&case.says),
            None => case.says.is_empty(),
        };
        expect(fits, || format!("{said:?} to {case:?}"))?;
    }
    Ok(())
}

pub(crate) async fn what_is_there_stays_what_it_is(suite: &Suite) -> Verdict {
    let shop = suite.shop("admission-lenient").await?;
    let mut stock = stock("lenient", KAFKA)?;
    stock.spec.paused = true;
    shop.create(&stock).await?;
    // A client that does not ask for strict validation loses unknown fields, without other effects.
    let api: Api<VirtualStock> = shop.api();
    let unknown = json!({"spec": {"unknown": 1}});
    let lenient = PatchParams { field_validation: Some(ValidationDirective::Warn), ..PatchParams::default() };
    api.patch("main", &lenient, &Patch::Merge(&unknown)).await?;
    let stored = serde_json::to_value(api.get("main").await?)?;
    expect(stored["spec"].get("unknown").is_none(), || "an unknown field is kept".into())?;
    let again = api.create(&PostParams::default(), &stock).await;
    expect(again.is_err(), || "made twice".into())
}
