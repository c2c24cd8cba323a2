//! What the pods of a service need to take turns: a lease, and the right to hold it.

use std::str::FromStr;

use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use thiserror::Error;

use super::plain;
use super::pod::from_field;
use crate::error::Error as Failure;
use crate::topics::Owner;

/// The role that lets a pod hold a lease in its namespace: it comes with the operator, which may bind this one and no
/// other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StandbyRole {
    kind: String,
    name: String,
}

/// Not the name of a role.
#[derive(Debug, Error)]
#[error("a role is named by ClusterRole/NAME or Role/NAME")]
pub struct UnnamedRole;

impl FromStr for StandbyRole {
    type Err = UnnamedRole;

    fn from_str(text: &str) -> Result<Self, UnnamedRole> {
        match text.split_once('/') {
            Some((kind @ ("ClusterRole" | "Role"), name)) if !name.is_empty() => {
                Ok(Self { kind: kind.into(), name: name.into() })
            }
            _ => Err(UnnamedRole),
        }
    }
}

impl StandbyRole {
    /// Lets the account of this name hold a lease.
    pub(super) fn bind(&self, metadata: ObjectMeta, account: &str) -> RoleBinding {
        RoleBinding {
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".into(),
                name: account.to_owned(),
                namespace: metadata.namespace.clone(),
                api_group: None,
            }]),
            role_ref: RoleRef {
                api_group: Some("rbac.authorization.k8s.io".into()),
                kind: self.kind.clone(),
                name: self.name.clone(),
            },
            metadata,
        }
    }
}

/// What tells a pod to take turns by the lease of this name, which goes with `owner`.
pub fn in_turn(owner: &Owner, lease: &str) -> Result<Vec<EnvVar>, Failure> {
    let reference = serde_json::to_string(&owner.reference(false))?;
    Ok(vec![
        plain("KBNT_LEASE", format!("{}/{lease}", owner.namespace)),
        plain("KBNT_LEASE_OWNER", reference),
        from_field("KBNT_ADVERTISED_ADDRESS", "status.podIP"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_named_with_its_kind() {
        let role: StandbyRole = "ClusterRole/kbnt-standby".parse().unwrap();
        assert_eq!((role.kind.as_str(), role.name.as_str()), ("ClusterRole", "kbnt-standby"));
        for wrong in ["", "kbnt-standby", "Role/", "Group/a"] {
            assert!(wrong.parse::<StandbyRole>().is_err(), "{wrong}");
        }
    }
}
