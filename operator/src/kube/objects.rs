//! Writes objects only if that changes something.
//!
//! An object that was found to be as wanted is remembered by a fingerprint of its metadata, so that a later
//! reconcile neither reads nor writes it. The objects that the watches show are compared as well, so a
//! restart needs no reads either.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::ApiResource;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::warn;

use super::comparison;
use crate::error::Error;

/// Field manager of everything that the operator applies.
pub const MANAGER: &str = "kbnt-operator";
/// Annotation with a digest of what was applied. It distinguishes a changed wish from drift.
const DIGEST: &str = "kbnt.dev/applied-digest";

/// An object as it should be.
#[derive(Clone, Debug)]
pub struct Wanted {
    resource: ApiResource,
    namespace: String,
    name: String,
    digest: String,
    object: Value,
}

impl Wanted {
    /// A namespaced object with its name and namespace in the metadata.
    pub fn new<K: Resource + Serialize>(object: &K, resource: ApiResource) -> Result<Self, Error> {
        let mut value = serde_json::to_value(object)?;
        let digest = short_digest(&value.to_string());
        value["apiVersion"] = resource.api_version.clone().into();
        value["kind"] = resource.kind.clone().into();
        value["metadata"]["annotations"][DIGEST] = digest.clone().into();
        Ok(Self {
            namespace: object.meta().namespace.clone().unwrap_or_default(),
            name: object.meta().name.clone().unwrap_or_default(),
            resource,
            digest,
            object: value,
        })
    }

    /// A namespaced object of a type that is known at compile time.
    pub fn of<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Result<Self, Error> {
        Self::new(object, ApiResource::erase::<K>(&()))
    }

    /// Kind, namespace and name, for people.
    pub fn label(&self) -> String {
        format!("{} {}/{}", self.resource.kind, self.namespace, self.name)
    }

    fn key(&self) -> u64 {
        hash(&(&self.resource.kind, &self.namespace, &self.name))
    }

    fn seen(&self, fingerprint: u64) -> Seen {
        Seen { wish: hash(&self.digest), fingerprint }
    }
}

/// An object at the time when it was as wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Seen {
    wish: u64,
    fingerprint: u64,
}

/// Writes objects only if that changes something.
pub struct Objects {
    client: Client,
    /// By the UID of the owner, then by a hash of the object's label.
    seen: Mutex<HashMap<String, HashMap<u64, Seen>>>,
    /// Held between finding a name free and taking it, so that two resources cannot both take it. Each name
    /// maps to a fixed lock.
    taking: [tokio::sync::Mutex<()>; 64],
}

impl Objects {
    /// Writes through this client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            seen: Mutex::default(),
            taking: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        }
    }

    /// Makes the cluster have `wanted`, for the owner with this UID. `known` is the fingerprint of the object
    /// in the cache, and `holder` returns who owns a live object if not that owner. If somebody had changed
    /// the object and it was put back, returns it as it was found.
    pub async fn ensure(
        &self,
        owner: &str,
        wanted: &Wanted,
        known: Option<u64>,
        holder: impl Fn(&ObjectMeta) -> Option<String>,
    ) -> Result<Option<DynamicObject>, Error> {
        if let Some(fingerprint) = known
            && self.is_seen(owner, wanted, fingerprint)
        {
            return Ok(None);
        }
        let api = self.api(wanted);
        let _taking = match known {
            Some(_) => None,
            None => Some(self.lock_of(wanted).lock().await),
        };
        let live = api.get_opt(&wanted.name).await.map_err(Error::api(format!("read {}", wanted.label())))?;
        if let Some(live) = &live {
            if let Some(holder) = holder(&live.metadata) {
                return Err(Error::Held { object: wanted.label(), holder });
            }
            if is_as_wanted(wanted, live) {
                self.remember(owner, wanted, &live.metadata);
                return Ok(None);
            }
        }
        let made = write(&api, wanted, live.is_some()).await?;
        self.remember(owner, wanted, &made.metadata);
        Ok(live.filter(|live| is_same_wish(wanted, &live.metadata)))
    }

    /// Deletes an object that is not wanted any more, if `holder` confirms that it still belongs to that
    /// owner.
    pub async fn remove(
        &self,
        namespace: &str,
        name: &str,
        resource: &ApiResource,
        holder: impl Fn(&ObjectMeta) -> Option<String>,
    ) -> Result<(), Error> {
        let label = format!("{} {namespace}/{name}", resource.kind);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, resource);
        let live = api.get_metadata_opt(name).await.map_err(Error::api(format!("read {label}")))?;
        let Some(live) = live.filter(|live| holder(&live.metadata).is_none()) else { return Ok(()) };
        // Dependents go as well: by default, a Job would leave its pods behind.
        let only_this = DeleteParams {
            preconditions: Some(Preconditions { uid: live.metadata.uid, resource_version: None }),
            ..DeleteParams::background()
        };
        match api.delete(name, &only_this).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop).map_err(Error::api(format!("delete {label}"))),
        }
    }

    /// Drops what belongs to owners that no longer exist.
    pub fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).retain(|owner, _| exists(owner));
    }

    fn api(&self, wanted: &Wanted) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &wanted.namespace, &wanted.resource)
    }

    /// Compares an object that a watch shows. If it is as wanted, no reconcile has to read it.
    pub fn compare<K: Resource + Serialize>(&self, owner: &str, wanted: &Wanted, live: &K) {
        if !self.is_seen(owner, wanted, fingerprint(live.meta())) && is_as_wanted(wanted, live) {
            self.remember(owner, wanted, live.meta());
        }
    }

    fn is_seen(&self, owner: &str, wanted: &Wanted, fingerprint: u64) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(owner).and_then(|objects| objects.get(&wanted.key())) == Some(&wanted.seen(fingerprint))
    }

    fn remember(&self, owner: &str, wanted: &Wanted, meta: &ObjectMeta) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry(owner.to_owned()).or_default().insert(wanted.key(), wanted.seen(fingerprint(meta)));
    }

    fn lock_of(&self, wanted: &Wanted) -> &tokio::sync::Mutex<()> {
        let count = self.taking.len();
        &self.taking[usize::try_from(wanted.key()).unwrap_or_default() % count]
    }
}

