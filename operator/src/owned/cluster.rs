//! Reads and writes objects of any kind that the operator owns.

use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::core::DynamicResourceScope;
use kube::{Api, Client, Resource, ResourceExt};

use super::{Caches, Owned, Reach};
use crate::error::Error;
use crate::kube::{CacheEntry, Objects, Wanted};
use crate::ownership::{OWNER_UID_LABEL, Owner};

/// The Kubernetes cluster, as the operator's objects see it.
pub struct Cluster {
    /// The API server.
    pub client: Client,
    /// How far the operator reaches.
    pub reach: Reach,
    /// The caches that the watches fill.
    pub caches: Caches,
    /// Writes objects if that changes something.
    pub objects: Objects,
}

impl Cluster {
    /// Starts with empty caches.
    pub fn new(client: Client, reach: Reach) -> Self {
        Self { objects: Objects::new(client.clone()), client, reach, caches: Caches::default() }
    }

    /// The cache entry of the object of this name, if there is one.
    pub fn get<K: Owned>(&self, namespace: &str, name: &str) -> Option<CacheEntry<K::Observed>> {
        K::cache(&self.caches).get(namespace, name)
    }

    /// The cache entry of the live counterpart of this desired object, if there is one.
    pub fn live<K: Owned>(&self, desired: &K) -> Option<CacheEntry<K::Observed>> {
        self.get::<K>(&desired.namespace().unwrap_or_default(), &desired.name_any())
    }

    /// Names and cache entries of all objects in this namespace.
    pub fn all_in<K: Owned>(&self, namespace: &str) -> Vec<(String, CacheEntry<K::Observed>)> {
        K::cache(&self.caches).all_in(namespace)
    }

    /// Whether the cluster serves this kind, and all of its objects are cached.
    pub fn has<K: Owned>(&self) -> bool {
        K::cache(&self.caches).resource().is_some()
    }

    /// Makes the cluster have this object. If somebody had changed the object and it was put back, returns it
    /// as it was found.
    pub async fn ensure<K: Owned>(&self, owner: &Owner, object: &K) -> Result<Option<DynamicObject>, Error> {
        let wanted = Wanted::new(object, K::served(&self.caches)?)?;
        let known = self.live(object).map(|entry| entry.fingerprint);
        let holder = |meta: &_| K::KIND.ownership.other_than(owner, meta);
        self.objects.ensure(&owner.uid, &wanted, known, holder).await
    }

    /// Deletes the object of this name if it belongs to this owner.
    pub async fn remove<K: Owned>(&self, owner: &Owner, namespace: &str, name: &str) -> Result<(), Error> {
        let holder = |meta: &_| K::KIND.ownership.other_than(owner, meta);
        self.objects.remove(namespace, name, &K::served(&self.caches)?, holder).await
    }

    /// Deletes the object of this name in the owner's namespace, if the cache has one.
    pub async fn remove_known<K: Owned>(&self, owner: &Owner, name: &str) -> Result<(), Error> {
        match self.get::<K>(&owner.namespace, name) {
            Some(_) => self.remove::<K>(owner, &owner.namespace, name).await,
            None => Ok(()),
        }
    }

    /// Deletes the objects of a Strimzi kind that this owner holds, in any namespace. Does not wait until
    /// they are gone, because Strimzi may be gone itself.
    pub async fn release<K>(&self, owner: &Owner) -> Result<(), Error>
    where
        K: Owned + Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        let Some(resource) = K::cache(&self.caches).resource() else { return Ok(()) };
        let kind = K::NAME;
        let ours = ListParams::default().labels(&format!("{OWNER_UID_LABEL}={}", owner.uid));
        for (_, api) in self.reach.kafka.apis_with::<K>(&self.client, &resource) {
            let objects = api.list(&ours).await.map_err(Error::api(format!("list the {kind}s to delete")))?;
            for object in objects {
                let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
                let api: Api<K> = Api::namespaced_with(self.client.clone(), &namespace, &resource);
                let only_this = DeleteParams {
                    preconditions: Some(Preconditions { uid: object.uid(), resource_version: None }),
                    ..DeleteParams::default()
                };
                match api.delete(&name, &only_this).await {
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    other => {
                        other.map(drop).map_err(Error::api(format!("delete {kind} {namespace}/{name}")))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A desired object of any kind.
pub trait DesiredObject: Send + Sync {
    /// Whether this is the object of this kind and name.
    fn is(&self, kind: &str, name: &str) -> bool;
    /// The form that is compared with a live object.
    fn wanted(&self, resource: &ApiResource) -> Result<Wanted, Error>;
}

impl<K: Owned> DesiredObject for K {
    fn is(&self, kind: &str, name: &str) -> bool {
        K::NAME == kind && self.meta().name.as_deref() == Some(name)
    }

    fn wanted(&self, resource: &ApiResource) -> Result<Wanted, Error> {
        Wanted::new(self, resource.clone())
    }
}
