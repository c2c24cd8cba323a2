//! What is kept of a Job.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition};

use crate::ownership::Owner;

/// Annotation of a Job with a digest of its topics.
pub const TOPICS_DIGEST: &str = "kbnt.dev/topics-digest";

/// What is kept of a Job.
#[derive(Clone, Debug)]
pub struct ObservedJob {
    /// UID of its controller.
    pub controller: Option<Box<str>>,
    /// Digest of its topics.
    pub digest: Option<String>,
    /// How far it has come: which Job it is, and how many of its pods have failed.
    pub stage: Stage,
    /// How it ended, if it has.
    pub end: Option<End>,
}

/// How far a Job has come, as far as that decides whether it has a report.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Stage {
    /// UID of the Job.
    pub uid: Box<str>,
    /// How many of its pods have failed.
    pub failed_pods: i32,
    /// Whether it has ended.
    pub ended: bool,
}

/// How a Job ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// All topics are as they should be.
    Complete,
    /// Some topics are not as they should be, or that is unknown.
    Failed {
        /// When.
        at: Timestamp,
        /// Why, according to Kubernetes.
        why: Box<str>,
    },
}

impl ObservedJob {
    /// Extracts it from a Job.
    pub fn of(job: &Job) -> Self {
        let meta = &job.metadata;
        let status = job.status.as_ref();
        let condition = |type_: &str| {
            let mut conditions = status.into_iter().flat_map(|status| status.conditions.iter().flatten());
            conditions.find(|found| found.type_ == type_ && found.status == "True")
        };
        let end = match (condition("Complete"), condition("Failed")) {
            (Some(_), _) => Some(End::Complete),
            (None, Some(failed)) => Some(End::of_failure(failed)),
            (None, None) => None,
        };
        let mut controllers =
            meta.owner_references.iter().flatten().filter(|owner| owner.controller == Some(true));
        Self {
            controller: controllers.next().map(|owner| owner.uid.as_str().into()),
            digest: meta.annotations.as_ref().and_then(|all| all.get(TOPICS_DIGEST).cloned()),
            stage: Stage {
                uid: meta.uid.as_deref().unwrap_or_default().into(),
                failed_pods: status.and_then(|status| status.failed).unwrap_or(0),
                ended: end.is_some(),
            },
            end,
        }
    }

    /// Whether it belongs to this owner.
    pub fn is_of(&self, owner: &Owner) -> bool {
        self.controller.as_deref() == Some(owner.uid.as_str())
    }

    /// Whether a pod has left a report to read.
    pub fn has_report(&self) -> bool {
        self.end.is_some() || self.stage.failed_pods > 0
    }
}

impl End {
    fn of_failure(condition: &JobCondition) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self::Failed {
            at: condition.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            why: format!("{}: {}", text(&condition.reason), text(&condition.message)).into(),
        }
    }
}
