//! The owner of a topic.
//!
//! A topic may lie in another namespace than the resource that owns it, out of reach of an owner reference.
//! So its owner is written on it: kind, namespace and name, and UID. A topic that outlives its owner keeps
//! this signature, and only a later resource of the same kind, namespace and name takes the topic up again.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};

/// Annotation on a topic: kind, namespace and name of its owner.
const OWNER: &str = "kbnt.dev/owner";
/// Label on a topic: UID of its owner.
pub const OWNER_UID_LABEL: &str = "kbnt.dev/owner-uid";

/// A VirtualStock or an OrderWorkflow, as the owner of other objects.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

impl Owner {
    /// The owner that this resource is.
    pub fn of<K: Resource<DynamicType = ()>>(resource: &K) -> Self {
        Self {
            kind: K::kind(&()).into_owned(),
            namespace: resource.namespace().unwrap_or_default(),
            name: resource.name_any(),
            uid: resource.uid().unwrap_or_default(),
        }
    }

    /// A reference for objects in the same namespace.
    pub fn reference(&self, controller: bool) -> OwnerReference {
        OwnerReference {
            api_version: format!("{}/{}", kbnt_crds::GROUP, kbnt_crds::VERSION),
            kind: self.kind.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(controller),
            block_owner_deletion: None,
        }
    }

    /// Writes this owner on a topic.
    pub fn sign(&self, meta: &mut ObjectMeta) {
        meta.annotations.get_or_insert_default().insert(OWNER.into(), self.text());
        meta.labels.get_or_insert_default().insert(OWNER_UID_LABEL.into(), self.uid.clone());
    }

    /// The owner of a topic, if it is not this one.
    pub fn other_holder(&self, meta: &ObjectMeta) -> Option<String> {
        self.other_than(Self::signature(meta))
    }

    /// The owner in this signature, if it is not this one.
    pub fn other_than(&self, signature: Option<&str>) -> Option<String> {
        match signature {
            Some(owner) if *owner == self.text() => None,
            Some(owner) => Some(owner.replacen('/', " ", 1)),
            None => Some("somebody who did not make it with this operator".into()),
        }
    }

    /// The owner of an object in this namespace, if it is not this one.
    pub fn other_controller(&self, meta: &ObjectMeta) -> Option<String> {
        let controller = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        match controller {
            Some(controller) if controller.uid == self.uid => None,
            Some(controller) => Some(format!("{} {}", controller.kind, controller.name)),
            None => Some("somebody who did not make it with this operator".into()),
        }
    }

    /// The owner that is written on a topic.
    pub fn signature(meta: &ObjectMeta) -> Option<&str> {
        Some(meta.annotations.as_ref()?.get(OWNER)?)
    }

    /// Kind, namespace and name of the owner that is written on a topic.
    pub fn signed(meta: &ObjectMeta) -> Option<(&str, &str, &str)> {
        let mut parts = Self::signature(meta)?.splitn(3, '/');
        Some((parts.next()?, parts.next()?, parts.next()?))
    }

    fn text(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }
}
