//! A pod that does one thing and ends.

use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, PodTemplateSpec};
use kbnt_crds::common::Resources;
use kbnt_crds::pod::PodTemplate;

use super::{kafka_access, plain, pod};
use crate::error::Error;
use crate::kafka_cluster::Kafka;
use crate::labels::labels;
use crate::ownership::Owner;

/// What a pod does.
pub struct Task<'a> {
    /// As its labels call it.
    pub component: &'a str,
    /// Name of its container.
    pub container: &'a str,
    /// Image of all services.
    pub image: &'a str,
    /// Where Kafka is.
    pub kafka: &'a Kafka,
    /// What it gets besides.
    pub template: &'a PodTemplate,
    /// Arguments of the `kbnt` program.
    pub args: &'a [&'a str],
    /// Variables beyond those that say where Kafka is.
    pub env: Vec<EnvVar>,
}

/// The pods of a Job that does this for `owner`. They get at Kafka as the services do.
pub fn task(owner: &Owner, task: Task<'_>) -> Result<PodTemplateSpec, Error> {
    let (access, volumes) = kafka_access::access(task.kafka);
    let mut env = vec![plain("KBNT_BOOTSTRAP_SERVERS", &task.kafka.bootstrap)];
    env.extend(access);
    env.extend(task.env);
    let container = Container {
        name: task.container.to_owned(),
        args: Some(task.args.iter().map(|&argument| argument.to_owned()).collect()),
        resources: Some(pod::resources(&Resources::default())),
        // What it says about its end, or what it said last.
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
