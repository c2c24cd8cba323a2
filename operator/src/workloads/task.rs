//! A pod that does one task and ends.

use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, PodTemplateSpec};
use kbnt_crds::common::Resources;
use kbnt_crds::pod::PodTemplate;

use super::{kafka_access, plain, pod};
use crate::error::Error;
use crate::kafka_cluster::Kafka;
use crate::labels::labels;
use crate::ownership::Owner;

/// The task of a pod.
pub struct Task<'a> {
    /// Its component label.
    pub component: &'a str,
    /// Name of its container.
    pub container: &'a str,
    /// Image of all services.
    pub image: &'a str,
    /// The Kafka cluster.
    pub kafka: &'a Kafka,
    /// What the user adds to it.
    pub template: &'a PodTemplate,
    /// Arguments of the `kbnt` program.
    pub args: &'a [&'a str],
    /// Variables besides those for Kafka.
    pub env: Vec<EnvVar>,
}

/// The pod template of a Job that runs this task for `owner`. Its pods access Kafka as the services do.
pub fn task(owner: &Owner, task: Task<'_>) -> Result<PodTemplateSpec, Error> {
    let (access, volumes) = kafka_access::access(task.kafka);
    let mut env = vec![plain("KBNT_BOOTSTRAP_SERVERS", &task.kafka.bootstrap)];
    env.extend(access);
    env.extend(task.env);
    let container = Container {
        name: task.container.to_owned(),
        args: Some(task.args.iter().map(|&argument| argument.to_owned()).collect()),
        resources: Some(pod::resources(&Resources::default())),
        // The report about its end, or its last output.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        ..pod::program(task.image, task.template, env, &volumes)?
    };
    Ok(PodTemplateSpec {
        metadata: Some(pod::metadata(task.template, labels(&owner.name, task.component), None)),
        spec: Some(PodSpec {
            restart_policy: Some("Never".into()),
            // It has nothing to finish.
            termination_grace_period_seconds: Some(1),
            containers: vec![container],
            ..pod::base(task.template, volumes)?
        }),
    })
}
