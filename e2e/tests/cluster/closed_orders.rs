//! The archive of closed orders, on a volume of its own for each pod of inventory-service.

use std::time::Duration;

use kbnt_e2e::harness::{Failure, Http, Shop, Volumes, until};
use serde_json::{Value, json};

/// How long a container or a pod may take to be back.
const BACK: Duration = Duration::from_mins(3);

/// The one pod of inventory-service.
fn pod(shop: &Shop) -> Result<Value, Failure> {
    let pods = shop.kubectl.get(&["pods", "--selector", "app.kubernetes.io/component=inventory-service"])?;
    match pods["items"].as_array().map(Vec::as_slice) {
        Some([pod]) => Ok(pod.clone()),
        others => Err(Failure(format!("not one pod: {others:?}"))),
    }
}

/// The bytes of the archive, as the pod tells them.
fn archived_bytes(inventory: &Http) -> Result<f64, Failure> {
    let metrics = inventory.get_text("/metrics")?;
    let line = metrics.lines().find_map(|line| line.strip_prefix("kbnt_archive_bytes "));
    line.and_then(|bytes| bytes.parse().ok()).ok_or_else(|| Failure("no kbnt_archive_bytes".into()))
}

/// Has the kubelet end the container and start another one in the same pod: the image gets another name of itself.
fn restart_container(shop: &Shop) -> Result<(), Failure> {
    let before = pod(shop)?;
    let (name, image) = (&before["metadata"]["name"], &before["spec"]["containers"][0]["image"]);
    let (name, image) = (name.as_str().unwrap_or_default(), image.as_str().unwrap_or_default());
    let other = image.strip_prefix("docker.io/").map_or_else(|| format!("docker.io/{image}"), str::to_owned);
    shop.kubectl.run(&["set", "image", &format!("pod/{name}"), &format!("service={other}")])?;
    until("another container in the same pod", BACK, || {
        let now = pod(shop)?;
        let status = &now["status"]["containerStatuses"][0];
        let restarted = status["restartCount"].as_u64() > Some(0) && status["ready"] == true;
        if restarted && now["metadata"]["uid"] == before["metadata"]["uid"] {
            Ok(())
        } else {
            Err(Failure(status.to_string()))
        }
    })?;
    shop.ready()
}

#[test]
fn a_repeated_request_is_answered_right_after_container_pod_and_volume_were_replaced() -> Result<(), Failure>
{
    let shop = Shop::namespace("closed-orders")?;
    // One for the first pod, one for the next, and one to spare.
    let volumes = Volumes::make(&shop, 3)?;
    shop.apply_samples_with(|resource| {
        if resource["kind"] == "VirtualStock" {
            let claim = json!({"size": "256Mi", "storageClassName": volumes.class});
            resource["spec"]["closedOrders"] = json!({"window": "720h", "volumeClaim": claim});
        }
    })?;
    shop.ready()?;
    let placed = shop.confirmed_order("closed", BACK)?;
    let inventory = shop.service("inventory-service")?;
    let reservation = placed["reservationId"].as_str().unwrap_or_default().to_owned();
    // Nothing is sold twice, and the writer knows how the order ended.
    let as_before = || {
        let again = shop.confirmed_order("closed", BACK)?;
        assert_eq!(
            (&again["orderId"], &again["amount"]),
            (&placed["orderId"], &placed["amount"]),
            "{again:?}"
        );
        until("the reservation and the level", BACK, || {
            let known = inventory.get(&format!("/v1/reservations/{reservation}"))?;
            let level = inventory.get("/v1/stock/PROD-001")?;
            let right = known.body["state"] == "CONFIRMED" && level.body["real"] == 99;
            if right { Ok(()) } else { Err(Failure(format!("{known:?} {level:?}"))) }
        })?;
        until("the archive", BACK, || {
            let bytes = archived_bytes(&inventory)?;
            if bytes > 0.0 { Ok(()) } else { Err(Failure(format!("{bytes} bytes"))) }
        })
    };
    as_before()?;

    let claims = shop.claims()?;
    restart_container(&shop)?;
    assert_eq!(shop.claims()?, claims, "the volume stays with its pod");
    as_before()?;

    shop.replace_pod_and_volume("inventory-service")?;
    as_before()?;

    shop.delete_with_claims()?;
    volumes.delete()
}
