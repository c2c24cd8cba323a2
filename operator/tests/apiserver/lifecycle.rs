//! The life of the process: what it waits for, its probes, its shutdown and its restart.

use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::json;

use crate::harness::{
    Failure, KAFKA, Operator, SYSTEM, Shop, Start, Suite, Verdict, apply_manifest, define, direct, expect,
    make_namespace, stock, strimzi, until,
};

/// Runs before all other tests, on an API server without any definition.
pub(crate) async fn it_waits_for_what_is_missing(client: &Client, operator: &Operator) -> Verdict {
    until("an unready operator", || async {
        let (code, why) = operator.get("/readyz").await?;
        expect(code == 503 && why.contains("not installed"), || format!("{code} {why}"))
    })
    .await?;
    let (code, _) = operator.get("/healthz").await?;
    expect(code == 200, || "it waits, and is not sick".into())?;

    define(client, &kbnt_crds::generate::definitions()?).await?;
    until("a ready operator", || async {
        let (code, why) = operator.get("/readyz").await?;
        expect(code == 200, || format!("{code} {why}"))
    })
    .await?;

    // No Strimzi: reported, and nothing is stuck, not even a resource whose topics are to be deleted.
    let shop = Shop { client: client.clone(), namespace: "default".into() };
    shop.create(&stock("no-strimzi", KAFKA)?).await?;
    let condition = shop.stock_is("TopicsReady", "False", "StrimziMissing").await?;
    expect(condition.message.contains("install Strimzi"), || condition.message.clone())?;
    shop.patch::<VirtualStock>(&json!({"spec": {"topicDeletionPolicy": "Delete"}})).await?;
    until("the finalizer", || async {
        let stock = shop.api::<VirtualStock>().get("main").await?;
        expect(stock.metadata.finalizers.is_some(), || "none".into())
    })
    .await?;
    shop.delete::<VirtualStock>().await?;

    // Kafka without Strimzi: a Job makes its topics, and nothing waits for Strimzi.
    shop.create(&direct("external", "kafka.example:9092")?).await?;
    let condition = shop.stock_is("TopicsReady", "False", "WaitingForTopics").await?;
    expect(condition.message.contains("Job main-stock-topics-"), || condition.message.clone())?;
    shop.delete::<VirtualStock>().await?;

    // Strimzi is installed, and a resource that waits for it continues.
    shop.create(&stock("no-strimzi", "kafka-manual")?).await?;
    shop.stock_is("TopicsReady", "False", "StrimziMissing").await?;
    define(client, &strimzi()?).await?;
    shop.stock_is("TopicsReady", "False", "WaitingForTopics").await?;
    shop.delete::<VirtualStock>().await
}

pub(crate) async fn health_and_metrics_are_served(suite: &Suite) -> Verdict {
    let operator = &suite.operator;
    let (code, _) = operator.get("/healthz").await?;
    expect(code == 200, || "not healthy".into())?;
    let (_, text) = operator.get("/metrics").await?;
    for name in [
        "kbnt_operator_reconciles_total",
        "kbnt_operator_reconcile_duration_seconds_bucket",
        "kbnt_operator_api_reads_total",
        "kbnt_operator_api_writes_total",
        "kbnt_operator_queue_depth",
        "kbnt_operator_leader 1",
    ] {
        expect(text.contains(name), || format!("no {name} in {text}"))?;
    }
    Ok(())
}

