//! Calls to the API server that fail: each interrupted reconcile comes to the same end, and reports the
//! failure until then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service as Address, ServiceAccount};
use kbnt_crds::{KafkaTopic, OrderWorkflow, VirtualStock};
use kbnt_operator::health::Health;
use kbnt_operator::kube::ApiLayer;
use kbnt_operator::metrics::Metrics;
use kbnt_operator::options::Options;
use kbnt_operator::run::run;
use kube::client::{Body, ClientBuilder};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower::{BoxError, Layer, Service};

use crate::direct::{complete, default_account, fail, job, pod_ended};
use crate::harness::{Failure, KAFKA, Shop, Suite, Verdict, direct, expect, stock, until, workflow};

/// Operators that run at the same time.
const AT_ONCE: usize = 8;
/// How long they wait for an answer. It is shorter than in production, so that the tests are short.
const SILENCE: Duration = Duration::from_secs(10);

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The API server fails.
    Error,
    /// Another writer was faster.
    Conflict,
    /// The call succeeds, and the answer is lost.
    Lost,
    /// No answer ever comes.
    Silence,
}

impl Fault {
    const ALL: [Self; 4] = [Self::Error, Self::Conflict, Self::Lost, Self::Silence];

    /// A different one for each call in turn.
    fn of_call(nth: usize) -> Self {
        Self::ALL[nth % Self::ALL.len()]
    }
}

/// Which calls of reconciles fail, and how.
#[derive(Clone, Debug)]
enum Plan {
    /// None.
    Nothing,
    /// A single call, counted from 1.
    Nth(usize, Fault),
    /// The writes of this resource, while the flag is set.
    Writes(&'static str, Arc<AtomicBool>),
}

/// Counts the calls of reconciles, and makes some of them fail.
#[derive(Clone)]
struct Faults {
    plan: Plan,
    calls: Arc<AtomicUsize>,
}

impl Faults {
    fn new(plan: Plan) -> Self {
        Self { plan, calls: Arc::default() }
    }

    /// The fault for this call, if any.
    fn next(&self, request: &Request<Body>) -> Option<Fault> {
        // Watches, lists and discovery run beside the reconciles, and retry by themselves.
        let named = request.method() != http::Method::GET || request.uri().query().is_none_or(str::is_empty);
        if !named || !request.uri().path().contains("/namespaces/") {
            return None;
        }
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        match &self.plan {
            Plan::Nth(nth, fault) => (*nth == call).then_some(*fault),
            Plan::Writes(resource, failing) => {
                let concerned = request.method() != http::Method::GET
                    && request.uri().path().split('/').any(|part| part == *resource);
                (concerned && failing.load(Ordering::Relaxed)).then_some(Fault::Error)
            }
            Plan::Nothing => None,
        }
    }
}

impl<S> Layer<S> for Faults {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Faulty { inner, faults: self.clone() }
    }
}

/// The body of an answer, real or faked.
type Answer = UnsyncBoxBody<bytes::Bytes, BoxError>;

struct Faulty<S> {
    inner: S,
    faults: Faults,
}

impl<S, B> Service<Request<Body>> for Faulty<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = bytes::Bytes, Error = BoxError> + Send + 'static,
{
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let refused = |code: u16, reason: &str| {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
                "message": format!("injected: {reason}")});
            let answer = Response::builder()
                .status(code)
                .body(Full::from(status.to_string()).map_err(|never| match never {}).boxed_unsync());
            async move { Ok(answer?) }.boxed()
        };
        match self.faults.next(&request) {
            Some(Fault::Error) => refused(500, "InternalError"),
            Some(Fault::Conflict) => refused(409, "Conflict"),
            Some(Fault::Lost) => {
                let done = self.inner.call(request);
                async move {
                    done.await?;
                    Err("injected: the answer is lost".into())
                }
                .boxed()
            }
            Some(Fault::Silence) => std::future::pending().boxed(),
            None => {
                let done = self.inner.call(request);
                async move { Ok(done.await?.map(BodyExt::boxed_unsync)) }.boxed()
            }
        }
    }
}

