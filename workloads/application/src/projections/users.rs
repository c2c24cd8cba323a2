//! Who is registered.

use kbnt_domain::UserId;
use kbnt_domain::user::{User, UserRegistry};

use crate::machine::Delivered;
use crate::message::Topic;
use crate::partition_state::Inputs;
use crate::projection::Projection;

/// All users.
#[derive(Clone, Debug, Default)]
pub struct UserDirectory {
    registry: UserRegistry,
    seen: Inputs,
}

impl UserDirectory {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One user.
    pub fn get(&self, user: &UserId) -> Option<&User> {
        self.registry.get(user)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.registry.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.registry.is_empty()
    }
}

impl Projection for UserDirectory {
    fn topics(&self) -> &'static [Topic] {
        &[Topic::UserEvents]
    }

    fn apply(&mut self, record: &Delivered) {
        if let Some(event) = record.message.event.business()
            && self.seen.advance(record.at)
        {
            self.registry.apply(event);
        }
    }
}
