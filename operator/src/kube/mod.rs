//! What lies between the reconcilers and the API server.

mod comparison;
mod events;
mod layer;
mod metadata_cache;
mod objects;
mod watch;

pub use comparison::{holds, is_more};
pub use events::Events;
pub use layer::{ApiLayer, connect};
pub use metadata_cache::{CacheEntry, CacheWriter, Keep, MetadataCache, StoreWriter};
pub use objects::{MANAGER, Objects, Wanted, fingerprint, short_digest};
pub use watch::{Scope, Unreadable, Watch, watch_objects};
