//! The harness of the tests.

mod fakes;
mod operator;
mod server;
mod shop;

use std::fmt::{Debug, Display};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use fakes::{Ledgers, STILL, topic_id};
pub(crate) use operator::{OPERATOR, Operator, Start};
pub(crate) use server::ApiServer;
pub(crate) use shop::{Shop, direct, stock, workflow};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;
use tokio::runtime::Runtime;

use crate::lifecycle;

/// How long any step of the operator may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// Namespace of the operator, as in the rendered install.
pub(crate) const SYSTEM: &str = "kbnt-system";
/// The process under test, installed from the rendered manifests.
const CLUSTER_WIDE: Start<'static> =
    Start { name: "operator-0", account: (SYSTEM, "kbnt"), env: &crate::users::RIGHTS };
/// Kafka cluster whose topics the stand-in for Strimzi makes ready at once.
pub(crate) const KAFKA: &str = "kafka";

/// Why a test failed.
pub(crate) struct Failure(String);

impl Failure {
    /// A failure with this reason.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self(text)
    }
}

/// The outcome of a test.
pub(crate) type Verdict = Result<(), Failure>;

/// Fails unless the condition holds.
pub(crate) fn expect(so: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if so { Ok(()) } else { Err(Failure(otherwise())) }
}

/// Retries until it succeeds, and fails with the last failure.
pub(crate) async fn until<T, F: Future<Output = Result<T, Failure>>>(
    what: &str,
    attempt: impl Fn() -> F,
) -> Result<T, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(failure) if Instant::now() > deadline => return Err(Failure(format!("{what}: {failure}"))),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// The runtime in which everything runs.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// An API server with stand-ins for the components that do not run.
pub(crate) struct Bench {
    /// With all rights.
    pub(crate) client: Client,
    /// The API server.
    pub(crate) server: Arc<ApiServer>,
    ledgers: Ledgers,
}

impl Bench {
    /// Applies all definitions, and starts every stand-in.
    pub(crate) async fn begin(server: Arc<ApiServer>) -> Result<Self, Failure> {
        let client = server.client().await?;
        let ledgers = Ledgers::serve().await?;
        install(&client).await?;
        define(&client, &kbnt_crds::generate::definitions()?).await?;
        define(&client, &strimzi()?).await?;
        fakes::play_strimzi(client.clone());
        fakes::play_deployments(client.clone());
        Ok(Self { client, server, ledgers })
    }

    /// Starts an operator.
    pub(crate) async fn start(&self, program: &Path, how: &Start<'_>) -> Result<Operator, Failure> {
        Operator::start(program, &self.server, &self.client, &self.ledgers, how).await
    }
}

/// Applies the operator's rights, and the namespaces that the tests use.
async fn install(client: &Client) -> Verdict {
    apply_manifest(client, include_str!("../../../../manifests/install/00-namespace.yaml")).await?;
    apply_manifest(client, include_str!("../../../../manifests/install/20-operator.yaml")).await?;
    for namespace in [KAFKA, "kafka-manual", "users"] {
        make_namespace(client, namespace).await?;
    }
    apply_manifest(client, include_str!("../users.yaml")).await
}

/// The definitions of Strimzi's KafkaUser and KafkaTopic.
pub(crate) fn strimzi() -> Result<[CustomResourceDefinition; 2], Failure> {
    Ok([
        serde_yaml::from_str(include_str!("../../../../e2e/strimzi/kafkausers-crd.yaml"))?,
        serde_yaml::from_str(include_str!("../../../../e2e/strimzi/kafkatopics-crd.yaml"))?,
    ])
}

/// What the tests share.
pub(crate) struct Suite {
    /// With all rights.
    pub(crate) client: Client,
    /// The process under test.
    pub(crate) operator: Operator,
    /// The ledgers that the stand-in services keep.
    pub(crate) ledgers: Ledgers,
    server: Arc<ApiServer>,
}

impl Suite {
    /// Installs the operator piece by piece, in an order that tests how it waits for missing parts.
    pub(crate) async fn begin(server: Arc<ApiServer>) -> Result<Self, Failure> {
        let client = server.client().await?;
        let ledgers = Ledgers::serve().await?;
        install(&client).await?;
        let operator =
            Operator::start(Path::new(OPERATOR), &server, &client, &ledgers, &CLUSTER_WIDE).await?;
        lifecycle::it_waits_for_what_is_missing(&client, &operator).await?;
        fakes::play_strimzi(client.clone());
        fakes::play_deployments(client.clone());
        Ok(Self { client, operator, ledgers, server })
    }

    /// Another process of the operator, beside the one under test.
    pub(crate) async fn another_operator(&self, how: &Start<'_>) -> Result<Operator, Failure> {
        Operator::start(Path::new(OPERATOR), &self.server, &self.client, &self.ledgers, how).await
    }

    /// How to reach the API server, with all rights.
    pub(crate) async fn config(&self) -> Result<kube::Config, Failure> {
        self.server.config().await
    }

    /// Ends the process under test, and the API server if the suite started it.
    pub(crate) fn end(&self) {
        self.operator.kill();
        self.server.stop();
    }

    /// A new namespace with nothing in it.
    pub(crate) async fn shop(&self, name: &str) -> Result<Shop, Failure> {
        make_namespace(&self.client, name).await?;
        Ok(Shop { client: self.client.clone(), namespace: name.to_owned() })
    }
}

/// Removes the files of the operators. After a failure they stay.
pub(crate) fn tidy(failed: bool) {
    match operator::scratch() {
        Ok(folder) if failed => eprintln!("the operator's logs: {}", folder.display()),
        Ok(folder) => drop(std::fs::remove_dir_all(folder)),
        Err(failure) => eprintln!("{failure}"),
    }
}

pub(crate) async fn make_namespace(client: &Client, name: &str) -> Verdict {
    apply_manifest(client, &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}")).await
}

/// Applies every document of a manifest.
pub(crate) async fn apply_manifest(client: &Client, text: &str) -> Verdict {
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = serde_json::Value::deserialize(document)?;
        if value.is_null() {
            continue;
        }
        let object: DynamicObject = serde_json::from_value(value)?;
        let types = object.types.clone().ok_or_else(|| Failure::new("an object without a kind"))?;
        let kind = GroupVersionKind::try_from(&types)?;
        let resource = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        api.patch(&object.name_any(), &PatchParams::apply("suite").force(), &Patch::Apply(&object)).await?;
    }
    Ok(())
}

/// Applies the definitions and waits until they are served.
pub(crate) async fn define(client: &Client, definitions: &[CustomResourceDefinition]) -> Verdict {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in definitions {
        let name = definition.name_any();
        api.patch(&name, &PatchParams::apply("suite").force(), &Patch::Apply(definition)).await?;
        until(&format!("{name} served"), || async {
            let live = api.get(&name).await?;
            let conditions = live.status.unwrap_or_default().conditions.unwrap_or_default();
            let served =
                conditions.iter().any(|found| found.type_ == "Established" && found.status == "True");
            expect(served, || "not established".into())
        })
        .await?;
    }
    Ok(())
}
