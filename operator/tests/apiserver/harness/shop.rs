//! A namespace with a VirtualStock and an OrderWorkflow.

use std::fmt::Debug;

use kbnt_crds::{Condition, KafkaTopic, OrderWorkflow, VirtualStock};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Failure, Verdict, expect, until};

/// The sample, with this prefix, and with topics in this cluster and namespace.
pub(crate) fn stock(prefix: &str, kafka: &str) -> Result<VirtualStock, Failure> {
    let mut stock: VirtualStock =
        serde_yaml::from_str(include_str!("../../../../manifests/samples/virtualstock.yaml"))?;
    stock.metadata.namespace = None;
    stock.spec.kafka.topic_prefix = format!("{prefix}-");
    stock.spec.kafka.cluster_ref =
        Some(kbnt_crds::virtual_stock::ClusterRef { name: kafka.into(), namespace: Some(kafka.into()) });
    Ok(stock)
}

/// The sample, with this prefix, on a cluster that Strimzi does not run.
pub(crate) fn direct(prefix: &str, servers: &str) -> Result<VirtualStock, Failure> {
    let mut stock = stock(prefix, super::KAFKA)?;
    stock.spec.kafka.cluster_ref = None;
    stock.spec.kafka.bootstrap_servers = Some(servers.into());
    Ok(stock)
}

/// The sample.
pub(crate) fn workflow() -> Result<OrderWorkflow, Failure> {
    let mut workflow: OrderWorkflow =
        serde_yaml::from_str(include_str!("../../../../manifests/samples/orderworkflow.yaml"))?;
    workflow.metadata.namespace = None;
    Ok(workflow)
}

/// A test's own namespace.
#[derive(Clone)]
pub(crate) struct Shop {
    /// With all rights.
    pub(crate) client: Client,
    /// Its name.
    pub(crate) namespace: String,
}

impl Shop {
    /// Objects of a kind in it.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// KafkaTopics of a cluster, in the namespace of the same name.
    pub(crate) fn topics(&self, kafka: &str) -> Api<KafkaTopic> {
        Api::namespaced_with(self.client.clone(), kafka, &KafkaTopic::resource("v1"))
    }

    /// Makes an object.
    pub(crate) async fn create<K>(&self, object: &K) -> Result<K, Failure>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        Ok(self.api::<K>().create(&PostParams::default(), object).await?)
    }

    /// Merges a change into the object `main`.
    pub(crate) async fn patch<K>(&self, change: &Value) -> Result<K, Failure>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        Ok(self.api::<K>().patch("main", &PatchParams::default(), &Patch::Merge(change)).await?)
    }

    /// Deletes the object `main` and waits until it is gone.
    pub(crate) async fn delete<K>(&self) -> Verdict
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api = self.api::<K>();
        api.delete("main", &DeleteParams::default()).await?;
        until("the resource's end", || async {
            expect(api.get_opt("main").await?.is_none(), || "still there".into())
        })
        .await
    }

    /// Waits until a condition of the VirtualStock `main` has this status and reason.
    pub(crate) async fn stock_is(
        &self,
        type_: &str,
        status: &str,
        reason: &str,
    ) -> Result<Condition, Failure> {
        until(&format!("VirtualStock {type_}={status}"), || async {
            let stock = self.api::<VirtualStock>().get("main").await?;
            let generation = stock.metadata.generation;
            is(&stock.status.unwrap_or_default().conditions, generation, type_, status, reason)
        })
        .await
    }

    /// Waits until a condition of the OrderWorkflow `main` has this status and reason.
    pub(crate) async fn workflow_is(
        &self,
        type_: &str,
        status: &str,
        reason: &str,
    ) -> Result<Condition, Failure> {
        until(&format!("OrderWorkflow {type_}={status}"), || async {
            let workflow = self.api::<OrderWorkflow>().get("main").await?;
            let generation = workflow.metadata.generation;
            is(&workflow.status.unwrap_or_default().conditions, generation, type_, status, reason)
        })
        .await
    }

    /// Creates both resources, and waits until both are ready.
    pub(crate) async fn open(&self) -> Verdict {
        self.create(&stock(&self.namespace, super::KAFKA)?).await?;
        self.create(&workflow()?).await?;
        self.stock_is("Ready", "True", "Ready").await?;
        self.workflow_is("Ready", "True", "Ready").await.map(drop)
    }

    /// Names of the objects of a kind in it.
    pub(crate) async fn names<K>(&self) -> Result<Vec<String>, Failure>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        Ok(self
            .api::<K>()
            .list(&kube::api::ListParams::default())
            .await?
            .iter()
            .map(ResourceExt::name_any)
            .collect())
    }
}

fn is(
    conditions: &[Condition],
    generation: Option<i64>,
    type_: &str,
    status: &str,
    reason: &str,
) -> Result<Condition, Failure> {
    let found = conditions.iter().find(|condition| condition.type_ == type_);
    match found {
        Some(condition)
            if condition.status == status
                && condition.reason == reason
                && condition.observed_generation == generation =>
        {
            Ok(condition.clone())
        }
        _ => Err(Failure::new(format!("generation {generation:?}, conditions {conditions:#?}"))),
    }
}
