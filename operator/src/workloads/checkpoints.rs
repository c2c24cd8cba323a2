//! Where the services of a resource keep checkpoints, from which a pod starts that has lost everything else.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    EnvVar, EnvVarSource, PersistentVolumeClaim, PersistentVolumeClaimSpec, SecretKeySelector,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kbnt_crds::checkpoints::{CheckpointsSpec, ObjectStore, SharedVolumeClaim};
use kbnt_crds::pod::PodTemplate;
use kube::ResourceExt;

use super::data_dir::DataDir;
use super::pod::plain;
use super::{Workload, volume};
use crate::error::Error;
use crate::kube::is_more;
use crate::labels::labels;
use crate::owned::Cluster;
use crate::ownership::Owner;

/// Name of the volume in the pod.
const NAME: &str = "checkpoints";
/// Its folder in the pod.
const FOLDER: &str = "/var/lib/kbnt/checkpoints";
/// How much room a claim asks for.
const STORAGE: &str = "storage";
/// What the program reads of a bucket's store, and all that it gets of a Secret: other keys could set other variables.
const STORE: [&str; 8] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ALLOW_HTTP",
];

/// Where the services of a resource keep checkpoints, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoints {
    interval: String,
    place: Place,
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    Bucket(ObjectStore),
    /// A volume that all of these services mount.
    Volume(Box<PersistentVolumeClaim>),
}

impl Checkpoints {
    /// As this resource asks for.
    pub fn of(owner: &Owner, asked: &CheckpointsSpec) -> Result<Self, Error> {
        let place = match (&asked.object_store, &asked.volume_claim) {
            (Some(store), None) => Place::Bucket(store.clone()),
            (None, Some(volume)) => Place::Volume(Box::new(claim(owner, volume))),
            _ => {
                return Err(Error::Invalid(
                    "give exactly one of checkpoints.objectStore and checkpoints.volumeClaim".into(),
                ));
            }
        };
        Ok(Self { interval: asked.interval.clone(), place })
    }

    /// The claim of their volume, if they are kept on one.
    pub fn claim(&self) -> Option<&PersistentVolumeClaim> {
        match &self.place {
            Place::Volume(claim) => Some(claim),
            Place::Bucket(_) => None,
        }
    }

    /// The variables by which a service finds its bucket and the way there. What is given for the pods counts before the Secret,
    /// as a region is seldom a secret.
    pub(super) fn bucket(&self, given: &PodTemplate) -> Vec<EnvVar> {
        let Place::Bucket(store) = &self.place else { return Vec::new() };
        let mut env = self.settings(&store.url);
        if let Some(secret) = &store.secret_ref {
            let open = STORE.iter().filter(|name| given.env.iter().all(|given| given.name != **name));
            env.extend(open.map(|name| of_secret(name, &secret.name)));
        }
        env
    }

    /// The folder on the volume that all of these services mount.
    pub(super) fn data_dir(&self) -> Option<DataDir> {
        let claim = self.claim()?;
        Some(DataDir {
            env: self.settings(FOLDER),
            volume: volume::shared(NAME, &claim.name_any()),
            path: FOLDER,
        })
    }

    fn settings(&self, to: &str) -> Vec<EnvVar> {
        vec![plain("KBNT_CHECKPOINT_TO", to), plain("KBNT_CHECKPOINT_INTERVAL", &self.interval)]
    }
}

/// A variable with the value of the key of the same name, or none where there is no such key: a store needs some of them only, and the
/// service itself says what it misses.
fn of_secret(name: &str, secret: &str) -> EnvVar {
    let key = SecretKeySelector { name: secret.into(), key: name.into(), optional: Some(true) };
    EnvVar {
        name: name.into(),
        value: None,
        value_from: Some(EnvVarSource { secret_key_ref: Some(key), ..EnvVarSource::default() }),
    }
}

/// The claim of a resource. A stock and its workflow often have the same name, so each says what it is.
fn claim(owner: &Owner, asked: &SharedVolumeClaim) -> PersistentVolumeClaim {
    let component = if owner.kind == "VirtualStock" { "stock-checkpoints" } else { "order-checkpoints" };
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(format!("{}-{component}", owner.name)),
            namespace: Some(owner.namespace.clone()),
            labels: Some(labels(&owner.name, component)),
            owner_references: Some(vec![owner.reference(true)]),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![asked.access_mode.as_str().into()]),
            storage_class_name: asked.storage_class_name.clone(),
            resources: Some(room(&asked.size)),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

fn room(size: &Quantity) -> VolumeResourceRequirements {
    VolumeResourceRequirements {
        requests: Some(BTreeMap::from([(STORAGE.to_owned(), size.clone())])),
        limits: None,
    }
}

/// Whether the pods of this service mount the volume of this claim.
pub(super) fn mounts(workload: &Workload, claim: &PersistentVolumeClaim) -> bool {
    let pod = workload.deployment.spec.template.spec.as_ref();
    let volumes = pod.and_then(|pod| pod.volumes.as_ref()).into_iter().flatten();
    let mut sources = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
    sources.any(|source| Some(&source.claim_name) == claim.metadata.name.as_ref())
}

/// Makes the cluster have this claim.
pub(super) async fn ensure(
    cluster: &Cluster,
    owner: &Owner,
    claim: &PersistentVolumeClaim,
) -> Result<(), Error> {
    let live = cluster.live(claim).and_then(|live| live.observed.size);
    cluster.ensure(owner, &at_least(claim, live.as_ref())).await.map(drop)
}

