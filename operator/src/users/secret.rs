//! The Secrets by which users log in: Strimzi's, and the copies beside the pods, as a pod mounts none of another namespace.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kbnt_crds::virtual_stock::UserAuthentication;

use super::ServiceUser;
use crate::kube::fingerprint;
use crate::labels::labels;
use crate::ownership::Owner;

/// Label of these Secrets: the user.
pub(super) const LABEL: &str = "kbnt.dev/kafka-user";

/// The keys that pods mount.
fn keys(authentication: UserAuthentication) -> &'static [&'static str] {
    match authentication {
        UserAuthentication::ScramSha512 => &["password"],
        UserAuthentication::Tls => &["user.crt", "user.key"],
    }
}

/// What is kept of a Secret of a user. It is not shown in any log.
#[derive(Clone)]
pub struct ObservedSecret {
    /// Differs when anything differs.
    pub fingerprint: u64,
    data: BTreeMap<String, ByteString>,
}

impl ObservedSecret {
    /// Of a Secret: what pods mount of it.
    pub fn of(secret: &Secret) -> Self {
        let all = [UserAuthentication::ScramSha512, UserAuthentication::Tls].map(keys).concat();
        let kept = |(key, _): &(&String, &ByteString)| all.contains(&key.as_str());
        let data = secret.data.iter().flatten().filter(kept);
        Self {
            fingerprint: fingerprint(&secret.metadata),
            data: data.map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

/// The copy of what Strimzi made for `user`, once that is all there.
pub(super) fn copy(owner: &Owner, user: &ServiceUser, source: &ObservedSecret) -> Option<Secret> {
    let wanted = |key: &&str| {
        let value = source.data.get(*key).filter(|value| !value.0.is_empty())?;
        Some(((*key).to_owned(), value.clone()))
    };
    let data: Option<BTreeMap<_, _>> = keys(user.authentication).iter().map(wanted).collect();
    let mut labels = labels(&owner.name, &user.component);
    labels.insert(LABEL.into(), user.name.clone());
    Some(Secret {
        metadata: ObjectMeta {
            name: Some(user.name.clone()),
            namespace: Some(owner.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(vec![owner.reference(true)]),
            ..ObjectMeta::default()
        },
        data: Some(data?),
        type_: Some("Opaque".into()),
        ..Secret::default()
    })
}
