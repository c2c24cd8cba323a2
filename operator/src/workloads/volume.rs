//! Volumes of pods. Those of a single pod are made and deleted with it, and Kubernetes makes and deletes their claims.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, EphemeralVolumeSource, PersistentVolumeClaimSpec, PersistentVolumeClaimTemplate,
    PersistentVolumeClaimVolumeSource, Volume, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kbnt_crds::volume_claim::VolumeClaim;

use super::Role;
use crate::labels::selector;

/// A volume of this name that is claimed for each pod. The claim has the pod's name with that of the volume behind it.
pub(super) fn claimed(name: &str, asked: &VolumeClaim, resource: &str, role: Role) -> Volume {
    let template = PersistentVolumeClaimTemplate {
        // For those who look for the claims of a service.
        metadata: Some(ObjectMeta {
            labels: Some(selector(resource, &role.component())),
            ..ObjectMeta::default()
        }),
        spec: PersistentVolumeClaimSpec {
            access_modes: Some(asked.access_modes.iter().map(|mode| mode.as_str().to_owned()).collect()),
            storage_class_name: asked.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), asked.size.clone())])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        },
    };
    Volume {
        name: name.into(),
        ephemeral: Some(EphemeralVolumeSource { volume_claim_template: Some(template) }),
        ..Volume::default()
    }
}

/// A volume of this name that any number of pods mount by the same claim.
pub(super) fn shared(name: &str, claim: &str) -> Volume {
    Volume {
        name: name.into(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim.into(),
            ..PersistentVolumeClaimVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// A volume of this name on the node's own disk. A pod that writes more than the limit is evicted.
pub(super) fn on_node(name: &str, limit: &str) -> Volume {
    Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(limit.into())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

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
            let asked = serde_json::from_value(asked).unwrap();
            let made = serde_json::to_value(claimed("history", &asked, "main", Role::Order)).unwrap();
            assert_eq!(made["name"], "history");
            let claim = &made["ephemeral"]["volumeClaimTemplate"];
            assert_eq!(claim["spec"]["accessModes"], modes);
            assert_eq!(claim["spec"]["storageClassName"], class);
            assert_eq!(claim["spec"]["resources"], json!({"requests": {"storage": size}}));
            assert_eq!(claim["metadata"]["labels"]["app.kubernetes.io/instance"], "main");
            assert_eq!(claim["metadata"]["labels"]["app.kubernetes.io/component"], "order-service");
        }
    }

    #[test]
    fn the_disk_of_the_node_is_used_up_to_a_limit() {
        let made = serde_json::to_value(on_node("snapshots", "2Gi")).unwrap();
        assert_eq!(made, json!({"name": "snapshots", "emptyDir": {"sizeLimit": "2Gi"}}));
    }
}
