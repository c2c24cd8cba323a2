//! Stand-ins for components that do not run beside a bare API server.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kbnt_crds::KafkaTopic;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Failure, KAFKA};

/// Deployments in namespaces with this prefix are left alone.
pub(crate) const STILL: &str = "still-";
/// The longest that an answer is delayed.
const HELD_BACK: Duration = Duration::from_secs(20);

/// Makes every topic of the cluster `kafka` ready, as Strimzi would.
pub(crate) fn play_strimzi(client: Client) {
    tokio::spawn(async move {
        let resource = KafkaTopic::resource("v1");
        let api: Api<KafkaTopic> = Api::namespaced_with(client, KAFKA, &resource);
        let mut topics = std::pin::pin!(
            watcher(api.clone(), watcher::Config::default()).default_backoff().touched_objects()
        );
        while let Some(event) = topics.next().await {
            let Ok(topic) = event else { continue };
            let seen = topic.status.as_ref().and_then(|status| status.observed_generation);
            if seen == topic.metadata.generation {
                continue;
            }
            let status = json!({"status": {
                "observedGeneration": topic.metadata.generation,
                "topicName": topic.name_any(),
                "topicId": topic_id(&topic),
                "conditions": [{"type": "Ready", "status": "True"}],
            }});
            let api = api.clone();
            // If the topic is deleted by now, it needs no status.
            tokio::spawn(async move {
                api.patch_status(&topic.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await
            });
        }
    });
}

/// The id of the topic that an object has made: a new one for each object, even of the same name.
pub(crate) fn topic_id(topic: &KafkaTopic) -> String {
    topic.uid().unwrap_or_default().replace('-', "").chars().take(22).collect()
}

/// Makes the pods of every Deployment available, as the Deployment controller would.
pub(crate) fn play_deployments(client: Client) {
    tokio::spawn(async move {
        let all: Api<Deployment> = Api::all(client.clone());
        let mut deployments =
            std::pin::pin!(watcher(all, watcher::Config::default()).default_backoff().touched_objects());
        while let Some(event) = deployments.next().await {
            let Ok(deployment) = event else { continue };
            let namespace = deployment.namespace().unwrap_or_default();
            let seen = deployment.status.as_ref().and_then(|status| status.observed_generation);
            if namespace.starts_with(STILL) || seen == deployment.metadata.generation {
                continue;
            }
            let replicas = deployment.spec.replicas;
            let status = json!({"status": {
                "observedGeneration": deployment.metadata.generation,
                "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas, "updatedReplicas": replicas,
            }});
            let api: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
            // If the Deployment is deleted by now, it needs no status.
            tokio::spawn(async move {
                let how = PatchParams::default();
                api.patch_status(&deployment.name_any(), &how, &Patch::Merge(&status)).await
            });
        }
    });
}

#[derive(Clone, Default)]
struct Product {
    name: String,
    price: String,
    received: i64,
    reserved: i64,
    threshold: i64,
}

#[derive(Clone, Default)]
struct Ledger {
    version: watch::Sender<u64>,
    products: BTreeMap<String, Product>,
    violations: Vec<String>,
}

/// The ledgers of the stand-in services, one per namespace.
#[derive(Clone)]
pub(crate) struct Ledgers {
    address: String,
    by_namespace: Arc<Mutex<HashMap<String, Ledger>>>,
    /// The damage that services and pods report. The others report an intact log.
    logs: Arc<Mutex<HashMap<(String, String), Value>>>,
}

impl Ledgers {
    /// Serves them.
    pub(crate) async fn serve() -> Result<Self, Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let ledgers = Self {
            address: listener.local_addr()?.to_string(),
            by_namespace: Arc::default(),
            logs: Arc::default(),
        };
        let router = Router::new()
            .route("/{namespace}/{service}/v1/stock/summary", get(summary))
            .route("/{namespace}/{service}/v1/stock/{product}", put(declare))
            .route("/{namespace}/{service}/v1/orders/summary", get(orders))
            .route("/{namespace}/{service}/v1/log", get(log))
            .with_state(ledgers.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(ledgers)
    }

    /// The URL template of the services.
    pub(crate) fn template(&self) -> String {
        format!("http://{}/{{namespace}}/{{service}}", self.address)
    }

    /// The URL template of pods that are not ready.
    pub(crate) fn pod_template(&self) -> String {
        format!("http://{}/{{namespace}}/{{pod}}", self.address)
    }

    /// Makes a service or a pod report this damage from now on.
    pub(crate) fn say_of_log(&self, namespace: &str, who: &str, damage: &Value) {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let intact = damage.as_array().is_none_or(Vec::is_empty);
        logs.insert((namespace.to_owned(), who.to_owned()), json!({"intact": intact, "damage": damage}));
    }

    /// Reserves this many units of a product.
    pub(crate) fn reserve(&self, namespace: &str, product: &str, units: i64) {
        self.change(namespace, |ledger| {
            if let Some(product) = ledger.products.get_mut(product) {
                product.reserved = units;
            }
        });
    }

    /// Adds a violation of the ledger's invariants.
    pub(crate) fn violate(&self, namespace: &str, violation: &str) {
        self.change(namespace, |ledger| ledger.violations.push(violation.to_owned()));
    }

    /// Units ever received of a product.
    pub(crate) fn received(&self, namespace: &str, product: &str) -> Option<i64> {
        let ledgers = self.by_namespace.lock().unwrap_or_else(PoisonError::into_inner);
        Some(ledgers.get(namespace)?.products.get(product)?.received)
    }

    fn change<T>(&self, namespace: &str, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let mut ledgers = self.by_namespace.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = ledgers.entry(namespace.to_owned()).or_default();
        let done = change(ledger);
        ledger.version.send_modify(|version| *version += 1);
        done
    }

    /// A receiver of this ledger's changes.
    fn changes(&self, namespace: &str) -> watch::Receiver<u64> {
        let mut ledgers = self.by_namespace.lock().unwrap_or_else(PoisonError::into_inner);
        ledgers.entry(namespace.to_owned()).or_default().version.subscribe()
    }

    fn summary(&self, namespace: &str) -> Value {
        let ledgers = self.by_namespace.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = ledgers.get(namespace).cloned().unwrap_or_default();
        let sum = |part: fn(&Product) -> i64| ledger.products.values().map(part).sum::<i64>();
        let products = ledger.products.iter().map(|(id, product)| {
            let available = product.received - product.reserved;
            json!({
                "productId": id, "name": product.name, "unitPrice": {"value": product.price, "currency": "BRL"},
                "real": product.received, "reserved": product.reserved, "available": available,
                "lowStock": available < product.threshold, "lowStockThreshold": product.threshold,
                "received": {"virtualstock": product.received},
            })
        });
        json!({
            "version": format!("1-{}", *ledger.version.borrow()), "writerTerm": 1,
            "totals": {
                "real": sum(|product| product.received), "reserved": sum(|product| product.reserved),
                "available": sum(|product| product.received - product.reserved),
                "activeReservations": ledger.products.values().filter(|product| product.reserved > 0).count(),
                "products": ledger.products.len(),
            },
            "invariants": {"balanced": ledger.violations.is_empty(), "violations": ledger.violations},
            "products": products.collect::<Vec<_>>(),
        })
    }
}

type Parameters = Query<HashMap<String, String>>;

/// Delays the answer until the version differs, as the service does.
async fn summary(
    State(ledgers): State<Ledgers>,
    Path((namespace, _)): Path<(String, String)>,
    Query(parameters): Parameters,
) -> Json<Value> {
    let mut changes = ledgers.changes(&namespace);
    let summary = ledgers.summary(&namespace);
    if parameters.get("since").is_none_or(|since| summary["version"] != since.as_str()) {
        return Json(summary);
    }
    // After a change or the timeout, the answer is the current state.
    let _ = tokio::time::timeout(HELD_BACK, changes.changed()).await;
    Json(ledgers.summary(&namespace))
}

async fn log(State(ledgers): State<Ledgers>, Path(who): Path<(String, String)>) -> Json<Value> {
    let logs = ledgers.logs.lock().unwrap_or_else(PoisonError::into_inner);
    Json(logs.get(&who).cloned().unwrap_or_else(|| json!({"intact": true, "damage": []})))
}

async fn declare(
    State(ledgers): State<Ledgers>,
    Path((namespace, _, id)): Path<(String, String, String)>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let received = body["received"].as_i64().unwrap_or_default();
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    let done = ledgers.change(&namespace, |ledger| {
        let product = ledger.products.entry(id).or_default();
        if received < product.reserved {
            return false;
        }
        *product = Product {
            name: text("name"),
            price: text("unitPrice"),
            received,
            reserved: product.reserved,
            threshold: body["lowStockThreshold"].as_i64().unwrap_or(10),
        };
        true
    });
    if done {
        (StatusCode::OK, Json(json!({})))
    } else {
        let problem = json!({"code": "write_off_would_oversell", "detail": "some of it is reserved"});
        (StatusCode::CONFLICT, Json(problem))
    }
}

async fn orders(Query(parameters): Parameters) -> Json<Value> {
    if parameters.contains_key("since") {
        tokio::time::sleep(HELD_BACK).await;
    }
    Json(json!({"version": "1", "pending": 1, "confirmed": 2, "rejected": 3, "cancelled": 4}))
}
