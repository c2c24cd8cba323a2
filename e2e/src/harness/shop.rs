//! One `VirtualStock` and one `OrderWorkflow` in their own namespace, made from the samples.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Failure, Http, Kubectl, until};

/// The samples as released.
const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/samples");

/// The label of the suites' namespaces, by which they are removed.
const LABEL: &str = "kbnt.dev/e2e";

/// How long a shop may take to become ready on a busy machine.
const READY: Duration = Duration::from_mins(3);

/// A suite's shop.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Commands in its namespace.
    pub kubectl: Kubectl,
    /// Prefix of its topics.
    pub prefix: String,
}

impl Shop {
    /// The shop that is shared by all suites that do not break it; it is ready when this returns.
    pub fn shared() -> Result<&'static Self, Failure> {
        static SHARED: OnceLock<Result<Shop, Failure>> = OnceLock::new();
        let made = SHARED.get_or_init(|| {
            let shop = Self::namespace("shared")?;
            shop.apply_samples()?;
            shop.ready()?;
            Ok(shop)
        });
        made.as_ref().map_err(Clone::clone)
    }

    /// An empty namespace. A namespace of the same name from an earlier run is removed first.
    pub fn namespace(name: &str) -> Result<Self, Failure> {
        let namespace = format!("e2e-{name}");
        let kubectl = Kubectl::new(&namespace);
        kubectl.run(&["delete", "namespace", &namespace, "--ignore-not-found", "--timeout=120s"])?;
        kubectl.run(&["create", "namespace", &namespace])?;
        kubectl.run(&["label", "namespace", &namespace, &format!("{LABEL}=true")])?;
        kubectl.run(&["label", "namespace", &namespace, "pod-security.kubernetes.io/enforce=restricted"])?;
        Ok(Self { kubectl, prefix: format!("{namespace}-") })
    }

    /// Applies the samples with the shop's own topics, which are deleted with the resources.
    pub fn apply_samples(&self) -> Result<(), Failure> {
        self.apply_samples_with(|_| ())
    }

    /// Applies the samples after `change` to each resource.
    pub fn apply_samples_with(&self, change: impl Fn(&mut Value)) -> Result<(), Failure> {
        self.apply_samples_of(Path::new(SAMPLES), change)
    }

    /// Applies the samples in a folder, such as those of another revision, after `change` to each resource.
    pub fn apply_samples_of(&self, folder: &Path, change: impl Fn(&mut Value)) -> Result<(), Failure> {
        for mut resource in read_samples(folder)? {
            resource["metadata"]["namespace"] = self.kubectl.namespace().into();
            resource["spec"]["topicDeletionPolicy"] = "Delete".into();
            if resource["kind"] == "VirtualStock" {
                resource["spec"]["kafka"]["topicPrefix"] = self.prefix.as_str().into();
            }
            change(&mut resource);
            self.kubectl.apply(&resource.to_string())?;
        }
        Ok(())
    }

    /// The two resources of the samples.
    pub fn samples() -> Result<Vec<Value>, Failure> {
        read_samples(Path::new(SAMPLES))
    }

    /// Waits until both resources are ready.
    pub fn ready(&self) -> Result<(), Failure> {
        for object in ["virtualstock/main", "orderworkflow/main"] {
            until(&format!("{object} ready"), READY, || {
                self.kubectl.expect_condition(object, "Ready", "True")
            })?;
        }
        Ok(())
    }

    /// The HTTP API of a service, such as `order-service`.
    pub fn service(&self, name: &str) -> Result<Http, Failure> {
        let service = self.kubectl.get(&["service", &format!("main-{name}")])?;
        let (ip, ports) = (service["spec"]["clusterIP"].as_str(), service["spec"]["ports"].as_array());
        let http = ports.and_then(|ports| ports.iter().find(|port| port["name"] == "http"));
        let address = ip.zip(http.map(|http| &http["port"]));
        let (ip, port) = address.ok_or_else(|| Failure(format!("{name} has no address")))?;
        Ok(Http::new(&format!("http://{ip}:{port}")))
    }

    /// Places an order of one unit of the first product under this key until it is confirmed, and returns it. A node may learn of a
    /// Service's pods a moment after they are ready.
    pub fn confirmed_order(&self, key: &str, within: Duration) -> Result<Value, Failure> {
        let orders = self.service("order-service")?;
        let items = [json!({"productId": "PROD-001", "quantity": 1})];
        let body = json!({"userId": "USER-12345", "items": items, "payment": {"method": "credit_card"}});
        until(&format!("the order {key}"), within, || {
            let order = orders.post("/v1/orders?wait=25s", key, &body)?;
            if order.body["status"] == "CONFIRMED" {
                Ok(order.body)
            } else {
                Err(Failure(format!("{order:?}")))
            }
        })
    }

    /// The full name of a topic of this shop.
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

fn read_samples(folder: &Path) -> Result<Vec<Value>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure(format!("{}: {error}", folder.display()));
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).map_err(|error| failed(&error))? {
        let text = std::fs::read_to_string(file.map_err(|error| failed(&error))?.path());
        for document in serde_yaml::Deserializer::from_str(&text.map_err(|error| failed(&error))?) {
            found.push(Value::deserialize(document).map_err(|error| failed(&error))?);
        }
    }
    found.retain(|object| {
        object["apiVersion"].as_str().is_some_and(|version| version.starts_with("kbnt.dev/"))
    });
    Ok(found)
}
