//! Kafka that Strimzi does not run: Jobs make its topics. No controller of Jobs and no kubelet run here, so
//! the tests write the state of Jobs and pods.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::harness::{Failure, Shop, Suite, Verdict, apply_manifest, direct, expect, until, workflow};

/// The only Job of a component that is not in `seen`.
pub(crate) async fn job(shop: &Shop, component: &str, seen: &[&Job]) -> Result<Job, Failure> {
    let ours = ListParams::default().labels(&format!("app.kubernetes.io/component={component}"));
    until(&format!("the Job of {component}"), || async {
        let mut jobs = shop.api::<Job>().list(&ours).await?.items;
        jobs.retain(|job| seen.iter().all(|seen| seen.uid() != job.uid()));
        expect(jobs.len() == 1, || format!("{} Jobs", jobs.len()))?;
        Ok(jobs.remove(0))
    })
    .await
}

async fn is_gone(shop: &Shop, job: &Job) -> Verdict {
    until("the Job's end", || async {
        let live = shop.api::<Job>().get_opt(&job.name_any()).await?;
        expect(live.and_then(|live| live.uid()) != job.uid(), || "still there".into())
    })
    .await
}

async fn set(shop: &Shop, job: &Job, status: Value) -> Verdict {
    let status = Patch::Merge(json!({"status": status}));
    shop.api::<Job>().patch_status(&job.name_any(), &PatchParams::default(), &status).await?;
    Ok(())
}

fn conditions(types: [&str; 2], at: Timestamp) -> Value {
    let condition = |type_| json!({"type": type_, "status": "True", "reason": "Told", "message": "by the test", "lastTransitionTime": at.to_string()});
    types.map(condition).into_iter().collect()
}

/// The start of the first pod, which is immediate.
fn start(job: &Job) -> String {
    job.creation_timestamp().map(|time| time.0).unwrap_or_default().to_string()
}

/// Completes the Job, as its controller does after a pod has succeeded.
pub(crate) async fn complete(shop: &Shop, job: &Job) -> Verdict {
    let now = Timestamp::now();
    let done = conditions(["SuccessCriteriaMet", "Complete"], now);
    let times = (start(job), now.to_string());
    set(
        shop,
        job,
        json!({"startTime": times.0, "completionTime": times.1, "succeeded": 1, "conditions": done}),
    )
    .await
}

/// Fails the Job at this time, as its controller does when it gives up.
pub(crate) async fn fail(shop: &Shop, job: &Job, pods: usize, at: Timestamp) -> Verdict {
    let done = conditions(["FailureTarget", "Failed"], at);
    set(shop, job, json!({"startTime": start(job), "failed": pods, "conditions": done})).await
}

