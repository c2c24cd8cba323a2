//! The Kafka users of the services, if Strimzi makes them: one per service, with the rights that it needs.

mod acls;
mod apply;
mod build;
mod secret;
mod state;

pub use apply::{apply, look, retire};
pub use build::{ServiceUser, build, with_login};
pub use state::ready;
