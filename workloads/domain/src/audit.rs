//! The audit chain: each link carries the hash of the one before, so that nothing can be changed, taken out, put in or
//! moved without the chain showing where.

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::Timestamp;
use crate::event::AuditLogCreated;

/// A SHA-256.
pub type Hash = [u8; 32];

/// The SHA-256 of `parts`, each with its length before it, so that no two lists of parts have the same one.
pub fn digest<'a>(domain: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    let mut hash = Sha256::new();
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    field(domain.as_bytes());
    parts.into_iter().for_each(&mut field);
    hash.finalize().into()
}

/// The hash that a link written at `at` must carry.
pub fn link_hash(at: Timestamp, link: &AuditLogCreated) -> Hash {
    let (topic, partition, offset) = &link.location;
    let parts: [&[u8]; 10] = [
        &link.sequence.to_be_bytes(),
        &at.as_millis().to_be_bytes(),
        link.audited.as_uuid().as_bytes(),
        link.event_name.as_bytes(),
        link.subject.as_bytes(),
        topic.as_bytes(),
        &partition.to_be_bytes(),
        &offset.to_be_bytes(),
        &link.content_hash,
        &link.previous_hash,
    ];
    digest("kbnt/audit-link/1", parts)
}

/// The end of a chain: what the next link must tie in with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// How many links the chain has; the next one's sequence number.
    pub length: u64,
    /// The last link's hash; zeros while there is none.
    pub hash: Hash,
}

impl Head {
    /// Whether `link` ties in with this end. It says nothing about the link's own hash.
    pub fn precedes(&self, link: &AuditLogCreated) -> bool {
        link.sequence == self.length && link.previous_hash == self.hash
    }

    /// The end after `link`.
    #[must_use]
    pub const fn after(link: &AuditLogCreated) -> Self {
        Self { length: link.sequence + 1, hash: link.hash }
    }
}

/// What is wrong with a chain, at its first bad place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("entry {place} of the audit log, link {sequence}: {fault}")]
pub struct Broken {
    /// How many entries of the log stand before it.
    pub place: u64,
    /// The sequence number that it claims.
    pub sequence: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// Its content is not what its hash was made of.
    #[error("it was altered")]
    Altered,
    /// Links before it are not there at all.
    #[error("{0} links before it are missing")]
    Missing(u64),
    /// Links before it stand after it.
    #[error("it stands before link {0}")]
    Reordered(u64),
    /// The very same link stands before it.
    #[error("it is there twice")]
    Duplicated,
    /// It claims a place in the chain without continuing what stands there.
    #[error("it does not tie in with the link before it")]
    Foreign,
}

/// What a sound log of links held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// The end of the chain.
    pub head: Head,
    /// Links that lost a race between two writers, and that the winner wrote again: they count for nothing.
    pub superseded: u64,
}
