//! Autoscaling: more pods while there is much to do.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kbnt_crds::OrderWorkflow;
use kbnt_operator::workloads::scaled_objects;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{Suite, Verdict, define, expect, until};

/// The part of KEDA that a client of its API server can see.
const KEDA: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: scaledobjects.keda.sh}
spec:
  group: keda.sh
  scope: Namespaced
  names: {kind: ScaledObject, plural: scaledobjects, singular: scaledobject}
  versions:
    - name: v1alpha1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

pub(crate) async fn a_service_is_scaled_by_one_of_the_two_and_only_if_asked(suite: &Suite) -> Verdict {
    let shop = suite.shop("scaled").await?;
    shop.open().await?;
    let name = "main-order-service";
    let (deployments, processor) = (shop.api::<Deployment>(), shop.api::<HorizontalPodAutoscaler>());
    let lag: Api<DynamicObject> =
        Api::namespaced_with(shop.client.clone(), &shop.namespace, &scaled_objects());
    let scale = async |how: Value| {
        let change = json!({"spec": {"services": {"order": {"autoscaling": how}}}});
        shop.patch::<OrderWorkflow>(&change).await
    };

    scale(json!({"maxReplicas": 3})).await?;
    let made = until("the autoscaler", || async { Ok(processor.get(name).await?.spec) }).await?;
    expect((made.min_replicas, made.max_replicas) == (Some(1), 3), || format!("{made:?}"))?;
    // The autoscaler owns the number of pods now.
    let more = Patch::Merge(json!({"spec": {"replicas": 3}}));
    deployments.patch(name, &PatchParams::default(), &more).await?;
    until("the status to follow", || async {
        let live = shop.api::<OrderWorkflow>().get("main").await?.status.unwrap_or_default();
        let order = live.services.iter().find(|service| service.name == name).map(|service| service.desired);
        expect(order == Some(3), || format!("{order:?}"))
    })
    .await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    expect(deployments.get(name).await?.spec.replicas == Some(3), || "the number was put back".into())?;

    let keda: CustomResourceDefinition = serde_yaml::from_str(KEDA)?;
    define(&suite.client, &[keda]).await?;
    let made = until("the ScaledObject", || async { Ok(lag.get(name).await?.data) }).await?;
    expect(made["spec"]["maxReplicaCount"] == 3, || format!("{made}"))?;
    expect(processor.get_opt(name).await?.is_none(), || "two autoscalers".into())?;

    scale(Value::Null).await?;
    until("a fixed number", || async {
        let replicas = deployments.get(name).await?.spec.replicas;
        expect(lag.get_opt(name).await?.is_none() && replicas == Some(1), || format!("{replicas:?}"))
    })
    .await?;
    shop.workflow_is("Ready", "True", "Ready").await.map(drop)
}
