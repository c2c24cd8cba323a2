//! The table of kinds.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kbnt_crds::{KafkaTopic, KafkaUser};
use kube::Client;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};

use super::kind::{Apis, Area, Kind, Owned, Ownership, Visitor};
use super::{
    ObservedClaim, ObservedDeployment, ObservedJob, ObservedSecret, ObservedTopic, ObservedUser, USER_LABEL,
};
use crate::error::Error;
use crate::kube::{MetadataCache, Scope};
use crate::labels::managed;

/// API group and version of KEDA.
pub const KEDA: (&str, &str) = ("keda.sh", "v1alpha1");

/// KEDA's ScaledObject.
pub type ScaledObject = DynamicObject;

/// Group, version and plural of ScaledObjects.
pub fn scaled_objects() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(KEDA.0, KEDA.1, "ScaledObject"), "scaledobjects")
}

/// Verbs for objects that Kubernetes' garbage collector deletes.
const KEEP: &[&str] = &["get", "list", "watch", "create", "patch"];
/// Verbs for objects that the operator may have to delete while their owner stays.
const KEEP_OR_DELETE: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// A kind that every cluster serves, in the namespace of the resource.
const PLAIN: Kind = Kind {
    verbs: KEEP,
    area: Area::Resources,
    version: |_| Some("v1"),
    labels: managed,
    ownership: Ownership::Controller,
    required: true,
};
/// The same, with objects that the operator deletes.
const DELETED: Kind = Kind { verbs: KEEP_OR_DELETE, ..PLAIN };
/// A kind of Strimzi's.
const STRIMZI: Kind = Kind {
    area: Area::KafkaClusters,
    version: |served| served.kafka_topic,
    ownership: Ownership::Signature,
    required: false,
    ..DELETED
};

/// How the type of a kind knows its version: a `native` type has it built in, a `fixed` one always has the
/// same one, a `versioned` one takes the one that the cluster serves.
macro_rules! api {
    (native) => {
        fn in_version(_: &str) -> ApiResource {
            ApiResource::erase::<Self>(&())
        }
        fn served(_: &Caches) -> Result<ApiResource, Error> {
            Ok(ApiResource::erase::<Self>(&()))
        }
        fn dynamic_type(_: &ApiResource) {}
        fn apis(scope: &Scope, client: &Client, _: &ApiResource) -> Apis<Self> {
            scope.apis(client)
        }
    };
    (fixed $resource:path) => {
        fn in_version(_: &str) -> ApiResource {
            $resource()
        }
        fn served(_: &Caches) -> Result<ApiResource, Error> {
            Ok($resource())
        }
        api!(dynamic);
    };
    (versioned $resource:path, $missing:expr) => {
        fn in_version(version: &str) -> ApiResource {
            $resource(version)
        }
        fn served(caches: &Caches) -> Result<ApiResource, Error> {
            Self::cache(caches).resource().ok_or($missing)
        }
        api!(dynamic);
    };
    (dynamic) => {
        fn dynamic_type(resource: &ApiResource) -> ApiResource {
            resource.clone()
        }
        fn apis(scope: &Scope, client: &Client, resource: &ApiResource) -> Apis<Self> {
            scope.apis_with(client, resource)
        }
    };
}

macro_rules! owned_kinds {
    ($($cache:ident: $kind:ident, [$($api:tt)+], $observed:ty = $observe:expr, $description:expr;)+) => {
        /// The caches of all kinds, filled by the watches.
        #[derive(Default)]
        pub struct Caches {
            $($cache: Arc<MetadataCache<$observed>>,)+
        }

        $(impl Owned for $kind {
            type Observed = $observed;
            const NAME: &'static str = stringify!($kind);
            const KIND: Kind = $description;

            fn observe(&self) -> $observed {
                $observe(self)
            }
            fn cache(caches: &Caches) -> &Arc<MetadataCache<$observed>> {
                &caches.$cache
            }
            api!($($api)+);
        })+

        /// Visits each kind, in the order of the table.
        pub fn each_kind<V: Visitor>(visitor: &V) -> Vec<V::Output> {
            vec![$(visitor.visit::<$kind>()),+]
        }
    };
}

/// For most kinds, the fingerprint suffices.
fn nothing<K>(_: &K) {}

owned_kinds! {
    deployments: Deployment, [native], ObservedDeployment = ObservedDeployment::of, PLAIN;
    services: Service, [native], () = nothing, PLAIN;
    accounts: ServiceAccount, [native], () = nothing, PLAIN;
    configs: ConfigMap, [native], () = nothing, PLAIN;
    claims: PersistentVolumeClaim, [native], ObservedClaim = ObservedClaim::of, PLAIN;
    roles: Role, [native], () = nothing, PLAIN;
    bindings: RoleBinding, [native], () = nothing, DELETED;
    budgets: PodDisruptionBudget, [native], () = nothing, DELETED;
    scalers: HorizontalPodAutoscaler, [native], () = nothing, DELETED;
    jobs: Job, [native], ObservedJob = ObservedJob::of, DELETED;
    scaled: ScaledObject, [fixed scaled_objects], () = nothing,
        Kind { version: |served| served.keda.then_some(KEDA.1), required: false, ..DELETED };
    topics: KafkaTopic, [versioned KafkaTopic::resource, Error::NoKafkaTopics], ObservedTopic = ObservedTopic::of, STRIMZI;
    users: KafkaUser, [versioned KafkaUser::resource, Error::NoKafkaUsers], ObservedUser = ObservedUser::of,
        Kind { area: Area::KafkaUsers, version: |served| served.kafka_user, ..STRIMZI };
    // Strimzi's Secrets and their copies; the operator owns only the copies.
    secrets: Secret, [native], ObservedSecret = ObservedSecret::of,
        Kind { area: Area::UserSecrets, labels: || USER_LABEL.to_owned(), required: false, ..PLAIN };
}
