//! A bounded number of places, in all and per client, so that no client can take them all.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::Extensions;

use super::server::Peer;

/// The number of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// In all.
    pub all: usize,
    /// Per client: one address, or one network of IPv6.
    pub each: usize,
}

impl Share {
    /// This many in all, and a quarter of them per client.
    pub const fn of(all: usize) -> Self {
        Self { all, each: all.div_ceil(4) }
    }
}

/// Places and their holders. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shares {
    share: Share,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: HashMap<Peer, usize>,
}

/// A taken place, freed on drop.
#[derive(Debug)]
pub(super) struct Taking {
    of: Shares,
    peer: Peer,
}

impl Shares {
    /// With all places free.
    pub fn new(share: Share) -> Self {
        Self { share, taken: Arc::default() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for the client in these extensions; `None` if none is left, or none for this client.
    pub(super) fn take(&self, extensions: &Extensions) -> Option<Taking> {
        // Without a connection, as in a test, all requests have the same client.
        let nobody = || Peer::of(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        let peer = extensions.get().copied().unwrap_or_else(nobody);
        let mut taken = self.taken();
        if taken.all >= self.share.all {
            return None;
        }
        let own = taken.by.entry(peer).or_default();
        if *own >= self.share.each {
            return None;
        }
        *own += 1;
        taken.all += 1;
        drop(taken);
        Some(Taking { of: self.clone(), peer })
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        taken.all -= 1;
        if let Some(own) = taken.by.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                taken.by.remove(&self.peer);
            }
        }
    }
}
