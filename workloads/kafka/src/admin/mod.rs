//! Creates and checks topics through the admin API, for clusters where nothing else creates them, and reads their ids.
//!
//! Missing topics are created, and settings that differ are changed. Nothing is ever deleted. A topic with another number of partitions
//! or replicas is reported and left as it is: more partitions would move keys to others, and their events out of order. The four event
//! stores keep all records, whatever settings are asked for.

mod offsets;
mod pinned_settings;
mod problem;
mod topic_admin;
pub(crate) mod topic_id;
mod topic_report;

pub use offsets::{Committed, Offsets};
pub use pinned_settings::PINNED;
pub use topic_admin::TopicAdmin;
pub use topic_report::{Reason, TopicReport, TopicState, WantedTopic};
