//! What is kept of the Secrets that users log in with: Strimzi's, and the copies in the namespace of the
//! pods.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kbnt_crds::virtual_stock::UserAuthentication;

/// Label of a user's Secrets: the name of the user.
pub const USER_LABEL: &str = "kbnt.dev/kafka-user";

/// The keys that pods mount.
pub fn keys(authentication: UserAuthentication) -> &'static [&'static str] {
    match authentication {
        UserAuthentication::ScramSha512 => &["password"],
        UserAuthentication::Tls => &["user.crt", "user.key"],
    }
}

/// What is kept of a user's Secret. No log ever shows it.
#[derive(Clone)]
pub struct ObservedSecret {
    /// The entries that pods mount.
    pub data: BTreeMap<String, ByteString>,
}

impl ObservedSecret {
    /// Extracts from a Secret the entries that pods mount.
    pub fn of(secret: &Secret) -> Self {
        let all = [UserAuthentication::ScramSha512, UserAuthentication::Tls].map(keys).concat();
        let kept = |(key, _): &(&String, &ByteString)| all.contains(&key.as_str());
        let data = secret.data.iter().flatten().filter(kept);
        Self { data: data.map(|(key, value)| (key.clone(), value.clone())).collect() }
    }
}
