//! The pods of a service.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction,
    KeyToPath, Lifecycle, LifecycleHandler, LocalObjectReference, ObjectFieldSelector, PodSecurityContext,
    PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecretVolumeSource,
    SecurityContext, SleepAction, Toleration, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kbnt_crds::common::{Resources, SecretRef};
use kbnt_crds::pod::{self, ImagePullPolicy, PodTemplate};

use super::data_dir::DataDir;
use super::{PORT, PROBE_PORT, Plan, kafka_access, overlay};
use crate::error::Error;
use crate::kube::short_digest;
use crate::labels::labels;

/// User and group of the processes in pods.
const USER: i64 = 65_532;
/// Folder of files in the pod, each in a folder of its own.
const FILES_FOLDER: &str = "/etc/kbnt";
/// Seconds between the beginning of a pod's termination and the signal to its service.
const PAUSE: i64 = 3;
/// Annotation that replaces the pods when the declared users change.
const USERS_DIGEST: &str = "kbnt.dev/users-digest";

/// A file that a service reads.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// Variable that holds its path.
    pub env: &'static str,
    /// Name of its volume and folder.
    pub name: &'static str,
    /// Its content.
    pub source: Source,
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The declared users, as JSON, in a ConfigMap of the operator.
    Users {
        /// Name of the ConfigMap.
        config_map: String,
        /// The JSON that the service reads.
        json: String,
    },
    /// A key of the user's own Secret.
    Secret(SecretRef),
}

/// Key of the declared users in their ConfigMap.
pub(super) const USERS_KEY: &str = "users.json";

impl Source {
    fn key(&self) -> &str {
        match self {
            Self::Users { .. } => USERS_KEY,
            Self::Secret(reference) => &reference.key,
        }
    }
}

/// A variable with this value. Kubernetes would expand `$(NAME)` as a variable and `$$` as `$`, so each `$`
/// of the value is doubled.
pub fn plain(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar { name: name.into(), value: Some(value.into().replace('$', "$$")), value_from: None }
}

/// A variable with the value of a field of the pod, such as `metadata.name`.
pub fn from_field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector { field_path: path.into(), api_version: Some("v1".into()) }),
            ..EnvVarSource::default()
        }),
    }
}

pub(super) fn template(plan: &Plan, resource: &str) -> Result<PodTemplateSpec, Error> {
    let given = &plan.template;
    let own = labels(resource, &plan.role.component());
    let digest = plan.users().map(|(_, json)| (USERS_DIGEST.to_owned(), short_digest(json)));
    let (kafka_env, kafka_volumes) = kafka_access::access(&plan.kafka);
    let mut volumes: Vec<_> = plan.files.iter().map(volume).collect();
    volumes.extend(kafka_volumes);
    let data_dirs = DataDir::of(plan, resource);
    let container = container(plan, kafka_env, &volumes, &data_dirs)?;
    volumes.extend(data_dirs.iter().map(|dir| dir.volume.clone()));
    Ok(PodTemplateSpec {
        metadata: Some(metadata(given, own.clone(), digest)),
        spec: Some(PodSpec {
            service_account_name: Some(plan.role.object_name(resource)),
            // Only pods that take turns by a lease call the API server.
            automount_service_account_token: Some(plan.in_turn),
            // The service ends within 20 s, after the pause before its signal.
            termination_grace_period_seconds: Some(30),
            containers: vec![container],
            topology_spread_constraints: Some(overlay::spread(given, own)?),
            ..base(given, volumes)?
        }),
    })
}

/// Labels and annotations of a pod: its own, and the given ones, which cannot replace any of them.
pub(super) fn metadata(
    given: &PodTemplate,
    own: BTreeMap<String, String>,
    annotation: Option<(String, String)>,
) -> ObjectMeta {
    let (mut labels, mut annotations) = (given.labels.clone(), given.annotations.clone());
    labels.extend(own);
    annotations.extend(annotation);
    ObjectMeta {
        labels: Some(labels),
        annotations: (!annotations.is_empty()).then_some(annotations),
        ..ObjectMeta::default()
    }
}

