//! How others look at a read model that is kept up to date; a runtime offers it.

use std::sync::RwLockReadGuard;

use super::Changes;
use crate::intact::Damage;

/// A read model that is kept up to date.
pub trait ReadModel<P>: Send + Sync + 'static {
    /// What it holds now; it does not go on while somebody looks.
    fn state(&self) -> RwLockReadGuard<'_, P>;

    /// Whether all is folded that was in the log when the process started.
    fn is_ready(&self) -> bool;

    /// What is wrong with the log, if that is why nothing is folded any more.
    fn damage(&self) -> Option<Damage>;

    /// Watches for records that are folded.
    fn changes(&self) -> Box<dyn Changes>;
}

impl<P: 'static> dyn ReadModel<P> {
    /// Looks at the read model; `look` must return at once.
    pub fn read<R>(&self, look: impl FnOnce(&P) -> R) -> R {
        look(&self.state())
    }
}
