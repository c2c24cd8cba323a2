//! Watches that survive bad objects, dropped connections and any number of namespaces.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{DeserializeGuard, DynamicResourceScope, NamespaceResourceScope};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tracing::warn;

use super::metadata_cache::{Keep, key};

/// Seconds after which the server ends a watch. One that has not ended 5 s later is dead and is renewed.
const TIMEOUT: u32 = 290;

/// Objects of a list that are in memory at the same time.
const PAGE: u32 = 100;

/// The namespaces to look at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// All namespaces.
    Cluster,
    /// These namespaces.
    Namespaces(Vec<String>),
}

impl Scope {
    /// All namespaces where `names` is empty.
    pub fn of(names: &[String]) -> Self {
        let mut names: Vec<_> = names.iter().filter(|name| !name.is_empty()).cloned().collect();
        names.sort();
        names.dedup();
        if names.is_empty() { Self::Cluster } else { Self::Namespaces(names) }
    }

    /// Whether this namespace is included.
    pub fn has(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespaces(names) => names.iter().any(|name| name == namespace),
        }
    }

    /// One API per request that the scope needs: one for each namespace, or one for the whole cluster.
    pub fn apis<K>(&self, client: &Client) -> Vec<(Option<String>, Api<K>)>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        self.parts(|| Api::all(client.clone()), |name| Api::namespaced(client.clone(), name))
    }

    /// As [`Scope::apis`], for a type that is known at run time.
    pub fn apis_with<K>(&self, client: &Client, dyntype: &K::DynamicType) -> Vec<(Option<String>, Api<K>)>
    where
        K: Resource<Scope = DynamicResourceScope>,
    {
        self.parts(
            || Api::all_with(client.clone(), dyntype),
            |name| Api::namespaced_with(client.clone(), name, dyntype),
        )
    }

    fn parts<A>(&self, all: impl Fn() -> A, one: impl Fn(&str) -> A) -> Vec<(Option<String>, A)> {
        match self {
            Self::Cluster => vec![(None, all())],
            Self::Namespaces(names) => names.iter().map(|name| (Some(name.clone()), one(name))).collect(),
        }
    }
}

/// An event of a watch, after its effect is stored.
#[derive(Debug)]
pub enum Watch<K> {
    /// The store is complete, at the start or after an interruption. Anything may have changed.
    Complete,
    /// This object was created, changed or deleted.
    Touched(Box<K>),
    /// This object cannot be read, and is not stored.
    Unreadable(Box<Unreadable>),
}

/// An object that cannot be read.
#[derive(Debug)]
pub struct Unreadable {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Why it cannot be read.
    pub why: String,
}

type Read<K> = Result<K, Box<Unreadable>>;
type Events<K> = BoxStream<'static, watcher::Result<Event<Read<K>>>>;

/// Watches objects, drops their managed fields, and stores them in `keep`.
pub fn watch_objects<K, P>(
    apis: Vec<(Option<String>, Api<DeserializeGuard<K>>)>,
    dyntype: &K::DynamicType,
    labels: &str,
    keep: P,
) -> impl Stream<Item = Watch<K>> + Send + use<K, P>
where
    P: Keep<K>,
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Clone + Eq + Hash + Send + Sync,
{
    let read = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(mut object) => {
            object.managed_fields_mut().clear();
            Ok(object)
        }
        Err(invalid) => Err(Box::new(Unreadable { metadata: invalid.metadata, why: invalid.error })),
    };
    let events = |api| {
        watcher(api, config(labels)).default_backoff().map(move |event| event.map(|event| map(event, read)))
    };
    let streams: Vec<(_, Events<K>)> =
        apis.into_iter().map(|(namespace, api)| (namespace, events(api).boxed())).collect();
    merge(streams, K::kind(dyntype).into_owned(), keep)
}

fn config(labels: &str) -> watcher::Config {
    let config = watcher::Config::default().timeout(TIMEOUT).page_size(PAGE);
    if labels.is_empty() { config } else { config.labels(labels) }
}

