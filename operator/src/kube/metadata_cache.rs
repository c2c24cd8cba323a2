//! What is kept of watched objects: of those that are reconciled all, of the many others a few words each.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use tokio::sync::watch;

/// Where a watch keeps what it sees.
pub trait Keep<K>: Send + 'static {
    /// This object is so.
    fn put(&mut self, object: &K);
    /// The object of this namespace and name is gone.
    fn remove(&mut self, namespace: &str, name: &str);
    /// Namespaces and names of all objects.
    fn names(&self) -> Vec<(String, String)>;
    /// All objects that there are have been put.
    fn complete(&mut self);
}

/// Keeps whole objects in a store, as reconcilers want them.
pub struct Whole<K: Resource + Clone + 'static>
where
    K::DynamicType: Clone + Eq + Hash,
{
    writer: Writer<K>,
    store: Store<K>,
    /// What was put before all objects were.
    first: Option<HashMap<(String, String), K>>,
}

impl<K: Resource + Clone + 'static> Whole<K>
where
    K::DynamicType: Clone + Eq + Hash,
{
    /// Keeps them behind this writer.
    pub fn new(mut writer: Writer<K>) -> Self {
        writer.apply_watcher_event(&Event::Init);
        Self { store: writer.as_reader(), writer, first: Some(HashMap::new()) }
    }
}

impl<K> Keep<K> for Whole<K>
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

/// MetadataCache of one kind of objects, by namespace and name.
pub struct MetadataCache<N> {
    notes: Mutex<HashMap<String, HashMap<String, N>>>,
    complete: watch::Sender<bool>,
}

impl<N> Default for MetadataCache<N> {
    fn default() -> Self {
        Self { notes: Mutex::default(), complete: watch::Sender::new(false) }
    }
}

impl<N: Clone> MetadataCache<N> {
    /// The note of this object, if it exists.
    pub fn get(&self, namespace: &str, name: &str) -> Option<N> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.get(namespace)?.get(name).cloned()
    }

    /// Names and notes of all objects in this namespace.
    pub fn all_in(&self, namespace: &str) -> Vec<(String, N)> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let names = notes.get(namespace).into_iter().flatten();
        names.map(|(name, note)| (name.clone(), note.clone())).collect()
    }

    /// Waits until there is a note of every object.
    pub async fn wait_until_complete(&self) {
        // The sender lives as long as this.
        let _ = self.complete.subscribe().wait_for(|complete| *complete).await;
    }
}

/// Keeps a note of each object, and not the object.
pub struct CacheWriter<N, F> {
    notes: Arc<MetadataCache<N>>,
    note: F,
}

impl<N, F> CacheWriter<N, F> {
    /// Keeps what `note` makes of each object in `notes`.
    pub fn new(notes: Arc<MetadataCache<N>>, note: F) -> Self {
        Self { notes, note }
    }
}

impl<K, N, F> Keep<K> for CacheWriter<N, F>
where
    K: Resource,
    N: Send + 'static,
    F: FnMut(&K) -> N + Send + 'static,
{
    fn put(&mut self, object: &K) {
        let note = (self.note)(object);
        let (namespace, name) = key(object);
        let mut notes = self.notes.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.entry(namespace).or_default().insert(name, note);
    }

    fn remove(&mut self, namespace: &str, name: &str) {
        let mut notes = self.notes.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = notes.get_mut(namespace) {
            names.remove(name);
            if names.is_empty() {
                notes.remove(namespace);
            }
        }
    }

    fn names(&self) -> Vec<(String, String)> {
        let notes = self.notes.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |(namespace, names): (&String, &HashMap<String, N>)| {
            names.keys().map(|name| (namespace.clone(), name.clone())).collect::<Vec<_>>()
        };
        notes.iter().flat_map(of).collect()
    }

    fn complete(&mut self) {
        self.notes.complete.send_replace(true);
    }
}

/// Namespace and name.
pub(super) fn key<K: Resource>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}