/// Makes the object as wanted, whatever others have changed of it.
async fn write(api: &Api<DynamicObject>, wanted: &Wanted, exists: bool) -> Result<DynamicObject, Error> {
    let apply = Patch::Apply(&wanted.object);
    let refused = match api.patch(&wanted.name, &PatchParams::apply(MANAGER).force(), &apply).await {
        Ok(made) if is_as_wanted(wanted, &made) => return Ok(made),
        // Items that others added to a list are theirs, and apply keeps them.
        Ok(_) => None,
        // The same with fields that others added to an item. A volume, say, would be of two types then.
        Err(kube::Error::Api(status)) if status.code == 422 && exists => Some(kube::Error::Api(status)),
        Err(error) => return Err(Error::api(format!("apply {}", wanted.label()))(error)),
    };
    // A merge replaces lists.
    let how = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    match (api.patch(&wanted.name, &how, &Patch::Merge(&wanted.object)).await, refused) {
        (Ok(made), _) => {
            if !is_as_wanted(wanted, &made) {
                warn!(object = wanted.label(), "something in the cluster keeps changing this object");
            }
            Ok(made)
        }
        (Err(_), Some(refused)) => Err(Error::api(format!("apply {}", wanted.label()))(refused)),
        (Err(error), None) => Err(Error::api(format!("correct {}", wanted.label()))(error)),
    }
}

/// Whether the object was applied for the same wish. If so, somebody else made every difference.
fn is_same_wish(wanted: &Wanted, live: &ObjectMeta) -> bool {
    live.annotations.as_ref().and_then(|annotations| annotations.get(DIGEST)) == Some(&wanted.digest)
}

fn is_as_wanted<K: Resource + Serialize>(wanted: &Wanted, live: &K) -> bool {
    is_same_wish(wanted, live.meta())
        && serde_json::to_value(live).is_ok_and(|mut live| {
            // In a list, only the list states the kind.
            live["apiVersion"] = wanted.resource.api_version.clone().into();
            live["kind"] = wanted.resource.kind.clone().into();
            comparison::holds(&wanted.object, &live)
        })
}

/// Changes whenever anything but the status changes. Of the kinds without a generation only a claim has a status, which
/// changes seldom: then the object is read once.
pub fn fingerprint(meta: &ObjectMeta) -> u64 {
    let version = match meta.generation {
        Some(generation) => generation.to_string(),
        None => meta.resource_version.clone().unwrap_or_default(),
    };
    let owners = meta.owner_references.iter().flatten().map(|owner| &owner.uid).collect::<Vec<_>>();
    hash(&(&meta.uid, version, &meta.labels, &meta.annotations, owners, meta.deletion_timestamp.is_some()))
}

/// The first 64 bits of the SHA-256 of a text, the same in every release.
pub fn short_digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