/// The part that all pods share.
pub(super) fn base(given: &PodTemplate, volumes: Vec<Volume>) -> Result<PodSpec, Error> {
    let pull_secret = |secret: &pod::LocalRef| LocalObjectReference { name: secret.name.clone() };
    let shares = volumes.iter().any(|volume| volume.persistent_volume_claim.is_some());
    let claims = shares || volumes.iter().any(|volume| volume.ephemeral.is_some());
    Ok(PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            // A new volume that was claimed belongs to root alone.
            fs_group: claims.then_some(USER),
            // Only the first pod gives a shared volume to the group. To walk through the files that another one is writing can fail.
            fs_group_change_policy: shares.then(|| "OnRootMismatch".into()),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        volumes: Some(volumes),
        image_pull_secrets: Some(given.image_pull_secrets.iter().map(pull_secret).collect()),
        node_selector: Some(given.node_selector.clone()),
        tolerations: Some(given.tolerations.iter().map(toleration).collect()),
        affinity: overlay::optional("affinity", &given.affinity)?,
        priority_class_name: given.priority_class_name.clone(),
        ..PodSpec::default()
    })
}

fn toleration(given: &pod::Toleration) -> Toleration {
    Toleration {
        key: given.key.clone(),
        operator: given.operator.clone(),
        value: given.value.clone(),
        effect: given.effect.clone(),
        toleration_seconds: given.toleration_seconds,
    }
}

fn container(
    plan: &Plan,
    kafka: Vec<EnvVar>,
    volumes: &[Volume],
    data_dirs: &[DataDir],
) -> Result<Container, Error> {
    let mut env = vec![
        plain("KBNT_BOOTSTRAP_SERVERS", &plan.kafka.bootstrap),
        plain("KBNT_TOPIC_PREFIX", &plan.kafka.prefix),
        plain("KBNT_HTTP_PORT", PORT.to_string()),
        plain("KBNT_PROBE_PORT", PROBE_PORT.to_string()),
        from_field("KBNT_INSTANCE", "metadata.name"),
    ];
    env.extend(kafka);
    env.extend(plan.env.iter().cloned());
    env.extend(
        plan.files.iter().map(|file| plain(file.env, format!("{}/{}", folder(file.name), file.source.key()))),
    );
    env.extend(data_dirs.iter().flat_map(|dir| dir.env.iter().cloned()));
    env.extend(plan.checkpoints.iter().flat_map(|checkpoints| checkpoints.bucket(&plan.template)));
    let program = program(&plan.image, &plan.template, env, volumes)?;
    let mut mounts = program.volume_mounts.unwrap_or_default();
    mounts.extend(data_dirs.iter().map(DataDir::mount));
    Ok(Container {
        volume_mounts: Some(mounts),
        name: "service".into(),
        args: Some(vec!["service".into(), plan.role.argument().into()]),
        ports: Some(vec![port("http", PORT), port("probes", PROBE_PORT)]),
        resources: Some(resources(&plan.resources)),
        // Ready as soon as the state is folded; restarted only after a minute without an answer.
        readiness_probe: Some(probe("/readyz", 2, 3)),
        liveness_probe: Some(probe("/healthz", 10, 6)),
        // Calls arrive until every node knows that the pod is terminating.
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: PAUSE }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        ..program
    })
}

/// A container of the `kbnt` program, with these variables and the given ones.
pub(super) fn program(
    image: &str,
    given: &PodTemplate,
    mut env: Vec<EnvVar>,
    volumes: &[Volume],
) -> Result<Container, Error> {
    let more = overlay::variables(given, &env)?;
    env.extend(more);
    Ok(Container {
        image: Some(given.image.clone().unwrap_or_else(|| image.to_owned())),
        image_pull_policy: Some(
            given.image_pull_policy.map_or("IfNotPresent", ImagePullPolicy::as_str).into(),
        ),
        env: Some(env),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(volumes.iter().map(mount).collect()),
        ..Container::default()
    })
}

