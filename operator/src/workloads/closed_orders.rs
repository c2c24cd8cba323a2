//! Where inventory-service keeps the archive of closed orders: always on a disk, as the orders of a window do not fit into its
//! memory.

use k8s_openapi::api::core::v1::EnvVar;
use kbnt_crds::closed_orders::ClosedOrdersSpec;

use super::data_dir::DataDir;
use super::pod::plain;
use super::{Role, volume};

/// Name of the volume.
const NAME: &str = "closed-orders";
/// Its folder in the pod.
const FOLDER: &str = "/var/lib/kbnt/closed-orders";
/// What a pod may take of its node's disk: room for 42 million orders, that is 70 a second for a week. Much more would often not be
/// there, and a disk that is full ends other pods, too.
const SIZE_LIMIT: u64 = 8 << 30;

pub(super) fn data_dir(spec: &ClosedOrdersSpec, resource: &str, role: Role) -> DataDir {
    let mut env = vec![plain("KBNT_STATE_DIR", FOLDER), window(spec)];
    let volume = if let Some(asked) = &spec.volume_claim {
        volume::claimed(NAME, asked, resource, role)
    } else {
        // A volume says itself how much room it has.
        env.push(plain("KBNT_STATE_LIMIT", SIZE_LIMIT.to_string()));
        volume::on_node(NAME, &format!("{}Gi", SIZE_LIMIT >> 30))
    };
    DataDir { env, volume, path: FOLDER }
}

/// For how long inventory-service remembers closed orders, for every service that must know.
pub fn window(spec: &ClosedOrdersSpec) -> EnvVar {
    plain("KBNT_CLOSED_ORDER_WINDOW", &spec.window)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(spec: Value) -> Value {
        let spec: ClosedOrdersSpec = serde_json::from_value(spec).unwrap();
        let made = data_dir(&spec, "main", Role::Inventory);
        json!({"env": made.env, "volume": made.volume, "mount": made.mount()})
    }

    #[test]
    fn the_archive_lies_on_the_disk_of_the_node_unless_a_volume_is_asked_for() {
        let bare = made(json!({}));
        assert_eq!(bare["volume"], json!({"name": "closed-orders", "emptyDir": {"sizeLimit": "8Gi"}}));
        assert_eq!(
            bare["mount"],
            json!({"name": "closed-orders", "mountPath": "/var/lib/kbnt/closed-orders"})
        );
        let claimed = made(json!({"volumeClaim": {"size": "50Gi", "storageClassName": "fast"}}));
        assert_eq!(claimed["mount"], bare["mount"]);
        assert_eq!(claimed["volume"]["emptyDir"], Value::Null);
        let claim = &claimed["volume"]["ephemeral"]["volumeClaimTemplate"];
        assert_eq!(claim["spec"]["storageClassName"], "fast");
        assert_eq!(claim["spec"]["resources"], json!({"requests": {"storage": "50Gi"}}));
        assert_eq!(claim["metadata"]["labels"]["app.kubernetes.io/component"], "inventory-service");
    }

    #[test]
    fn the_service_learns_where_the_archive_is_and_for_how_long_orders_are_remembered() {
        for (asked, window) in [(json!({}), "168h"), (json!({"window": "24h"}), "24h")] {
            assert_eq!(
                made(asked)["env"],
                json!([
                    {"name": "KBNT_STATE_DIR", "value": "/var/lib/kbnt/closed-orders"},
                    {"name": "KBNT_CLOSED_ORDER_WINDOW", "value": window},
                    {"name": "KBNT_STATE_LIMIT", "value": "8589934592"},
                ])
            );
        }
    }

    #[test]
    fn a_volume_needs_no_limit() {
        let env = made(json!({"volumeClaim": {"size": "50Gi"}}))["env"].clone();
        let names: Vec<_> = env.as_array().unwrap().iter().map(|variable| variable["name"].clone()).collect();
        assert_eq!(names, ["KBNT_STATE_DIR", "KBNT_CLOSED_ORDER_WINDOW"]);
    }
}
