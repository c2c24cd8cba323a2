//! Caches of watched objects: the reconciled ones whole, the many others as a fingerprint and a few fields.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::core::ApiResource;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use tokio::sync::watch;

use super::fingerprint;

/// Where a watch stores what it sees.
pub trait Keep<K>: Send + 'static {
    /// Stores this object.
    fn put(&mut self, object: &K);
    /// The object of this namespace and name was deleted.
    fn remove(&mut self, namespace: &str, name: &str);
    /// Namespaces and names of all objects.
    fn names(&self) -> Vec<(String, String)>;
    /// All existing objects have been stored.
    fn complete(&mut self);
}

/// Keeps whole objects in a store, for the reconcilers.
pub struct StoreWriter<K: Resource + Clone + 'static>
where
    K::DynamicType: Clone + Eq + Hash,
{
    writer: Writer<K>,
    store: Store<K>,
    /// Objects that were stored before the first list was complete.
    first: Option<HashMap<(String, String), K>>,
}

impl<K: Resource + Clone + 'static> StoreWriter<K>
where
    K::DynamicType: Clone + Eq + Hash,
{
    /// Stores the objects through this writer.
    pub fn new(mut writer: Writer<K>) -> Self {
        writer.apply_watcher_event(&Event::Init);
        Self { store: writer.as_reader(), writer, first: Some(HashMap::new()) }
    }
}

impl<K> Keep<K> for StoreWriter<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    fn put(&mut self, object: &K) {
        match &mut self.first {
            Some(first) => drop(first.insert(key(object), object.clone())),
            None => self.writer.apply_watcher_event(&Event::Apply(object.clone())),
        }
    }

    fn remove(&mut self, namespace: &str, name: &str) {
        match &mut self.first {
            Some(first) => drop(first.remove(&(namespace.to_owned(), name.to_owned()))),
            None => {
                if let Some(object) = self.store.get(&ObjectRef::new(name).within(namespace)) {
                    self.writer.apply_watcher_event(&Event::Delete((*object).clone()));
                }
            }
        }
    }

    fn names(&self) -> Vec<(String, String)> {
        self.store.state().iter().map(|object| key(&**object)).collect()
    }

    fn complete(&mut self) {
        for object in self.first.take().into_iter().flat_map(HashMap::into_values) {
            self.writer.apply_watcher_event(&Event::InitApply(object));
        }
        self.writer.apply_watcher_event(&Event::InitDone);
    }
}

/// What is kept of an object.
#[derive(Clone, Debug)]
pub struct CacheEntry<T> {
    /// Changes whenever anything but the status changes.
    pub fingerprint: u64,
    /// The fields that are kept.
    pub observed: T,
}

/// Objects by namespace and name.
type Entries<T> = HashMap<String, HashMap<String, CacheEntry<T>>>;

/// What is kept of the objects of one kind.
pub struct MetadataCache<T> {
    entries: Mutex<Entries<T>>,
    /// How the cluster serves the kind, once all of its objects are cached.
    complete: watch::Sender<Option<ApiResource>>,
}

impl<T> Default for MetadataCache<T> {
    fn default() -> Self {
        Self { entries: Mutex::default(), complete: watch::Sender::default() }
    }
}

impl<T> MetadataCache<T> {
    /// Drops everything, because the cluster no longer serves the kind.
    pub fn clear(&self) {
        self.complete.send_replace(None);
        self.lock().clear();
    }

    /// How the cluster serves the kind, once all of its objects are cached.
    pub fn resource(&self) -> Option<ApiResource> {
        self.complete.borrow().clone()
    }

    /// Waits until all objects are cached.
    pub async fn wait_until_complete(&self) {
        // The sender lives as long as this.
        let _ = self.complete.subscribe().wait_for(Option::is_some).await;
    }

    fn lock(&self) -> MutexGuard<'_, Entries<T>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> MetadataCache<T> {
    /// The entry of this object, if it exists. `None` until all objects are cached.
    pub fn get(&self, namespace: &str, name: &str) -> Option<CacheEntry<T>> {
        self.complete.borrow().as_ref()?;
        self.lock().get(namespace)?.get(name).cloned()
    }

    /// Names and entries of all objects in this namespace. Empty until all objects are cached.
    pub fn all_in(&self, namespace: &str) -> Vec<(String, CacheEntry<T>)> {
        if self.complete.borrow().is_none() {
            return Vec::new();
        }
        let entries = self.lock();
        let names = entries.get(namespace).into_iter().flatten();
        names.map(|(name, entry)| (name.clone(), entry.clone())).collect()
    }
}

/// Stores in a [`MetadataCache`] what `observe` makes of each object.
pub struct CacheWriter<T, F> {
    cache: Arc<MetadataCache<T>>,
    resource: ApiResource,
    observe: F,
}

impl<T, F> CacheWriter<T, F> {
    /// Writes objects of this kind, in the version that is watched.
    pub fn new(cache: Arc<MetadataCache<T>>, resource: ApiResource, observe: F) -> Self {
        Self { cache, resource, observe }
    }
}

impl<K, T, F> Keep<K> for CacheWriter<T, F>
where
    K: Resource,
    T: Send + 'static,
    F: FnMut(&K) -> T + Send + 'static,
{
    fn put(&mut self, object: &K) {
        let entry = CacheEntry { fingerprint: fingerprint(object.meta()), observed: (self.observe)(object) };
        let (namespace, name) = key(object);
        self.cache.lock().entry(namespace).or_default().insert(name, entry);
    }

    fn remove(&mut self, namespace: &str, name: &str) {
        let mut entries = self.cache.lock();
        if let Some(names) = entries.get_mut(namespace) {
            names.remove(name);
            if names.is_empty() {
                entries.remove(namespace);
            }
        }
    }

    fn names(&self) -> Vec<(String, String)> {
        let entries = self.cache.lock();
        let of = |(namespace, names): (&String, &HashMap<String, CacheEntry<T>>)| {
            names.keys().map(|name| (namespace.clone(), name.clone())).collect::<Vec<_>>()
        };
        entries.iter().flat_map(of).collect()
    }

    fn complete(&mut self) {
        self.cache.complete.send_replace(Some(self.resource.clone()));
    }
}

/// Namespace and name.
pub(super) fn key<K: Resource>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}