/// The claim, with the room that it has already: somebody may have enlarged it, and a claim cannot shrink.
fn at_least(claim: &PersistentVolumeClaim, live: Option<&Quantity>) -> PersistentVolumeClaim {
    let mut claim = claim.clone();
    let spec = claim.spec.get_or_insert_default();
    let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let asked = requests.and_then(|requests| requests.get(STORAGE));
    if let (Some(live), Some(asked)) = (live, asked)
        && is_more(live, asked)
    {
        spec.resources = Some(room(live));
    }
    claim
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn checkpoints(kind: &str, spec: Value) -> Result<Checkpoints, Error> {
        let (kind, namespace, name, uid) = (kind.into(), "shop".into(), "main".into(), "u1".into());
        Checkpoints::of(&Owner { kind, namespace, name, uid }, &serde_json::from_value(spec).unwrap())
    }

    fn variables(spec: Value, given: Value) -> Value {
        let made = checkpoints("VirtualStock", spec).unwrap();
        assert!(made.claim().is_none() && made.data_dir().is_none());
        json!(made.bucket(&serde_json::from_value(given).unwrap()))
    }

    #[test]
    fn the_service_learns_the_place_and_how_often() {
        let store = json!({"url": "s3://shop/main"});
        for (spec, interval) in
            [(json!({"objectStore": store}), "5m"), (json!({"objectStore": store, "interval": "90s"}), "90s")]
        {
            assert_eq!(
                variables(spec, json!({})),
                json!([
                    {"name": "KBNT_CHECKPOINT_TO", "value": "s3://shop/main"},
                    {"name": "KBNT_CHECKPOINT_INTERVAL", "value": interval},
                ])
            );
        }
    }

    #[test]
    fn a_secret_gives_what_the_store_needs_and_nothing_else() {
        let spec = json!({"objectStore": {"url": "s3://shop/main", "secretRef": {"name": "bucket"}}});
        let env = variables(spec.clone(), json!({}));
        let of_secret = &env.as_array().unwrap()[2..];
        for (variable, name) in of_secret.iter().zip(STORE) {
            let key = json!({"name": "bucket", "key": name, "optional": true});
            assert_eq!(*variable, json!({"name": name, "valueFrom": {"secretKeyRef": key}}));
        }
        assert_eq!(of_secret.len(), STORE.len());
        // What the pod template says counts, and comes behind.
        let given =
            json!({"env": [{"name": "AWS_REGION", "value": "eu-central-1"}, {"name": "A", "value": "b"}]});
        let fewer = variables(spec, given);
        let names: Vec<_> = fewer.as_array().unwrap().iter().map(|made| made["name"].clone()).collect();
        assert_eq!(names.len(), STORE.len() + 1);
        assert!(!names.contains(&json!("AWS_REGION")));
    }

    #[test]
    fn a_stock_and_its_workflow_each_have_a_claim_that_goes_with_them() {
        let (bare, shared) = (
            json!({"size": "1Gi"}),
            json!({"size": "20Gi", "storageClassName": "nfs", "accessMode": "ReadWriteMany"}),
        );
        for (kind, name, asked, spec) in [
            (
                "VirtualStock",
                "main-stock-checkpoints",
                bare,
                json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}),
            ),
            (
                "OrderWorkflow",
                "main-order-checkpoints",
                shared,
                json!({"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "20Gi"}},
                    "storageClassName": "nfs"}),
            ),
        ] {
            let made = checkpoints(kind, json!({"volumeClaim": asked})).unwrap();
            let claim = made.claim().unwrap();
            assert_eq!((claim.name_any(), claim.namespace()), (name.into(), Some("shop".into())));
            assert_eq!(json!(claim.spec), spec);
            let owner = &claim.owner_references()[0];
            assert_eq!((owner.kind.as_str(), owner.uid.as_str(), owner.controller), (kind, "u1", Some(true)));
            assert_eq!(claim.labels()["app.kubernetes.io/managed-by"], "kbnt-operator");
            assert!(made.bucket(&PodTemplate::default()).is_empty());
            let dir = made.data_dir().unwrap();
            assert_eq!(
                json!(dir.env),
                json!([
                    {"name": "KBNT_CHECKPOINT_TO", "value": "/var/lib/kbnt/checkpoints"},
                    {"name": "KBNT_CHECKPOINT_INTERVAL", "value": "5m"},
                ])
            );
            let source = json!({"claimName": name});
            assert_eq!(json!(dir.volume), json!({"name": "checkpoints", "persistentVolumeClaim": source}));
            assert_eq!(
                json!(dir.mount()),
                json!({"name": "checkpoints", "mountPath": "/var/lib/kbnt/checkpoints"})
            );
        }
    }

    #[test]
    fn a_claim_never_shrinks() {
        let made = checkpoints("VirtualStock", json!({"volumeClaim": {"size": "1.5Gi"}})).unwrap();
        for (live, wanted) in [
            (None, "1.5Gi"),
            (Some("1Gi"), "1.5Gi"),
            (Some("1536Mi"), "1.5Gi"),
            (Some("2Gi"), "2Gi"),
            (Some("2G"), "2G"),
        ] {
            let live = live.map(|live| Quantity(live.into()));
            let claim = at_least(made.claim().unwrap(), live.as_ref());
            assert_eq!(json!(claim)["spec"]["resources"]["requests"]["storage"], wanted, "{live:?}");
        }
    }

    #[test]
    fn one_place_is_given_and_not_two() {
        let (store, volume) = (json!({"url": "s3://shop"}), json!({"size": "1Gi"}));
        for spec in [json!({}), json!({"objectStore": store, "volumeClaim": volume})] {
            let error = checkpoints("VirtualStock", spec).unwrap_err();
            assert_eq!(error.reason(), "InvalidSpec");
        }
    }
}