/// The folder of this volume in the pod.
pub(super) fn folder(name: &str) -> String {
    format!("{FILES_FOLDER}/{name}")
}

fn mount(volume: &Volume) -> VolumeMount {
    VolumeMount {
        name: volume.name.clone(),
        mount_path: folder(&volume.name),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

fn volume(file: &File) -> Volume {
    let key = file.source.key().to_owned();
    let items = Some(vec![KeyToPath { path: key.clone(), key, ..KeyToPath::default() }]);
    let mut volume = Volume { name: file.name.into(), ..Volume::default() };
    match &file.source {
        Source::Users { config_map, .. } => {
            volume.config_map = Some(ConfigMapVolumeSource {
                name: config_map.clone(),
                items,
                ..ConfigMapVolumeSource::default()
            });
        }
        Source::Secret(reference) => {
            let secret_name = Some(reference.name.clone());
            volume.secret = Some(SecretVolumeSource { secret_name, items, ..SecretVolumeSource::default() });
        }
    }
    volume
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number,
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String("probes".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(2),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// The given resources, with defaults for absent ones. If memory is given as request or as limit only, it
/// counts for both, because a default could contradict it.
pub(super) fn resources(given: &Resources) -> ResourceRequirements {
    let quantity = |text: &str| Quantity(text.to_owned());
    let (mut requests, mut limits) = (given.requests.clone(), given.limits.clone());
    match (requests.get("memory").cloned(), limits.get("memory").cloned()) {
        (None, None) => {
            requests.insert("memory".into(), quantity("48Mi"));
            limits.insert("memory".into(), quantity("256Mi"));
        }
        (Some(request), None) => {
            limits.insert("memory".into(), request);
        }
        (None, Some(limit)) => {
            requests.insert("memory".into(), limit);
        }
        (Some(_), Some(_)) => {}
    }
    if !requests.contains_key("cpu") {
        requests.insert("cpu".into(), limits.get("cpu").cloned().unwrap_or_else(|| quantity("25m")));
    }
    ResourceRequirements { requests: Some(requests), limits: Some(limits), claims: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(entries: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
        entries.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect()
    }

    #[test]
    fn what_looks_like_a_variable_reaches_the_program_as_it_is() {
        for (value, written) in [
            ("http://h/a$$b", "http://h/a$$$$b"),
            ("http://h/$(KBNT_HTTP_PORT)", "http://h/$$(KBNT_HTTP_PORT)"),
            ("a", "a"),
        ] {
            assert_eq!(plain("A", value).value.as_deref(), Some(written));
        }
    }

    #[test]
    fn absent_resources_have_defaults_that_never_contradict_the_given_ones() {
        let cpu = ("cpu", "25m");
        for (requests, limits, wanted_requests, wanted_limits) in [
            (&[][..], &[][..], &[cpu, ("memory", "48Mi")][..], &[("memory", "256Mi")][..]),
            (&[("memory", "1Gi")], &[], &[cpu, ("memory", "1Gi")], &[("memory", "1Gi")]),
            (&[], &[("memory", "32Mi")], &[cpu, ("memory", "32Mi")], &[("memory", "32Mi")]),
            (
                &[],
                &[("cpu", "10m")],
                &[("cpu", "10m"), ("memory", "48Mi")],
                &[("cpu", "10m"), ("memory", "256Mi")],
            ),
        ] {
            let made = resources(&Resources { requests: amounts(requests), limits: amounts(limits) });
            assert_eq!(made.requests, Some(amounts(wanted_requests)));
            assert_eq!(made.limits, Some(amounts(wanted_limits)));
        }
    }
}
