//! The reports of the Jobs that make topics.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use serde::Deserialize;

use super::direct::{Direct, HOPELESS};
use crate::conditions::list;
use crate::owned::{End, ObservedJob, Stage};
use crate::readiness::{State, View};
use crate::retry::Class;

/// Results in a report that mean the topic is as it should be.
const DONE: [&str; 3] = ["ready", "created", "altered"];
/// Failures in a row after which the pause is longest: the Job has made that many tries itself.
const TRIES: u32 = 6;

/// The termination message of a container.
#[derive(Debug)]
pub(super) struct TerminationMessage {
    exit_code: i32,
    text: String,
}

impl TerminationMessage {
    /// The message of the pod that ended last.
    pub(super) fn of(pods: &[Pod]) -> Option<Self> {
        let statuses = pods.iter().filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref());
        let ended: Vec<&ContainerStateTerminated> =
            statuses.flatten().filter_map(|status| status.state.as_ref()?.terminated.as_ref()).collect();
        let last = ended.into_iter().max_by_key(|end| end.finished_at.as_ref().map(|time| time.0))?;
        let text = last.message.as_ref().or(last.reason.as_ref()).cloned().unwrap_or_default();
        Some(Self { exit_code: last.exit_code, text })
    }
}

/// The parts of the report of `kbnt topics ensure` that the operator reads.
#[derive(Deserialize)]
struct Report {
    topics: Vec<TopicReport>,
}

#[derive(Deserialize)]
struct TopicReport {
    name: String,
    state: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

/// The report of a resource's last Job.
#[derive(Clone, Debug)]
pub(super) struct JobReport {
    digest: String,
    stage: Stage,
    pub(super) views: Vec<View>,
    hopeless: bool,
    altered: Vec<String>,
}

impl JobReport {
    /// The report of a Job that has ended or one of whose pods has ended. The last pod left this message.
    pub(super) fn of(direct: &Direct, job: &ObservedJob, message: Option<&TerminationMessage>) -> Self {
        let report = message.and_then(|message| serde_json::from_str::<Report>(&message.text).ok());
        let why = || match (message, &job.end) {
            (Some(message), _) if !message.text.is_empty() => message.text.clone(),
            (_, Some(End::Failed { why, .. })) => why.to_string(),
            _ => "its pod failed and said nothing".to_owned(),
        };
        let state = |name: &String| match (&job.end, &report) {
            (Some(End::Complete), _) => State::Ready,
            (_, Some(report)) => match report.topics.iter().find(|topic| topic.name == *name) {
                Some(topic) if DONE.contains(&topic.state.as_str()) => State::Ready,
                Some(topic) => State::Failed(topic.reason.clone(), topic.message.clone()),
                None => State::Pending(format!("Job {} does not tell of it", direct.job_name())),
            },
            (_, None) => State::Failed("JobFailed".into(), format!("{}: {}", direct.job_name(), why())),
        };
        Self {
            digest: direct.digest.clone(),
            stage: job.stage.clone(),
            views: direct.names.iter().map(|name| View { name: name.clone(), state: state(name) }).collect(),
            altered: report
                .iter()
                .flat_map(|report| &report.topics)
                .filter(|topic| topic.state == "altered")
                .map(|topic| topic.name.clone())
                .collect(),
            hopeless: message.is_some_and(|message| message.exit_code == HOPELESS),
        }
    }

    /// How long to wait after the failure before another Job is made.
    pub(super) fn pause(&self) -> Duration {
        if self.hopeless { Class::Permanent.delay(0) } else { Class::Transient.delay(TRIES) }
    }

    /// The topics whose settings it had to correct, described for people.
    pub(super) fn altered(&self, direct: &Direct) -> Option<String> {
        let job = direct.job_name();
        (!self.altered.is_empty()).then(|| {
            format!("Job {job} put back settings that somebody had changed of {}", list(&self.altered))
        })
    }

    /// Whether it covers the same topics.
    pub(super) fn is_of(&self, direct: &Direct) -> bool {
        self.digest == direct.digest
    }

    /// Whether this Job has nothing new to report.
    pub(super) fn knows(&self, direct: &Direct, job: &ObservedJob) -> bool {
        self.is_of(direct) && self.stage == job.stage
    }
}

/// The last Jobs' reports, by the UID of the owner. A report stays while a new Job runs.
#[derive(Default)]
pub struct JobReports(Mutex<HashMap<String, JobReport>>);

impl JobReports {
    pub(super) fn get(&self, owner: &str) -> Option<JobReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(owner).cloned()
    }