/// Creates a pod of the Job that ended with this message.
pub(crate) async fn pod_ended(shop: &Shop, job: &Job, name: &str, code: i32, message: &str) -> Verdict {
    let template = job.spec.clone().map(|spec| spec.template).unwrap_or_default();
    let metadata = ObjectMeta { name: Some(name.into()), ..template.metadata.unwrap_or_default() };
    let pods = shop.api::<Pod>();
    pods.create(&PostParams::default(), &Pod { metadata, spec: template.spec, status: None }).await?;
    let ended = json!({"exitCode": code, "message": message, "finishedAt": Timestamp::now().to_string()});
    let container = json!({"name": "topics", "image": "x", "imageID": "x", "ready": false, "restartCount": 0, "state": {"terminated": ended}});
    let status = json!({"status": {"phase": "Failed", "containerStatuses": [container]}});
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

/// Waits for the next second, because times of objects are whole seconds.
async fn later(than: Timestamp) -> Verdict {
    let next = than + SignedDuration::from_secs(1);
    until("another second", || async { expect(Timestamp::now() > next, || "not yet".into()) }).await
}

/// The account that a controller creates in every namespace.
pub(crate) async fn default_account(shop: &Shop) -> Verdict {
    let metadata = ObjectMeta { name: Some("default".into()), ..ObjectMeta::default() };
    shop.create(&ServiceAccount { metadata, ..ServiceAccount::default() }).await.map(drop)
}

pub(crate) async fn a_job_makes_the_topics_and_the_services_follow(suite: &Suite) -> Verdict {
    let restricted = "apiVersion: v1\nkind: Namespace\nmetadata: {name: direct, labels: {pod-security.kubernetes.io/enforce: restricted}}";
    apply_manifest(&suite.client, restricted).await?;
    let shop = Shop { client: suite.client.clone(), namespace: "direct".into() };
    default_account(&shop).await?;
    shop.create(&direct("direct", "kafka:9092")?).await?;
    shop.create(&workflow()?).await?;
    let (stock, order) = (job(&shop, "stock-topics", &[]).await?, job(&shop, "order-topics", &[]).await?);
    shop.stock_is("TopicsReady", "False", "WaitingForTopics").await?;
    let waiting = shop.workflow_is("TopicsReady", "False", "WaitingForTopics").await?;
    expect(waiting.message.contains(&format!("Job {}", order.name_any())), || waiting.message.clone())?;
    expect(shop.names::<Deployment>().await?.is_empty(), || "a service runs without its topics".into())?;
    let template = order.spec.clone().map(|spec| spec.template).unwrap_or_default();
    let metadata = ObjectMeta { name: Some("pod".into()), ..template.metadata.unwrap_or_default() };
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let pod = Pod { metadata, spec: template.spec, status: None };
    shop.api::<Pod>().create(&dry, &pod).await?;

    complete(&shop, &stock).await?;
    shop.stock_is("TopicsReady", "True", "TopicsReady").await?;
    shop.stock_is("Ready", "True", "Ready").await?;
    complete(&shop, &order).await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    let status = shop.api::<OrderWorkflow>().get("main").await?.status.unwrap_or_default();
    expect(status.topics.len() == 6 && status.topics.iter().all(|topic| topic.ready), || {
        format!("{:?}", status.topics)
    })?;

    // A Job that vanishes, for example by its TTL, is made again, and its report counts until the next one.
    shop.api::<Job>().delete(&stock.name_any(), &DeleteParams::background()).await?;
    let again = job(&shop, "stock-topics", &[&stock]).await?;
    expect(again.name_any() == stock.name_any(), || again.name_any())?;
    shop.stock_is("Ready", "True", "Ready").await?;
    complete(&shop, &again).await?;
    shop.stock_is("Ready", "True", "Ready").await.map(drop)
}

pub(crate) async fn what_a_job_could_not_do_is_told_and_tried_again(suite: &Suite) -> Verdict {
    let shop = suite.shop("direct-failing").await?;
    default_account(&shop).await?;
    shop.create(&direct("direct-failing", "kafka:9092")?).await?;
    let first = job(&shop, "stock-topics", &[]).await?;
    let reported = |text: &'static str| {
        let shop = &shop;
        until(text, move || async move {
            let condition = shop.stock_is("TopicsReady", "False", "TopicFailed").await?;
            expect(condition.message.contains(text), || condition.message.clone())
        })
    };
    let topic = "direct-failing-inventory-events";
    let report = |state: &str, reason: &str, message: &str| {
        json!({"topics": [{"name": topic, "state": state, "reason": reason, "message": message}]}).to_string()
    };

    // A pod has failed, and the Job continues.
    let lost = report("failed", "KafkaError", "cannot reach kafka:9092: no such host");
    pod_ended(&shop, &first, "one", 2, &lost).await?;
    set(&shop, &first, json!({"startTime": start(&first), "failed": 1})).await?;
    reported("direct-failing-inventory-events: KafkaError: cannot reach kafka:9092: no such host").await?;
    // Another pod finds no hope, and the Job ends.
    later(Timestamp::now()).await?;
    pod_ended(&shop, &first, "two", 1, &report("wrong", "NotSupported", "it has 1 partitions instead of 3"))
        .await?;
    fail(&shop, &first, 2, Timestamp::now()).await?;
    reported("NotSupported: it has 1 partitions instead of 3").await?;
    expect(shop.names::<Deployment>().await?.is_empty(), || "a service runs without its topic".into())?;
    expect(shop.api::<Job>().get(&first.name_any()).await?.uid() == first.uid(), || {
        "made anew at once".into()
    })?;

    // After the pause another Job is made, and the finding stays until it reports.
    fail(&shop, &first, 2, Timestamp::now() - SignedDuration::from_mins(6)).await?;
    let second = job(&shop, "stock-topics", &[&first]).await?;
    reported("NotSupported: it has 1 partitions instead of 3").await?;
    complete(&shop, &second).await?;
    shop.stock_is("Ready", "True", "Ready").await.map(drop)
}