fn map<A, B>(event: Event<A>, f: impl FnOnce(A) -> B) -> Event<B> {
    match event {
        Event::Apply(object) => Event::Apply(f(object)),
        Event::Delete(object) => Event::Delete(f(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(f(object)),
        Event::InitDone => Event::InitDone,
    }
}

/// Merges the streams of several namespaces.
fn merge<K>(
    streams: Vec<(Option<String>, Events<K>)>,
    kind: String,
    keep: impl Keep<K>,
) -> impl Stream<Item = Watch<K>> + Send
where
    K: Resource + Send + Sync + 'static,
{
    let mut merge = Merge::new(streams.iter().map(|(namespace, _)| namespace.clone()).collect(), keep);
    let events: SelectAll<_> = streams
        .into_iter()
        .enumerate()
        .map(|(part, (_, events))| events.map(move |event| (part, event)))
        .collect();
    events.filter_map(move |(part, event)| {
        let shown = match event {
            Ok(event) => merge.take(part, event),
            Err(error) => {
                warn!(kind, %error, "a watch was interrupted and is made anew");
                None
            }
        };
        std::future::ready(shown)
    })
}

struct Merge<P> {
    parts: Vec<Option<String>>,
    keep: P,
    /// Parts that have not been listed yet. Until it is empty, the store is incomplete.
    unlisted: HashSet<usize>,
    /// What each part has listed so far, to find deleted objects at the end of the list.
    listed: Vec<HashSet<(String, String)>>,
}

impl<P> Merge<P> {
    fn new(parts: Vec<Option<String>>, keep: P) -> Self {
        Self { unlisted: (0..parts.len()).collect(), listed: vec![HashSet::new(); parts.len()], keep, parts }
    }

    fn take<K: Resource>(&mut self, part: usize, event: Event<Read<K>>) -> Option<Watch<K>>
    where
        P: Keep<K>,
    {
        match event {
            Event::Init => {
                self.listed[part].clear();
                None
            }
            Event::InitApply(Ok(object)) => {
                self.listed[part].insert(key(&object));
                self.keep.put(&object);
                None
            }
            Event::InitDone if self.unlisted.is_empty() => {
                self.drop_gone(part);
                Some(Watch::Complete)
            }
            Event::InitDone => {
                self.listed[part] = HashSet::new();
                self.unlisted.remove(&part);
                self.unlisted.is_empty().then(|| {
                    self.keep.complete();
                    Watch::Complete
                })
            }
            Event::Apply(Ok(object)) => {
                self.keep.put(&object);
                self.touched(object)
            }
            Event::Delete(Ok(object)) => {
                let (namespace, name) = key(&object);
                self.keep.remove(&namespace, &name);
                self.touched(object)
            }
            Event::InitApply(Err(unreadable)) | Event::Apply(Err(unreadable)) => {
                Some(Watch::Unreadable(unreadable))
            }
            Event::Delete(Err(_)) => None,
        }
    }

    /// Reports a change, once everything is listed.
    fn touched<K>(&self, object: K) -> Option<Watch<K>> {
        self.unlisted.is_empty().then(|| Watch::Touched(Box::new(object)))
    }

    fn drop_gone<K>(&mut self, part: usize)
    where
        P: Keep<K>,
    {
        let listed = std::mem::take(&mut self.listed[part]);
        let here = self.parts[part].as_deref();
        for (namespace, name) in self.keep.names() {
            if here.is_none_or(|here| here == namespace)
                && !listed.contains(&(namespace.clone(), name.clone()))
            {
                self.keep.remove(&namespace, &name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::reflector::{self, Store};

    use super::super::StoreWriter;
    use super::*;

    fn object(namespace: &str, name: &str) -> ConfigMap {
        let metadata = ObjectMeta {
            name: Some(name.into()),
            namespace: Some(namespace.into()),
            ..ObjectMeta::default()
        };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    fn names(store: &Store<ConfigMap>) -> Vec<String> {
        let mut names: Vec<_> = store.state().iter().map(|object| object.name_any()).collect();
        names.sort();
        names
    }

    #[test]
    fn two_namespaces_make_one_store_and_a_new_list_drops_what_is_gone() {
        let (store, writer) = reflector::store();
        let mut merge = Merge::new(vec![Some("a".into()), Some("b".into())], StoreWriter::new(writer));
        let list = |merge: &mut Merge<StoreWriter<ConfigMap>>, part, objects: Vec<ConfigMap>| {
            assert!(merge.take(part, Event::Init).is_none());
            for object in objects {
                assert!(merge.take(part, Event::InitApply(Ok(object))).is_none());
            }
            merge.take(part, Event::InitDone)
        };
        assert!(list(&mut merge, 0, vec![object("a", "a1"), object("a", "a2")]).is_none());
        assert!(merge.take(0, Event::Delete(Ok(object("a", "a2")))).is_none());
        assert!(matches!(list(&mut merge, 1, vec![object("b", "b1")]), Some(Watch::Complete)));
        assert_eq!(names(&store), ["a1", "b1"]);
        assert!(matches!(list(&mut merge, 0, vec![object("a", "a3")]), Some(Watch::Complete)));
        assert_eq!(names(&store), ["a3", "b1"]);
        assert!(matches!(merge.take(1, Event::Delete(Ok(object("b", "b1")))), Some(Watch::Touched(_))));
        let bad = merge.take(
            1,
            Event::Apply(Err(Box::new(Unreadable { metadata: ObjectMeta::default(), why: "no".into() }))),
        );
        assert!(matches!(bad, Some(Watch::Unreadable(_))));
        assert_eq!(names(&store), ["a3"]);
    }
}
