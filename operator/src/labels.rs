//! The labels of the operator's objects, and selectors for them.

use std::collections::BTreeMap;

/// The label by which the operator finds its objects.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "kbnt-operator");

/// Selects the operator's objects.
pub fn managed() -> String {
    format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)
}

/// The labels that select the pods of a service. They identify it and contain nothing else, because a
/// Deployment's selector can never change.
pub fn selector(resource: &str, component: &str) -> BTreeMap<String, String> {
    let mut selector = labels(resource, component);
    selector.remove(MANAGED_BY.0);
    selector
}

/// The labels of an object of a resource.
pub fn labels(resource: &str, component: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "kbnt"),
        ("app.kubernetes.io/instance", resource),
        ("app.kubernetes.io/component", component),
        MANAGED_BY,
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}
