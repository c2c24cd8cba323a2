//! What lies between the reconcilers and the API server.

mod drift;
mod events;
mod layer;
mod notes;
mod objects;
mod watch;

pub use drift::holds;
pub use events::Events;
pub use layer::{ApiLayer, connect};
pub use notes::{Keep, Notes, Noting, Whole};
pub use objects::{MANAGER, Objects, Wanted, fingerprint, short_digest};
pub use watch::{Scope, Unreadable, Watch, watch_objects};
