//! Where order-service keeps the history of orders: a volume that is claimed for the pod, and deleted with it.
//!
//! Kubernetes makes and deletes the claims, so the operator needs no right on them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    EphemeralVolumeSource, PersistentVolumeClaimSpec, PersistentVolumeClaimTemplate, Volume,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kbnt_crds::read_model::{ReadModelSpec, VolumeClaim};

use super::Role;
use super::data_dir::DataDir;
use super::pod::plain;
use crate::labels::selector;

/// Name of the volume. That of the claim is the pod's with this behind it.
const NAME: &str = "history";
/// Its folder in the pod.
const FOLDER: &str = "/var/lib/kbnt/history";

pub(super) fn data_dir(spec: &ReadModelSpec, resource: &str, role: Role) -> DataDir {
    let mut env = vec![plain("KBNT_HISTORY_DIR", FOLDER)];
    env.extend(spec.retention.iter().map(|time| plain("KBNT_HISTORY_RETENTION", time)));
    let template = PersistentVolumeClaimTemplate {
        // For those who look for the claims of a service.
        metadata: Some(ObjectMeta {
            labels: Some(selector(resource, &role.component())),
            ..ObjectMeta::default()
        }),
        spec: claim(&spec.volume_claim),
    };
    DataDir {
        env,
        volume: Volume {
            name: NAME.into(),
            ephemeral: Some(EphemeralVolumeSource { volume_claim_template: Some(template) }),
            ..Volume::default()
        },
        path: FOLDER,
    }
}

fn claim(asked: &VolumeClaim) -> PersistentVolumeClaimSpec {
    PersistentVolumeClaimSpec {
        access_modes: Some(asked.access_modes.iter().map(|mode| mode.as_str().to_owned()).collect()),
        storage_class_name: asked.storage_class_name.clone(),
        resources: Some(VolumeResourceRequirements {
            requests: Some(BTreeMap::from([("storage".to_owned(), asked.size.clone())])),
            limits: None,
        }),
        ..PersistentVolumeClaimSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(spec: Value) -> Value {
        let spec: ReadModelSpec = serde_json::from_value(spec).unwrap();
        let made = data_dir(&spec, "main", Role::Order);
        json!({"env": made.env, "volume": made.volume, "mount": made.mount()})
    }

    #[test]
    fn each_pod_claims_a_volume_of_its_own_with_what_the_resource_asks_for() {
        let class = json!({"size": "20Gi", "storageClassName": "fast", "accessModes": ["ReadWriteOncePod"]});
        let bare = json!({"size": "1Gi"});
        let none = json!({"size": 1_073_741_824, "storageClassName": ""});
        for (asked, modes, class, size) in [
            (class, json!(["ReadWriteOncePod"]), json!("fast"), "20Gi"),
            // The cluster's default class.
            (bare, json!(["ReadWriteOnce"]), Value::Null, "1Gi"),
            // No class.
            (none, json!(["ReadWriteOnce"]), json!(""), "1073741824"),
        ] {
            let made = made(json!({"volumeClaim": asked}));
            let claim = &made["volume"]["ephemeral"]["volumeClaimTemplate"];
            assert_eq!(claim["spec"]["accessModes"], modes);
            assert_eq!(claim["spec"]["storageClassName"], class);
            assert_eq!(claim["spec"]["resources"], json!({"requests": {"storage": size}}));
            assert_eq!(claim["metadata"]["labels"]["app.kubernetes.io/instance"], "main");
            assert_eq!(claim["metadata"]["labels"]["app.kubernetes.io/component"], "order-service");
        }
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
