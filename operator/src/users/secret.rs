//! The Secrets that users log in with: Strimzi's, and copies in the namespace of the pods, because a pod can
//! mount only those.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::ServiceUser;
use crate::labels::labels;
use crate::owned::{ObservedSecret, USER_LABEL, keys};
use crate::ownership::Owner;

/// The copy of the Secret that Strimzi made for `user`, once it is complete.
pub(super) fn copy(owner: &Owner, user: &ServiceUser, source: &ObservedSecret) -> Option<Secret> {
    let wanted = |key: &&str| {
        let value = source.data.get(*key).filter(|value| !value.0.is_empty())?;
        Some(((*key).to_owned(), value.clone()))
    };
    let data: Option<BTreeMap<_, _>> = keys(user.authentication).iter().map(wanted).collect();
    let mut labels = labels(&owner.name, &user.component);
    labels.insert(USER_LABEL.into(), user.name.clone());
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
