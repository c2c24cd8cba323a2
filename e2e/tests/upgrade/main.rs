//! An operator, its services and their definitions are upgraded while orders come in: none is lost.
//!
//! `upgrade.sh` runs it, where `KUBECONFIG` and `kubectl` are set up, on a cluster with the earlier revision
//! installed. It creates the file `under-load` in the folder `KBNT_UPGRADE_DIR` once orders arrive, and waits
//! there for the file `upgraded`, which names the images of the operator and of the services that must run by
//! then.

mod load;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::DateTime;
use kbnt_e2e::harness::{Failure, Http, Shop, until};
use load::{Acknowledged, Load};
use serde_json::{Value, json};

/// Products of the samples that are ordered.
const PRODUCTS: [&str; 3] = ["PROD-001", "PROD-002", "PROD-003"];
/// Units of each, enough that nothing runs out.
const RECEIVED: u64 = 1_000_000;
/// Orders before the upgrade begins.
const BEFORE: usize = 50;
/// How long the installation of the new revision may take, including images.
const UPGRADE: Duration = Duration::from_mins(20);
/// How long pods may take to be replaced.
const ROLLOUT: Duration = Duration::from_mins(5);
/// For how long orders arrive after that.
const AFTER: Duration = Duration::from_secs(10);
/// How long the last orders may take to end.
const END: Duration = Duration::from_mins(2);

#[test]
fn no_order_is_lost() -> Result<(), Failure> {
    let folder = variable("KBNT_UPGRADE_DIR")?;
    let folder = Path::new(&folder);
    let samples = variable("KBNT_UPGRADE_SAMPLES")?;
    let shop = Shop::namespace("upgrade")?;
    shop.apply_samples_of(&PathBuf::from(samples), |resource| {
        for product in resource["spec"]["products"].as_array_mut().into_iter().flatten() {
            product["received"] = json!(RECEIVED);
        }
    })?;
    shop.ready()?;
    let (orders, inventory) = (shop.service("order-service")?, shop.service("inventory-service")?);
    until("an answer", ROLLOUT, || orders.get("/v1/orders?limit=1").map(drop))?;

    let load = Load::start(&orders, &PRODUCTS);
    until("orders before the upgrade", ROLLOUT, || at_least(&load, BEFORE))?;
    write(&folder.join("under-load"))?;
    let images = until("the upgrade", UPGRADE, || read(&folder.join("upgraded")))?;
    let (before, images) = (load.acknowledged(), images.split_whitespace().collect::<Vec<_>>());
    until("every pod of the new revision", ROLLOUT, || rolled_out(&shop, &images))?;
    shop.ready()?;
    println!("restarts of the pods that are there now: {}", restarts(&shop)?);
    let rolled = load.acknowledged();
    std::thread::sleep(AFTER);
    let done = load.stop()?;
    println!(
        "{} orders acknowledged: {before} until helm was done, {rolled} until every pod was new; {} attempts failed; \
         {:.1} s without an acknowledgement at most",
        done.acknowledged.len(),
        done.failed,
        done.pause.as_secs_f64()
    );
    if done.acknowledged.len() <= rolled {
        return Err(Failure("no order came in after the upgrade".into()));
    }
    every_order_ended(&orders, &done.acknowledged)
        .and_then(|ends| the_books_balance(&inventory, &ends))
        .and_then(|()| the_audit_chain_holds(&shop))
}

fn variable(name: &str) -> Result<String, Failure> {
    std::env::var(name).map_err(|error| Failure(format!("{name}: {error}")))
}

fn write(path: &Path) -> Result<(), Failure> {
    std::fs::write(path, "").map_err(|error| Failure(format!("{}: {error}", path.display())))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure(format!("{}: {error}", path.display())))
}

fn at_least(load: &Load, orders: usize) -> Result<(), Failure> {
    let acknowledged = load.acknowledged();
    if acknowledged >= orders { Ok(()) } else { Err(Failure(format!("{acknowledged} so far"))) }
}

/// Whether the operator and each service run these images, and no earlier pod is left.
fn rolled_out(shop: &Shop, images: &[&str]) -> Result<(), Failure> {
    let operator = shop.kubectl.get(&["deployment", "--namespace", "kbnt-system", "kbnt"])?;
    let services = shop.kubectl.get(&["deployments"])?;
    let services = services["items"].as_array().cloned().unwrap_or_default();
    if services.len() < 6 {
        return Err(Failure(format!("{} services", services.len())));
    }
    for deployment in std::iter::once(&operator).chain(&services) {
        let (name, status) = (&deployment["metadata"]["name"], &deployment["status"]);
        let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        let wanted = &deployment["spec"]["replicas"];
        let settled = status["observedGeneration"] == deployment["metadata"]["generation"]
            && ["replicas", "updatedReplicas", "availableReplicas"]
                .iter()
                .all(|field| status[*field] == *wanted);
        if !settled || !images.iter().any(|known| image == known) {
            return Err(Failure(format!("{name} with image {image}: {status}")));
        }
    }
    Ok(())
}

