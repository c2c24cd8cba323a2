//! What is kept of the Secrets by which users log in: Strimzi's, and the copies beside the pods.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kbnt_crds::virtual_stock::UserAuthentication;

/// Label of the Secrets of a user: its name.
pub const USER_LABEL: &str = "kbnt.dev/kafka-user";

/// The keys that pods mount.
pub fn keys(authentication: UserAuthentication) -> &'static [&'static str] {
    match authentication {
        UserAuthentication::ScramSha512 => &["password"],
        UserAuthentication::Tls => &["user.crt", "user.key"],
    }
}

/// What is kept of a Secret of a user. It is not shown in any log.
#[derive(Clone)]
pub struct ObservedSecret {
    /// What pods mount.
    pub data: BTreeMap<String, ByteString>,
}

impl ObservedSecret {
    /// Of a Secret: what pods mount of it.
    pub fn of(secret: &Secret) -> Self {
        let all = [UserAuthentication::ScramSha512, UserAuthentication::Tls].map(keys).concat();
        let kept = |(key, _): &(&String, &ByteString)| all.contains(&key.as_str());
        let data = secret.data.iter().flatten().filter(kept);
        Self { data: data.map(|(key, value)| (key.clone(), value.clone())).collect() }
    }
}