/// An operator in this process, for one shop.
struct Beside {
    end: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), kbnt_operator::run::RunError>>,
}

impl Beside {
    async fn start(suite: &Suite, shop: &Shop, faults: &Faults) -> Result<Self, Failure> {
        let (metrics, health) = (Metrics::new()?, Health::default());
        let counted = ApiLayer::new(&metrics, &health, SILENCE);
        let client: Client =
            ClientBuilder::try_from(suite.config().await?)?.with_layer(faults).with_layer(&counted).build();
        let options = Options {
            services_image: "kbnt/services:test".into(),
            watch_namespaces: vec![shop.namespace.clone()],
            kafka_namespaces: vec![KAFKA.into()],
            kafka_users: true,
            user_secrets_from: vec![KAFKA.into()],
            user_secrets_to: vec![shop.namespace.clone()],
            listen: "127.0.0.1:0".parse()?,
            log: String::new(),
            leader_election: false,
            namespace: shop.namespace.clone(),
            instance: shop.namespace.clone(),
            service_url: suite.ledgers.template(),
            pod_url: suite.ledgers.pod_template(),
        };
        let (end, stopped) = oneshot::channel();
        let stopped = stopped.map(drop).boxed();
        let task = tokio::spawn(run(options, client, metrics, health, stopped));
        Ok(Self { end, task })
    }

    async fn stop(self) -> Verdict {
        // An error means that it has ended, and the task has the reason.
        let _ = self.end.send(());
        Ok(self.task.await??)
    }
}

/// Whether `KBNT_FAULTS=all` selects the long version.
fn thorough() -> bool {
    std::env::var_os("KBNT_FAULTS").is_some_and(|faults| faults == "all")
}

