//! What the table says of a kind.

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

/// The API of each part of a scope that takes a watch of its own.
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
    /// Where it looks after resources.
    pub resources: Scope,
    /// Where Kafka clusters may be.
    pub kafka: Scope,
    /// Whether it may have Strimzi make users there.
    pub users: bool,
    /// Where the Secrets of users may be, if anywhere.
    pub user_secrets: Option<Scope>,
}

/// Where the objects of a kind are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Area {
    /// Beside the resources.
    Resources,
    /// Where Kafka clusters are.
    KafkaClusters,
    /// Where Kafka clusters are, if the operator may make users.
    KafkaUsers,
    /// Where the Secrets of users may be.
    UserSecrets,
}

impl Area {
    /// Where to look, if the operator may look there at all.
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
    /// By an owner reference: it lies in the same namespace.
    Controller,
    /// By an annotation: it may lie in another namespace.
    Signature,
}

impl Ownership {
    /// Whose a live object is, if not this owner's.
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

/// What the table says of a kind, besides its types.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What the operator may do with its objects.
    pub verbs: &'static [&'static str],
    /// Where they are.
    pub area: Area,
    /// The version to use, while the cluster serves the kind.
    pub version: fn(&Served) -> Option<&'static str>,
    /// The labels by which they are found.
    pub labels: fn() -> String,
    /// How they name their owner.
    pub ownership: Ownership,
    /// Whether nothing can be reconciled before all of them are known. What not every cluster serves may not be readable:
    /// then the operator goes on without, and the conditions say so.
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
    /// As the API calls it.
    const NAME: &'static str;
    /// What else the table says.
    const KIND: Kind;

    /// What is kept of this object.
    fn observe(&self) -> Self::Observed;
    /// Where it is kept.
    fn cache(caches: &Caches) -> &Arc<MetadataCache<Self::Observed>>;
    /// Group, version and plural where the cluster serves this version.
    fn in_version(version: &str) -> ApiResource;
    /// Group, version and plural as the cluster serves it, if it does.
    fn served(caches: &Caches) -> Result<ApiResource, Error>;
    /// As the type wants it.
    fn dynamic_type(resource: &ApiResource) -> Self::DynamicType;
    /// The API of each part of this scope.
    fn apis(scope: &Scope, client: &Client, resource: &ApiResource) -> Apis<Self>;
}

/// Does the same for each kind.
pub trait Visitor {
    /// What comes of it.
    type Output;
    /// Does it for one kind.
    fn visit<K: Owned>(&self) -> Self::Output;
}