pub(crate) async fn another_wish_is_another_job(suite: &Suite) -> Verdict {
    let shop = suite.shop("direct-wish").await?;
    shop.create(&direct("direct-wish", "kafka:9092")?).await?;
    let first = job(&shop, "stock-topics", &[]).await?;
    complete(&shop, &first).await?;
    shop.stock_is("Ready", "True", "Ready").await?;

    let copies = json!({"spec": {"topics": [{"name": "inventory-events", "replicas": 2}]}});
    shop.patch::<VirtualStock>(&copies).await?;
    is_gone(&shop, &first).await?;
    let second = job(&shop, "stock-topics", &[&first]).await?;
    shop.stock_is("TopicsReady", "False", "WaitingForTopics").await?;
    complete(&shop, &second).await?;
    shop.stock_is("Ready", "True", "Ready").await?;

    // Another way to the same topics: their state stays, and the new Job checks whether the new way works.
    shop.patch::<VirtualStock>(&json!({"spec": {"kafka": {"tls": {}}}})).await?;
    let third = job(&shop, "stock-topics", &[&second]).await?;
    shop.stock_is("TopicsReady", "True", "TopicsReady").await?;
    expect(shop.names::<Job>().await?.len() == 2, || "the Job that told is gone too soon".into())?;
    complete(&shop, &third).await?;
    is_gone(&shop, &second).await?;
    shop.stock_is("Ready", "True", "Ready").await?;

    // This policy cannot be set, because nothing would delete the topics.
    let policy = json!({"spec": {"topicDeletionPolicy": "Delete"}});
    let refused = shop.patch::<VirtualStock>(&policy).await;
    expect(refused.is_err_and(|said| said.to_string().contains("goes with kafka.clusterRef")), || {
        "admitted".into()
    })?;
    shop.create(&workflow()?).await?;
    shop.patch::<OrderWorkflow>(&policy).await?;
    shop.workflow_is("TopicsReady", "False", "InvalidSpec").await.map(drop)
}

pub(crate) async fn of_several_that_want_the_same_topics_the_oldest_has_them(suite: &Suite) -> Verdict {
    let (first, second) = (suite.shop("direct-first").await?, suite.shop("direct-second").await?);
    let older = first.create(&direct("direct-shared", "kafka.direct-first:9092")?).await?;
    complete(&first, &job(&first, "stock-topics", &[]).await?).await?;
    first.stock_is("Ready", "True", "Ready").await?;
    later(older.creation_timestamp().map(|time| time.0).unwrap_or_default()).await?;

    second.create(&direct("direct-shared", "kafka.direct-first.svc:9092")?).await?;
    let condition = second.stock_is("TopicsReady", "False", "TopicConflict").await?;
    expect(condition.message.contains("VirtualStock direct-first/main"), || condition.message.clone())?;
    expect(second.names::<Job>().await?.is_empty(), || "a Job for topics of somebody else".into())?;
    first.stock_is("Ready", "True", "Ready").await?;
    first.delete::<VirtualStock>().await?;
    complete(&second, &job(&second, "stock-topics", &[]).await?).await?;
    second.stock_is("Ready", "True", "Ready").await.map(drop)
}