/// The number of container restarts, by pod, without pods that never restarted.
fn restarts(shop: &Shop) -> Result<Value, Failure> {
    let pods = shop.kubectl.get(&["pods"])?;
    let restarted = |pod: &Value| {
        let count =
            pod["status"]["containerStatuses"][0]["restartCount"].as_u64().filter(|count| *count > 0)?;
        Some((pod["metadata"]["name"].as_str()?.to_owned(), json!(count)))
    };
    Ok(Value::Object(pods["items"].as_array().into_iter().flatten().filter_map(restarted).collect()))
}

/// From its command until its notification, by its own timeline.
fn lasted(order: &Value) -> Duration {
    let time = |entry: &Value| DateTime::parse_from_rfc3339(entry["timestamp"].as_str()?).ok();
    let times = || order["timeline"].as_array().into_iter().flatten().filter_map(time);
    let between = times().max().zip(times().min()).and_then(|(last, first)| (last - first).to_std().ok());
    between.unwrap_or_default()
}

/// Units of each product in confirmed orders.
type Sold = BTreeMap<&'static str, u64>;

/// Every acknowledged order is known and has ended.
fn every_order_ended(orders: &Http, acknowledged: &[Acknowledged]) -> Result<Sold, Failure> {
    let (mut sold, mut ends) = (Sold::new(), BTreeMap::<String, usize>::new());
    let mut times = Vec::with_capacity(acknowledged.len());
    for order in acknowledged {
        let (end, took) = until(&format!("the end of order {}", order.id), END, || {
            let answer = orders.get(&format!("/v1/orders/{}", order.id))?;
            match answer.body["status"].as_str() {
                Some(end) if answer.status == 200 && end != "PENDING" => {
                    Ok((end.to_owned(), lasted(&answer.body)))
                }
                _ => Err(Failure(format!("{answer:?}"))),
            }
        })?;
        times.push(took);
        if end == "CONFIRMED" {
            *sold.entry(order.product).or_default() += 1;
        }
        *ends.entry(end).or_default() += 1;
    }
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default().as_secs_f64();
    let longest = times.last().copied().unwrap_or_default().as_secs_f64();
    println!("{ends:?}; from order to end p50 {:.1} s, p95 {:.1} s, {longest:.1} s at most", at(50), at(95));
    let confirmed: u64 = sold.values().sum();
    // Nothing was out of stock, no payment was declined, nobody cancelled, and every reservation lives for
    // minutes.
    if usize::try_from(confirmed).ok() == Some(acknowledged.len()) {
        Ok(sold)
    } else {
        Err(Failure(format!("of {} orders not all were confirmed: {ends:?}", acknowledged.len())))
    }
}

/// The sold units are gone from the stock, nothing is reserved any more, and the ledger balances.
fn the_books_balance(inventory: &Http, sold: &Sold) -> Result<(), Failure> {
    until("balanced books", END, || {
        let summary = inventory.get("/v1/stock/summary")?.body;
        let wrong = |what: &str| Failure(format!("{what}: {summary}"));
        if summary["invariants"]["balanced"] != true {
            return Err(wrong("not balanced"));
        }
        if summary["totals"]["reserved"] != 0 || summary["totals"]["activeReservations"] != 0 {
            return Err(wrong("something is still reserved"));
        }
        let products = summary["products"].as_array().cloned().unwrap_or_default();
        for product in PRODUCTS {
            let level = products.iter().find(|level| level["productId"] == product);
            let left = RECEIVED - sold.get(product).copied().unwrap_or_default();
            if level.and_then(|level: &Value| level["real"].as_u64()) != Some(left) {
                return Err(wrong(&format!("{product} should have {left} left")));
            }
        }
        Ok(())
    })
}

/// The audit trail is whole, and has caught up.
fn the_audit_chain_holds(shop: &Shop) -> Result<(), Failure> {
    let verify = ["exec", "deployment/main-audit-service", "--", "/usr/local/bin/program", "audit", "verify"];
    let said = until("a whole audit trail", END, || shop.kubectl.run(&verify))?;
    println!("{}", said.trim());
    Ok(())
}
