//! What the pods of a service need to take turns: a lease, and the right to hold this lease and no other.

use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::plain;
use super::pod::from_field;
use crate::error::Error;
use crate::ownership::Owner;

/// What lets the pods of a service hold its lease.
#[derive(Clone, Debug, PartialEq)]
pub struct Standby {
    /// The role.
    pub role: Role,
    /// Its binding to the account of the service.
    pub binding: RoleBinding,
}

/// Name of the binding for the service of this name. While all stocks shared a role, the binding had the name
/// of the service, and the role that a binding refers to can never change.
fn binding_name(service: &str) -> String {
    format!("{service}-lease")
}

impl Standby {
    /// Lets the account of the service hold the lease of the same name. `metadata` is that of the service.
    pub(super) fn of(metadata: &ObjectMeta) -> Self {
        let service = metadata.name.clone().unwrap_or_default();
        let rule = |verbs: &[&str], names: Option<Vec<String>>| PolicyRule {
            api_groups: Some(vec!["coordination.k8s.io".into()]),
            resources: Some(vec!["leases".into()]),
            resource_names: names,
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            ..PolicyRule::default()
        };
        Self {
            role: Role {
                metadata: metadata.clone(),
                rules: Some(vec![
                    // To hold its lease, to see the holder, and to learn when the holder releases it.
                    rule(&["get", "watch", "patch"], Some(vec![service.clone()])),
                    // To create it. An object that does not exist yet has no name for the API server.
                    rule(&["create"], None),
                ]),
            },
            binding: RoleBinding {
                metadata: ObjectMeta { name: Some(binding_name(&service)), ..metadata.clone() },
                subjects: Some(vec![Subject {
                    kind: "ServiceAccount".into(),
                    name: service.clone(),
                    namespace: metadata.namespace.clone(),
                    api_group: None,
                }]),
                role_ref: RoleRef {
                    api_group: Some("rbac.authorization.k8s.io".into()),
                    kind: "Role".into(),
                    name: service,
                },
            },
        }
    }
}

/// The variables that make a pod take turns by the lease of this name, which is deleted with `owner`.
pub fn in_turn(owner: &Owner, lease: &str) -> Result<Vec<EnvVar>, Error> {
    let reference = serde_json::to_string(&owner.reference(false))?;
    Ok(vec![
        plain("KBNT_LEASE", format!("{}/{lease}", owner.namespace)),
        plain("KBNT_LEASE_OWNER", reference),
        from_field("KBNT_ADVERTISED_ADDRESS", "status.podIP"),
    ])
}
