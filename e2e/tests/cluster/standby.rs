//! One of two pods of inventory-service is active; when it goes, the other takes over.

use std::time::{Duration, Instant};

use kbnt_e2e::harness::{Failure, Shop, until};
use serde_json::json;

/// The lease ends after 5 s, and its successor has 2 s more; the rest is for a busy machine.
const TAKEOVER: Duration = Duration::from_secs(30);

/// How long pods may take to be replaced.
const READY: Duration = Duration::from_mins(3);

/// The active pod.
fn at_work(shop: &Shop) -> Result<String, Failure> {
    let lease = shop.kubectl.get(&["lease", "main-inventory-service"])?;
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    let pod = holder.split_once('_').map(|(pod, _)| pod.to_owned());
    pod.ok_or_else(|| Failure(format!("nobody holds the lease: {holder:?}")))
}

#[test]
fn the_second_pod_goes_on_where_the_first_one_ends() -> Result<(), Failure> {
    let shop = Shop::namespace("standby")?;
    shop.apply_samples_with(|resource| {
        if resource["kind"] == "VirtualStock" {
            resource["spec"]["inventory"] = json!({"replicas": 2});
        }
    })?;
    shop.ready()?;
    let inventory = shop.service("inventory-service")?;
    shop.confirmed_order("before", TAKEOVER)?;
    // Either pod answers, whichever the Service selects.
    until("the levels", TAKEOVER, || inventory.get("/v1/stock/PROD-001").map(drop))?;
    for _ in 0..20 {
        let level = inventory.get("/v1/stock/PROD-001")?;
        assert_eq!((level.status, &level.body["real"]), (200, &json!(99)), "{level:?}");
    }

    let first = at_work(&shop)?;
    shop.kubectl.run(&["delete", "pod", &first, "--grace-period=0", "--force", "--wait=false"])?;
    let deleted = Instant::now();
    // The kubelet lets it live a little longer than the API server shows.
    until("the other pod at work", TAKEOVER, || {
        let now = at_work(&shop)?;
        if now == first { Err(Failure(format!("{now} is still at work"))) } else { Ok(()) }
    })?;
    shop.confirmed_order("after", TAKEOVER)?;
    println!("the other pod confirmed an order {:?} after the first one was deleted", deleted.elapsed());
    until("both pods are there again", READY, || {
        shop.kubectl.expect_condition("virtualstock/main", "Ready", "True")?;
        let level = inventory.get("/v1/stock/PROD-001")?;
        if level.body["real"] == json!(98) { Ok(()) } else { Err(Failure(format!("{level:?}"))) }
    })?;
    shop.kubectl.run(&["delete", "orderworkflow,virtualstock", "--all", "--timeout=120s"])?;
    until("the lease and the right to hold it are gone", READY, || {
        let left = shop.kubectl.run(&["get", "leases,rolebindings", "-o", "name"])?;
        if left.is_empty() { Ok(()) } else { Err(Failure(left)) }
    })
}