/// Runs after all other tests: a second process takes over when the first one stops, finds everything as it
/// should be, and writes nothing but its lease.
pub(crate) async fn a_restart_converges_without_a_write(suite: &Suite) -> Verdict {
    let forbidden = suite.operator.metric("kbnt_operator_api_writes_total", &["code=\"403\""], &[]).await?
        + suite.operator.metric("kbnt_operator_api_reads_total", &["code=\"403\""], &[]).await?;
    expect(forbidden == 0.0, || {
        format!("{forbidden} requests were forbidden: the chart's rules lack something")
    })?;
    let memory = suite.operator.memory()?;
    expect(memory < 64 << 20, || format!("{memory} bytes resident"))?;
    println!("resident memory after the suite: {} MiB", memory >> 20);

    let second = suite
        .another_operator(&Start {
            name: "operator-1",
            account: (SYSTEM, "kbnt"),
            env: &crate::users::RIGHTS,
        })
        .await?;
    until("the second process ready", || async {
        expect(second.get("/readyz").await?.0 == 200, || "not ready".into())
    })
    .await?;
    expect(second.metric("kbnt_operator_leader", &[], &[]).await? == 0.0, || "two leaders".into())?;
    let status = suite.operator.stop().await?;
    expect(status.success(), || format!("{status}"))?;
    until("the takeover", || async {
        expect(second.metric("kbnt_operator_leader", &[], &[]).await? > 0.0, || "no leader".into())
    })
    .await?;

    let stocks: Api<VirtualStock> = Api::all(suite.client.clone());
    let workflows: Api<OrderWorkflow> = Api::all(suite.client.clone());
    let present = stocks.list(&ListParams::default()).await?.items.len()
        + workflows.list(&ListParams::default()).await?.items.len();
    until("a reconcile of everything", || async {
        let done = second.metric("kbnt_operator_reconciles_total", &[], &[]).await?;
        let waiting = second.metric("kbnt_operator_queue_depth", &[], &[]).await?;
        let all = u32::try_from(present).map_err(Failure::from)?;
        expect(done >= f64::from(all) && waiting == 0.0, || format!("{done} of {all}, {waiting} wait"))
    })
    .await?;
    let writes = second.metric("kbnt_operator_api_writes_total", &[], &["leases"]).await?;
    let (_, metrics) = second.get("/metrics").await?;
    let counters: Vec<_> =
        metrics.lines().filter(|line| line.starts_with("kbnt_operator_api_writes_total")).collect();
    expect(writes == 0.0, || format!("{writes} writes: {counters:#?}"))?;
    println!("{present} resources reconciled after a restart without a write");
    let status = second.stop().await?;
    expect(status.success(), || format!("{status}"))
}

/// Runs after the process under test has ended: a leader that hangs is replaced, and ends when it wakes up.
pub(crate) async fn a_leader_that_hangs_is_replaced(suite: &Suite) -> Verdict {
    let start = async |name| {
        suite.another_operator(&Start { name, account: (SYSTEM, "kbnt"), env: &crate::users::RIGHTS }).await
    };
    let leads = async |operator: &Operator| {
        until("the lead", || async {
            let leads = operator.metric("kbnt_operator_leader", &[], &[]).await?;
            expect(leads > 0.0, || "not the leader".into())
        })
        .await
    };
    let first = start("hanging-0").await?;
    leads(&first).await?;
    let second = start("hanging-1").await?;
    until("the second process ready", || async {
        expect(second.get("/readyz").await?.0 == 200, || "not ready".into())
    })
    .await?;
    first.signal("STOP")?;
    leads(&second).await?;
    suite.shop("takeover").await?.open().await?;
    first.signal("CONT")?;
    let status = first.ended().await?;
    expect(!status.success(), || "it did not notice that it leads no more".into())?;
    let status = second.stop().await?;
    expect(status.success(), || format!("{status}"))
}

/// Runs last: an operator that is installed for one namespace has the rights that it needs there, and does
/// not look at others.
pub(crate) async fn an_operator_of_one_namespace_stays_there(suite: &Suite) -> Verdict {
    let home = "kbnt-namespaced";
    make_namespace(&suite.client, home).await?;
    let (near, far) = (suite.shop("near").await?, suite.shop("far").await?);
    apply_manifest(&suite.client, include_str!("namespaced.yaml")).await?;
    far.create(&stock("far", KAFKA)?).await?;
    let env = [("KBNT_WATCH_NAMESPACES", "near"), ("KBNT_KAFKA_NAMESPACES", KAFKA)];
    let operator = suite.another_operator(&Start { name: home, account: (home, home), env: &env }).await?;
    near.open().await?;
    let far = far.api::<VirtualStock>().get("main").await?;
    expect(far.status.is_none(), || "a resource elsewhere was touched".into())?;
    near.delete::<OrderWorkflow>().await?;
    near.delete::<VirtualStock>().await?;
    // A Kafka cluster beyond its reach is reported, without a try.
    near.create(&stock("near", "kafka-manual")?).await?;
    let condition = near.stock_is("TopicsReady", "False", "InvalidSpec").await?;
    expect(condition.message.contains("kafkaNamespaces"), || condition.message.clone())?;
    let writes = operator.metric("kbnt_operator_api_writes_total", &["code=\"403\""], &[]).await?;
    let reads = operator.metric("kbnt_operator_api_reads_total", &["code=\"403\""], &[]).await?;
    expect(writes + reads == 0.0, || format!("{writes} writes and {reads} reads were forbidden"))?;
    let status = operator.stop().await?;
    expect(status.success(), || format!("{status}"))
}
