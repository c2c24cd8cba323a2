//! Whose a topic is.
//!
//! A topic may lie in another namespace than the resource that owns it, where no owner reference can point. So its
//! owner is written on it: kind, namespace and name, and its UID. A topic that outlives its owner keeps that, and a
//! later resource of the same kind, namespace and name takes it up again. Nobody else does.

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
    /// This resource.
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

    /// Writes on a topic whose it is.
    pub fn sign(&self, meta: &mut ObjectMeta) {
        meta.annotations.get_or_insert_default().insert(OWNER.into(), self.text());
        meta.labels.get_or_insert_default().insert(OWNER_UID_LABEL.into(), self.uid.clone());
    }

    /// Whose a topic is, if not this owner's.
    pub fn other_holder(&self, meta: &ObjectMeta) -> Option<String> {
        self.other_than(Self::signature(meta))
    }

    /// Whose a topic with this signature is, if not this owner's.
    pub fn other_than(&self, signature: Option<&str>) -> Option<String> {
        match signature {
            Some(owner) if *owner == self.text() => None,
            Some(owner) => Some(owner.replacen('/', " ", 1)),
            None => Some("somebody who did not make it with this operator".into()),
        }
    }

    /// Whose an object in the namespace of this owner is, if not this owner's.
    pub fn other_controller(&self, meta: &ObjectMeta) -> Option<String> {
        let controller = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        match controller {
            Some(controller) if controller.uid == self.uid => None,
            Some(controller) => Some(format!("{} {}", controller.kind, controller.name)),
            None => Some("somebody who did not make it with this operator".into()),
        }
    }

    /// What is written on a topic about its owner.
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