/// Runs after all other operators have ended, because it starts its own.
pub(crate) async fn an_interrupted_reconcile_comes_to_the_same_end(suite: &Suite) -> Verdict {
    let untouched = Faults::new(Plan::Nothing);
    let shop = suite.shop("fault-none").await?;
    let operator = Beside::start(suite, &shop, &untouched).await?;
    shop.open().await?;
    let end = until("what the services tell", || async {
        let end = state(&shop).await?;
        expect(end["OrderWorkflow"][0]["status"]["orders"]["confirmed"] == 2, || "not told yet".into())?;
        Ok(end)
    })
    .await?;
    operator.stop().await?;
    let calls = untouched.calls.load(Ordering::Relaxed);
    expect(calls > 50, || format!("only {calls} calls"))?;

    // Each call fails in one of the ways, or in all of them in the long version.
    let thorough = thorough();
    let cases = (1..=calls).flat_map(|nth| {
        let chosen = if thorough { Fault::ALL.to_vec() } else { vec![Fault::of_call(nth)] };
        chosen.into_iter().map(move |fault| (nth, fault))
    });
    let (end, all) = (&end, stream::iter(cases));
    let done: Vec<()> = all
        .map(|(nth, fault)| async move {
            let faults = Faults::new(Plan::Nth(nth, fault));
            let shop = suite.shop(&format!("fault-{nth}-{fault:?}").to_lowercase()).await?;
            let operator = Beside::start(suite, &shop, &faults).await?;
            shop.create(&stock(&shop.namespace, KAFKA)?).await?;
            shop.create(&workflow()?).await?;
            until(&format!("the same end after {fault:?} in call {nth}"), || async {
                same(&state(&shop).await?, end)
            })
            .await?;
            operator.stop().await
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    println!("{} interrupted reconciles came to the same end", done.len());
    Ok(())
}

/// Runs after all other operators have ended, because it starts its own.
pub(crate) async fn an_interrupted_reconcile_has_its_topics_made_all_the_same(suite: &Suite) -> Verdict {
    let calls = past_a_failed_job(suite, "direct-fault-none", Plan::Nothing).await?;
    let plans = (1..=calls).map(|nth| (format!("direct-fault-{nth}"), Plan::Nth(nth, Fault::of_call(nth))));
    let done: Vec<usize> = stream::iter(plans)
        .map(|(name, plan)| async move { past_a_failed_job(suite, &name, plan).await })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    println!("{} interrupted reconciles had their topics made", done.len());
    Ok(())
}

/// A stock without Strimzi, whose first Job fails and whose second Job succeeds. Returns the number of calls.
async fn past_a_failed_job(suite: &Suite, name: &str, plan: Plan) -> Result<usize, Failure> {
    let (shop, faults) = (suite.shop(name).await?, Faults::new(plan));
    default_account(&shop).await?;
    let operator = Beside::start(suite, &shop, &faults).await?;
    shop.create(&direct(name, "kafka:9092")?).await?;
    let first = job(&shop, "stock-topics", &[]).await?;
    pod_ended(&shop, &first, "pod", 1, "no words of a report").await?;
    fail(&shop, &first, 1, Timestamp::now() - SignedDuration::from_hours(1)).await?;
    complete(&shop, &job(&shop, "stock-topics", &[&first]).await?).await?;
    shop.stock_is("Ready", "True", "Ready").await?;
    operator.stop().await?;
    Ok(faults.calls.load(Ordering::Relaxed))
}

/// Runs after all other operators have ended, because it starts its own.
pub(crate) async fn an_interrupted_reconcile_has_its_users_made_all_the_same(suite: &Suite) -> Verdict {
    let calls = past_a_user(suite, "users-fault-none", Plan::Nothing).await?;
    let plans = (1..=calls).map(|nth| (format!("users-fault-{nth}"), Plan::Nth(nth, Fault::of_call(nth))));
    let done: Vec<usize> = stream::iter(plans)
        .map(|(name, plan)| async move { past_a_user(suite, &name, plan).await })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    println!("{} interrupted reconciles had their users made and deleted", done.len());
    Ok(())
}

/// A stock whose service has its own user, until it is deleted. Returns the number of calls.
async fn past_a_user(suite: &Suite, name: &str, plan: Plan) -> Result<usize, Failure> {
    let (shop, faults) = (suite.shop(name).await?, Faults::new(plan));
    let operator = Beside::start(suite, &shop, &faults).await?;
    crate::users::from_beginning_to_end(&shop).await?;
    operator.stop().await?;
    Ok(faults.calls.load(Ordering::Relaxed))
}

/// Runs after all other operators have ended, because it starts its own.
pub(crate) async fn a_step_that_keeps_failing_is_told(suite: &Suite) -> Verdict {
    for (resource, condition, of_stock) in [
        ("kafkatopics", "TopicsReady", true),
        ("serviceaccounts", "WorkloadsAvailable", true),
        ("deployments", "WorkloadsAvailable", true),
        ("configmaps", "WorkloadsAvailable", false),
    ] {
        let failing = Arc::new(AtomicBool::new(true));
        let shop = suite.shop(&format!("failing-{resource}")).await?;
        let operator =
            Beside::start(suite, &shop, &Faults::new(Plan::Writes(resource, Arc::clone(&failing)))).await?;
        shop.create(&stock(&shop.namespace, KAFKA)?).await?;
        shop.create(&workflow()?).await?;
        let reported = if of_stock {
            shop.stock_is("Ready", "False", "ApiError").await?;
            shop.stock_is(condition, "False", "ApiError").await?
        } else {
            shop.workflow_is("Ready", "False", "ApiError").await?;
            shop.workflow_is(condition, "False", "ApiError").await?
        };
        expect(reported.message.contains("injected: InternalError"), || reported.message.clone())?;
        failing.store(false, Ordering::Relaxed);
        shop.stock_is("Ready", "True", "Ready").await?;
        shop.workflow_is("Ready", "True", "Ready").await?;
        operator.stop().await?;
    }
    Ok(())
}

/// Everything that the operator makes for a shop, by kind, without the fields that differ between shops.
async fn state(shop: &Shop) -> Result<BTreeMap<&'static str, Value>, Failure> {
    let topics: Vec<_> = shop
        .topics(KAFKA)
        .list(&kube::api::ListParams::default())
        .await?
        .items
        .into_iter()
        .filter(|topic: &KafkaTopic| topic.name_any().starts_with(&format!("{}-", shop.namespace)))
        .map(|topic| neutral(&topic, &shop.namespace))
        .collect::<Result<_, _>>()?;
    Ok(BTreeMap::from([
        ("KafkaTopic", Value::from(topics)),
        ("ServiceAccount", of_kind(&shop.api::<ServiceAccount>(), shop).await?),
        ("Service", of_kind(&shop.api::<Address>(), shop).await?),
        ("ConfigMap", of_kind(&shop.api::<ConfigMap>(), shop).await?),
        ("Deployment", of_kind(&shop.api::<Deployment>(), shop).await?),
        ("VirtualStock", of_kind(&shop.api::<VirtualStock>(), shop).await?),
        ("OrderWorkflow", of_kind(&shop.api::<OrderWorkflow>(), shop).await?),
    ]))
}

async fn of_kind<K>(api: &Api<K>, shop: &Shop) -> Result<Value, Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let all = api.list(&kube::api::ListParams::default()).await?.items;
    let all: Vec<_> =
        all.iter().map(|object| neutral(object, &shop.namespace)).collect::<Result<_, Failure>>()?;
    Ok(all.into())
}

