//! Watches KafkaUsers while the cluster serves them, and the Secrets by which they log in.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kbnt_crds::KafkaUser;
use kube::ResourceExt;
use kube::api::ApiResource;
use tracing::warn;

use super::secret::LABEL;
use super::{ObservedSecret, ObservedUser};
use crate::context::{Context, UserStore};
use crate::drift::DriftCheck;
use crate::kube::{CacheWriter, MetadataCache, Scope, Wanted, Watch, watch_objects};
use crate::labels::managed;
use crate::ownership::Owner;
use crate::watches::{wake, wake_owners};

/// Keeps a note of each of the operator's KafkaUsers, and wakes their owners.
pub async fn follow(context: &Arc<Context>, resource: ApiResource) {
    let notes = Arc::<MetadataCache<ObservedUser>>::default();
    let mut recognizer = DriftCheck::new(context);
    let version = resource.clone();
    let keep = CacheWriter::new(Arc::clone(&notes), move |user: &KafkaUser| {
        recognizer.look_at_signed(user, |parts| {
            let wanted = parts.users.iter().find(|wanted| wanted.name == user.name_any());
            wanted.map(|wanted| Wanted::new(&wanted.object, version.clone()))
        });
        ObservedUser::of(user)
    });
    let apis = context.kafka_scope.apis_with(&context.client, &resource);
    let mut events = std::pin::pin!(watch_objects(apis, &resource, &managed(), keep));
    while let Some(event) = events.next().await {
        match event {
            Watch::Complete => {
                let store = UserStore { resource: resource.clone(), notes: Arc::clone(&notes) };
                context.users.send_replace(Some(store));
                context.wake_all();
            }
            Watch::Touched(user) => {
                if let Some((kind, namespace, name)) = Owner::signed(&user.metadata) {
                    wake(context, kind, namespace, name);
                }
            }
            Watch::Unreadable(what) => warn!(why = what.why, "a KafkaUser cannot be read"),
        }
    }
}

/// Keeps what pods need of the users' Secrets in these namespaces, Strimzi's and the copies, and wakes their owners.
pub async fn follow_secrets(context: &Arc<Context>, namespaces: &[String]) {
    let keep = CacheWriter::new(Arc::clone(&context.stores.secrets), ObservedSecret::of);
    let apis = Scope::of(namespaces).apis::<_>(&context.client);
    let mut events = std::pin::pin!(watch_objects::<Secret, _>(apis, &(), LABEL, keep));
    while let Some(event) = events.next().await {
        match event {
            Watch::Complete => context.wake_all(),
            Watch::Touched(secret) => {
                wake_owners(context, &secret.metadata);
                if let Some((kind, namespace, name)) = Owner::signed(&secret.metadata) {
                    wake(context, kind, namespace, name);
                }
            }
            Watch::Unreadable(what) => warn!(why = what.why, "a Secret of a user cannot be read"),
        }
    }
}
