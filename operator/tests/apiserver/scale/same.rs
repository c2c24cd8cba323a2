//! Whether the two made the same objects.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use super::contest::namespace;
use crate::harness::{Failure, KAFKA, Verdict, expect};

/// Pairs whose objects are compared.
const PAIRS: u32 = 3;
/// The kinds that may be made for a pair, owners first: group, version, kind.
const KINDS: [(&str, &str, &str); 11] = [
    ("kbnt.dev", "v1alpha1", "VirtualStock"),
    ("kbnt.dev", "v1alpha1", "OrderWorkflow"),
    ("apps", "v1", "Deployment"),
    ("", "v1", "Service"),
    ("", "v1", "ServiceAccount"),
    ("", "v1", "ConfigMap"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io", "v1", "Role"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler"),
    ("kafka.strimzi.io", "v1", "KafkaTopic"),
];
/// Fields that differ between clusters or moments. The digest covers the object as its author wrote it.
const PASSING: [&str; 11] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "lastTransitionTime",
    "clusterIP",
    "clusterIPs",
    "kbnt.dev/owner-uid",
    "kbnt.dev/applied-digest",
    "blockOwnerDeletion",
    "kubectl.kubernetes.io/last-applied-configuration",
];

/// Objects by kind, namespace and name, without the fields that differ.
pub(super) type Objects = BTreeMap<String, Value>;

/// The objects of some of the pairs, and the events about them.
pub(super) async fn collect(client: &Client, pairs: u32) -> Result<Objects, Failure> {
    let (mut found, mut uids) = (Objects::new(), Vec::new());
    for pair in 0..pairs.min(PAIRS) {
        let namespace = namespace(pair);
        for (group, version, kind) in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let topic = kind == "KafkaTopic";
            let place = if topic { KAFKA } else { &namespace };
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), place, &resource);
            for object in api.list(&ListParams::default()).await? {
                let name = object.name_any();
                if topic && !name.starts_with(&format!("{namespace}-")) {
                    continue;
                }
                if group == "kbnt.dev" {
                    uids.extend(object.uid());
                }
                let mut value = without(&uids, &object)?;
                strip(&mut value);
                found.insert(format!("{kind} {namespace}/{name}"), value);
            }
        }
    }
    Ok(found)
}

/// The object, with the UIDs of owners removed from its texts.
fn without(uids: &[String], object: &DynamicObject) -> Result<Value, Failure> {
    let text = serde_json::to_string(object)?;
    Ok(serde_json::from_str(&uids.iter().fold(text, |text, uid| text.replace(uid, "UID")))?)
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !PASSING.contains(&name.as_str()));
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Fails with the differences, if there are any.
pub(super) fn compare(ours: &Objects, theirs: &Objects) -> Verdict {
    let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        match (ours.get(name), theirs.get(name)) {
            (Some(ours), Some(theirs)) => differences(name, ours, theirs, &mut found),
            (Some(_), None) => found.push(format!("{name}: only the operator made it")),
            _ => found.push(format!("{name}: the operator did not make it")),
        }
    }
    expect(found.is_empty() && !ours.is_empty(), || format!("not the same:\n{}", found.join("\n")))
}

fn differences(path: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let (a, b) = (a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null));
                differences(&format!("{path}.{name}"), a, b, found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{index}]"), a, b, found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{path}: {ours} and {theirs}")),
    }
}
