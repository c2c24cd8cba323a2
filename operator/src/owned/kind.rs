//! The properties of a kind in the table.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, DeserializeGuard};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Caches;
use crate::error::Error;
use crate::kube::{MetadataCache, Scope};
use crate::ownership::Owner;

/// One API per watch that a scope needs.
pub type Apis<K> = Vec<(Option<String>, Api<DeserializeGuard<K>>)>;

/// What the cluster serves.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Served {
    /// Whether both resources of this operator are served.
    pub own: bool,
    /// The version of KafkaTopic to use, if it is served.
    pub kafka_topic: Option<&'static str>,
    /// The version of KafkaUser to use, if it is served.
    pub kafka_user: Option<&'static str>,
    /// Whether KEDA's ScaledObjects are served.
    pub keda: bool,
}

/// How far the operator reaches.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The namespaces whose resources it reconciles.
    pub resources: Scope,
    /// The namespaces in which Kafka clusters may be.
    pub kafka: Scope,
    /// Whether it may have Strimzi make users there.
    pub users: bool,
    /// The namespaces in which Secrets of users may be, if any.
    pub user_secrets: Option<Scope>,
}

/// Where the objects of a kind are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Area {
    /// In the namespaces of the resources.
    Resources,
    /// In the namespaces of Kafka clusters.
    KafkaClusters,
    /// In the namespaces of Kafka clusters, if the operator may make users.
    KafkaUsers,
    /// In the namespaces in which Secrets of users may be.
    UserSecrets,
}

impl Area {
    /// The namespaces to look at, if the operator may look at any.
    pub fn scope(self, reach: &Reach) -> Option<&Scope> {
        match self {
            Self::Resources => Some(&reach.resources),
            Self::KafkaClusters => Some(&reach.kafka),
            Self::KafkaUsers => Some(&reach.kafka).filter(|_| reach.users),
            Self::UserSecrets => reach.user_secrets.as_ref(),
        }
    }
}

/// How an object names its owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ownership {
    /// By an owner reference, in the same namespace.
    Controller,
    /// By an annotation, possibly in another namespace.
    Signature,
}

impl Ownership {
    /// The owner of a live object, if it is not this one.
    pub fn other_than(self, owner: &Owner, meta: &ObjectMeta) -> Option<String> {
        match self {
            Self::Controller => owner.other_controller(meta),
            Self::Signature => owner.other_holder(meta),
        }
    }

    /// Kind, namespace and name of the owner of a live object.
    pub fn owner_of(self, meta: &ObjectMeta) -> Option<(&str, &str, &str)> {
        match self {
            Self::Controller => {
                let owners = meta.owner_references.iter().flatten();
                let owner = owners.into_iter().find(|owner| owner.controller == Some(true))?;
                Some((&owner.kind, meta.namespace.as_deref().unwrap_or_default(), &owner.name))
            }
            Self::Signature => Owner::signed(meta),
        }
    }
}

/// The properties of a kind in the table, besides its types.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What the operator may do with its objects.
    pub verbs: &'static [&'static str],
    /// Where they are.
    pub area: Area,
    /// The version to use while the cluster serves the kind.
    pub version: fn(&Served) -> Option<&'static str>,
    /// The labels that select them.
    pub labels: fn() -> String,
    /// How they name their owner.
    pub ownership: Ownership,
    /// Whether every reconcile waits until all objects are cached. A kind that not every cluster serves may
    /// be unreadable; then the operator goes on without it, and the conditions say so.
    pub required: bool,
}

/// A kind of objects that the operator owns.
pub trait Owned:
    Resource<DynamicType: Clone + Debug + Eq + Hash + Send + Sync>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// What is kept of an object besides the fingerprint of its metadata.
    type Observed: Clone + Send + Sync + 'static;
    /// Name of the kind in the API.
    const NAME: &'static str;
    /// Its other properties in the table.
    const KIND: Kind;

    /// What is kept of this object.
    fn observe(&self) -> Self::Observed;
    /// Where it is kept.
    fn cache(caches: &Caches) -> &Arc<MetadataCache<Self::Observed>>;
    /// Group, version and plural where the cluster serves this version.
    fn in_version(version: &str) -> ApiResource;
    /// Group, version and plural that the cluster serves, if it serves the kind.
    fn served(caches: &Caches) -> Result<ApiResource, Error>;
    /// The resource in the form that the type needs.
    fn dynamic_type(resource: &ApiResource) -> Self::DynamicType;
    /// The API of each part of this scope.
    fn apis(scope: &Scope, client: &Client, resource: &ApiResource) -> Apis<Self>;
}

/// Does the same for each kind.
pub trait Visitor {
    /// The result.
    type Output;
    /// Does it for one kind.
    fn visit<K: Owned>(&self) -> Self::Output;
}