/// Removes the ids of topics, which differ between shops, and keeps the names of the known topics.
fn forget_ids(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("name").is_some_and(|name| name == "KBNT_KAFKA_TOPIC_IDS")
                && let Some(ids) = map.get("value").and_then(Value::as_str)
            {
                let names: Vec<_> =
                    ids.split(',').map(|pair| pair.split('=').next().unwrap_or(pair)).collect();
                let names = names.join(",");
                map.insert("value".into(), names.into());
            }
            for (key, value) in map {
                if key == "topicId" {
                    *value = "ID".into();
                } else {
                    forget_ids(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forget_ids),
        _ => {}
    }
}

fn neutral<K: Serialize>(object: &K, namespace: &str) -> Result<Value, Failure> {
    let object = serde_json::to_value(object)?;
    let mut text = object.to_string().replace(namespace, "SHOP");
    if let Some(owner) = object["metadata"]["ownerReferences"][0]["uid"].as_str() {
        text = text.replace(owner, "OWNER");
    }
    let mut object: Value = serde_json::from_str(&text)?;
    forget_ids(&mut object);
    let metadata = object["metadata"].take();
    let mut kept = json!({"name": metadata["name"], "labels": metadata["labels"], "annotations": metadata["annotations"]});
    for (map, key) in [("labels", "kbnt.dev/owner-uid"), ("annotations", "kbnt.dev/applied-digest")] {
        if let Some(map) = kept[map].as_object_mut() {
            map.remove(key);
        }
    }
    object["metadata"] = kept;
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.retain(|key, _| !key.starts_with("clusterIP"));
    }
    if let Some(conditions) = object["status"]["conditions"].as_array_mut() {
        for condition in conditions {
            condition["lastTransitionTime"].take();
        }
    }
    Ok(object)
}

fn same(here: &BTreeMap<&str, Value>, there: &BTreeMap<&str, Value>) -> Verdict {
    for (kind, objects) in there {
        expect(here.get(kind) == Some(objects), || {
            format!("{kind}: {:?} instead of {objects}", here.get(kind))
        })?;
    }
    Ok(())
}
