//! The users by which services get at Kafka, where Strimzi makes them: one for each service, with the rights that it needs.

mod acls;
mod apply;
mod build;
mod secret;
mod state;
mod watch;

pub use apply::{apply, are_usable, look, release, retire};
pub use build::{ServiceUser, build, with_login};
pub use secret::ObservedSecret;
pub use state::{ObservedUser, ready};
pub use watch::{follow, follow_secrets};
