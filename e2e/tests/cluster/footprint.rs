//! The memory that the product takes on a node.

use kbnt_e2e::harness::{Failure, Kubectl, Shop};
use serde_json::Value;

/// Resident memory that the operator and each idle service stay below, in bytes.
const LIMIT: u64 = 64 << 20;

/// Resident bytes by pod, for the pods of one namespace, according to the kubelets.
fn resident(namespace: &str) -> Result<Vec<(String, u64)>, Failure> {
    let kubectl = Kubectl::new(namespace);
    let nodes = kubectl.run(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"])?;
    let mut found = Vec::new();
    for node in nodes.split_whitespace() {
        let text = kubectl.run(&["get", "--raw", &format!("/api/v1/nodes/{node}/proxy/stats/summary")])?;
        let summary: Value = serde_json::from_str(&text).map_err(|error| Failure(error.to_string()))?;
        let pods = summary["pods"].as_array().cloned().unwrap_or_default();
        for pod in pods.iter().filter(|pod| pod["podRef"]["namespace"] == namespace) {
            let name = pod["podRef"]["name"].as_str().unwrap_or_default().to_owned();
            let containers = pod["containers"].as_array().cloned().unwrap_or_default();
            found.extend(
                containers.iter().filter_map(|c| Some((name.clone(), c["memory"]["rssBytes"].as_u64()?))),
            );
        }
    }
    Ok(found)
}

#[test]
fn operator_and_services_stay_small() -> Result<(), Failure> {
    let shop = Shop::shared()?;
    let operator = resident("kbnt-system")?;
    let services = resident(shop.kubectl.namespace())?;
    assert!(!operator.is_empty() && services.len() >= 6, "{operator:?} {services:?}");
    for (pod, bytes) in operator.iter().chain(&services) {
        println!("{pod}: {:.1} MiB", f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) / 1024.0);
        assert!(*bytes < LIMIT, "{pod} holds {bytes} bytes");
    }
    Ok(())
}
