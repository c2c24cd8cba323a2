//! Planted bugs, each of which the simulator or a test must catch: their list, and what plants and tries them.

pub mod list;
pub mod run;
mod scratch;
mod trial;

/// Why a bug could not be planted or tried.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