    pub(super) fn put(&self, owner: &str, report: JobReport) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(owner.to_owned(), report);
    }

    /// Drops what belongs to owners that no longer exist.
    pub fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|owner, _| exists(owner));
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::super::direct::tests::made;
    use super::super::{OF_WORKFLOW, finding};
    use super::*;
    use crate::ownership::Owner;

    fn direct() -> Direct {
        let owner = Owner {
            kind: "OrderWorkflow".into(),
            namespace: "shop".into(),
            name: "main".into(),
            uid: "u1".into(),
        };
        made(&owner, &OF_WORKFLOW[..2], |_, _, _| {})
    }

    /// The observation of this Job with these conditions and this many failed pods.
    fn observed_job(direct: &Direct, conditions: &[&str], failed: i32) -> ObservedJob {
        let conditions = conditions.iter().map(|type_| JobCondition {
            type_: (*type_).into(),
            status: "True".into(),
            reason: Some("BackoffLimitExceeded".into()),
            message: Some("too often".into()),
            last_transition_time: Some(Time(Timestamp::from_second(1_790_000_000).unwrap())),
            ..JobCondition::default()
        });
        let status = JobStatus {
            conditions: Some(conditions.collect()),
            failed: Some(failed),
            ..JobStatus::default()
        };
        let mut job = Job { status: Some(status), ..direct.job.clone() };
        job.metadata.uid = Some("j1".into());
        ObservedJob::of(&job)
    }

    /// Pods with these exit codes and messages, one after the other.
    fn pods(ends: &[(i32, &str)]) -> Vec<Pod> {
        let pod = |(n, (code, message)): (usize, &(i32, &str))| {
            let ended = json!({"exitCode": code, "message": message, "reason": "Error", "finishedAt": format!("2026-01-01T00:00:0{n}Z")});
            let container = json!({"name": "topics", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": ended}});
            serde_json::from_value(json!({"metadata": {}, "status": {"containerStatuses": [container]}}))
                .unwrap()
        };
        ends.iter().enumerate().map(pod).collect()
    }

    #[test]
    fn a_job_has_something_to_tell_once_it_or_a_pod_of_it_has_ended() {
        let direct = direct();
        assert!(
            !observed_job(&direct, &[], 0).has_report()
                && !observed_job(&direct, &["SuccessCriteriaMet"], 0).has_report()
        );
        assert!(observed_job(&direct, &[], 1).has_report());
        assert_eq!(observed_job(&direct, &["SuccessCriteriaMet", "Complete"], 1).end, Some(End::Complete));
        let failed = observed_job(&direct, &["FailureTarget", "Failed"], 5);
        let Some(End::Failed { at, why }) = &failed.end else { panic!("{failed:?}") };
        assert_eq!((at.as_second(), &**why), (1_790_000_000, "BackoffLimitExceeded: too often"));
        assert_eq!(failed.digest.as_deref(), Some(direct.digest.as_str()));
        assert_eq!(failed.controller.as_deref(), Some("u1"));
    }

    #[test]
    fn the_last_pod_tells_of_each_topic_and_whether_there_is_hope() {
        let direct = direct();
        let report = json!({"topics": [
            {"name": "a-user-events", "state": "created"},
            {"name": "a-order-events", "state": "wrong", "reason": "NotSupported", "message": "it has 1 partitions"},
        ]});
        let message = TerminationMessage::of(&pods(&[(2, "before"), (1, &report.to_string())]));
        let job_report = JobReport::of(&direct, &observed_job(&direct, &["Failed"], 2), message.as_ref());
        let found = finding(&job_report.views);
        assert_eq!(
            (found.reason.as_ref(), found.message.as_str()),
            ("TopicFailed", "a-order-events: NotSupported: it has 1 partitions")
        );
        assert_eq!(job_report.pause(), Duration::from_mins(5));
        assert!(job_report.knows(&direct, &observed_job(&direct, &["Failed"], 2)));
        assert!(!job_report.knows(&direct, &observed_job(&direct, &["Failed"], 3)));
    }

    #[test]
    fn words_that_are_no_report_are_told_as_they_are() {
        let direct = direct();
        let job_report = |conditions: &[&str], message: Option<TerminationMessage>| {
            JobReport::of(&direct, &observed_job(&direct, conditions, 1), message.as_ref())
        };
        for (report, said) in [
            (job_report(&[], TerminationMessage::of(&pods(&[(2, "no such option")]))), ": no such option"),
            (job_report(&["Failed"], None), ": BackoffLimitExceeded: too often"),
            (job_report(&[], None), "said nothing"),
        ] {
            let found = finding(&report.views);
            assert!(found.reason == "TopicFailed" && found.message.contains(said), "{}", found.message);
            assert_eq!(report.pause(), Duration::from_mins(1));
        }
        assert_eq!(finding(&job_report(&["Complete"], None).views).reason, "TopicsReady");
    }
}
