//! Topics as a cluster should have them, by its admin API, and the ids that the cluster gives them.

mod pinned_settings;
mod topic_admin;
pub(crate) mod topic_id;

pub use pinned_settings::PINNED;
pub use topic_admin::{Reason, TopicAdmin, TopicReport, TopicState, WantedTopic};
