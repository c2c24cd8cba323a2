//! Where order-service keeps the history of orders: a volume that is claimed for the pod, and deleted with it.

use kbnt_crds::read_model::ReadModelSpec;

use super::data_dir::DataDir;
use super::pod::plain;
use super::{Role, volume};

/// Its folder in the pod.
const FOLDER: &str = "/var/lib/kbnt/history";

pub(super) fn data_dir(spec: &ReadModelSpec, resource: &str, role: Role) -> DataDir {
    let mut env = vec![plain("KBNT_HISTORY_DIR", FOLDER)];
    env.extend(spec.retention.iter().map(|time| plain("KBNT_HISTORY_RETENTION", time)));
    DataDir { env, volume: volume::claimed("history", &spec.volume_claim, resource, role), path: FOLDER }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(spec: Value) -> Value {
        let spec: ReadModelSpec = serde_json::from_value(spec).unwrap();
        let made = data_dir(&spec, "main", Role::Order);
        json!({"env": made.env, "mount": made.mount()})
    }

    #[test]
    fn the_service_learns_where_the_volume_is_and_for_how_long_orders_are_kept() {
        let forever = made(json!({"volumeClaim": {"size": "1Gi"}}));
        let folder = json!({"name": "KBNT_HISTORY_DIR", "value": "/var/lib/kbnt/history"});
        assert_eq!(forever["env"], json!([folder]));
        assert_eq!(forever["mount"], json!({"name": "history", "mountPath": "/var/lib/kbnt/history"}));
        let year = made(json!({"volumeClaim": {"size": "1Gi"}, "retention": "8760h"}));
        assert_eq!(year["env"][1], json!({"name": "KBNT_HISTORY_RETENTION", "value": "8760h"}));
    }
}
