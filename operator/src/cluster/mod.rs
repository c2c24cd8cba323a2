//! What lies between the reconcilers and the API server.

mod drift;
mod events;
mod layer;
mod objects;
mod watch;

pub use events::Events;
pub use layer::{ApiLayer, connect};
pub use objects::{MANAGER, Objects, Wanted, short_digest};
pub use watch::{Scope, Unreadable, Watch, watch_metadata, watch_objects};
