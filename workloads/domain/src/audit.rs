//! The audit chain: each link carries the hash of the one before, so that nothing can be changed, taken out, put in or
//! moved without the chain showing where.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::Timestamp;

/// A SHA-256.
pub type Hash = [u8; 32];

/// The SHA-256 of `parts`, each with its length before it, so that no two lists of parts have the same one.
pub fn digest<'a>(domain: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    // Most parts are much shorter than a block: one text takes less time to hash than all of them one by one.
    let mut text = Vec::with_capacity(512);
    let mut field = |bytes: &[u8]| {
        text.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        text.extend_from_slice(bytes);
    };
    field(domain.as_bytes());
    parts.into_iter().for_each(&mut field);
    sha256(&text)
}

/// The SHA-256 of `bytes` as they are.
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// One link of the chain, whatever it vouches for.
pub trait Link {
    /// Its position in the chain, from 0.
    fn sequence(&self) -> u64;

    /// The hash of the link before; zeros for the first.
    fn previous_hash(&self) -> Hash;

    /// The hash that it carries.
    fn hash(&self) -> Hash;

    /// The hash that it must carry if it was written at `at`: the [`link_hash`] of all that it vouches for.
    fn hash_at(&self, at: Timestamp) -> Hash;
}

impl<L: Link> Link for &L {
    fn sequence(&self) -> u64 {
        (**self).sequence()
    }

    fn previous_hash(&self) -> Hash {
        (**self).previous_hash()
    }

    fn hash(&self) -> Hash {
        (**self).hash()
    }

    fn hash_at(&self, at: Timestamp) -> Hash {
        (**self).hash_at(at)
    }
}

/// The hash over a link's place in the chain, the time at which it was written, all that it vouches for, and the link before.
pub fn link_hash(sequence: u64, at: Timestamp, vouched: &[&[u8]], previous: &Hash) -> Hash {
    let (sequence, at) = (sequence.to_be_bytes(), at.as_millis().to_be_bytes());
    let place: [&[u8]; 2] = [&sequence, &at];
    let parts = place.into_iter().chain(vouched.iter().copied());
    digest("kbnt/audit-link/1", parts.chain([previous.as_slice()]))
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
    pub fn precedes(&self, link: &impl Link) -> bool {
        link.sequence() == self.length && link.previous_hash() == self.hash
    }

    /// The end after `link`.
    #[must_use]
    pub fn after(link: &impl Link) -> Self {
        Self { length: link.sequence().saturating_add(1), hash: link.hash() }
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
    /// The very same link stands so far before it that no append that was tried again explains it.
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
    /// Links that stand there twice because an append was tried again after an error: they count once.
    pub repeated: u64,
}

/// How many links an append that is tried again may reach back.
const RETRIED: u64 = 10_000;

/// How many of the newest hashes are remembered, to tell a link that lost a race from one that somebody put in.
const REMEMBERED: usize = 100_000;

/// Goes through the audit log, `entries` in the order of the log, and finds the first thing that is wrong with it.
///
/// `start` is what the first entry must tie in with: [`Head::default`] for a log that goes back to the first link.
/// A link that ties in with an earlier link than the last one lost a race: two processes wrote at the same time, and
/// the log decided. It is counted, not reported, as long as it is none of the links that are there already.
pub fn verify(
    start: Head,
    entries: impl IntoIterator<Item = (Timestamp, impl Link)>,
) -> Result<Verified, Broken> {
    let mut chain = Chain::new(start);
    let mut entries = entries.into_iter();
    while let Some((at, link)) = entries.next() {
        let Err(fault) = chain.take(at, &link) else { continue };
        // Whether what is missing comes later can only be seen by looking.
        let fault = match fault {
            Fault::Missing(_) => {
                let next = chain.head.length;
                let later = entries.any(|(_, later)| later.sequence() == next && chain.head.precedes(&later));
                if later { Fault::Reordered(next) } else { fault }
            }
            fault => fault,
        };
        return Err(Broken { place: chain.place, sequence: link.sequence(), fault });
    }
    Ok(Verified { head: chain.head, superseded: chain.superseded, repeated: chain.repeated })
}

/// A chain as far as it was read.
struct Chain {
    head: Head,
    place: u64,
    superseded: u64,
    repeated: u64,
    /// The place in its chain that follows each link.
    known: HashMap<Hash, u64, RandomState>,
    oldest: VecDeque<Hash>,
}

impl Chain {
    fn new(start: Head) -> Self {
        let known = HashMap::from_iter([(start.hash, start.length)]);
        Self { head: start, place: 0, superseded: 0, repeated: 0, known, oldest: VecDeque::new() }
    }

    fn take(&mut self, at: Timestamp, link: &impl Link) -> Result<(), Fault> {
        if link.hash() != link.hash_at(at) {
            return Err(Fault::Altered);
        }
        if let Some(next) = self.known.get(&link.hash()) {
            if self.head.length.saturating_sub(*next) > RETRIED {
                return Err(Fault::Duplicated);
            }
            self.repeated += 1;
            self.place += 1;
            return Ok(());
        }
        if self.head.precedes(link) {
            self.head = Head::after(link);
        } else if self.known.get(&link.previous_hash()) == Some(&link.sequence()) {
            self.superseded += 1;
        } else {
            return Err(match link.sequence().checked_sub(self.head.length) {
                Some(missing @ 1..) => Fault::Missing(missing),
                _ => Fault::Foreign,
            });
        }
        self.remember(link);
        self.place += 1;
        Ok(())
    }

    fn remember(&mut self, link: &impl Link) {
        self.known.insert(link.hash(), link.sequence() + 1);
        self.oldest.push_back(link.hash());
        if self.oldest.len() > REMEMBERED
            && let Some(forgotten) = self.oldest.pop_front()
        {
            self.known.remove(&forgotten);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug)]
    struct Named {
        sequence: u64,
        name: String,
        previous_hash: Hash,
        hash: Hash,
    }

    impl Link for Named {
        fn sequence(&self) -> u64 {
            self.sequence
        }

        fn previous_hash(&self) -> Hash {
            self.previous_hash
        }

        fn hash(&self) -> Hash {
            self.hash
        }

        fn hash_at(&self, at: Timestamp) -> Hash {
            link_hash(self.sequence, at, &[self.name.as_bytes()], &self.previous_hash)
        }
    }

    type Entry = (Timestamp, Named);

    fn link(head: &Head, millis: i64, name: &str) -> Entry {
        let at = Timestamp::from_millis(millis);
        let mut link =
            Named { sequence: head.length, name: name.into(), previous_hash: head.hash, hash: [0; 32] };
        link.hash = link.hash_at(at);
        (at, link)
    }

    fn chain(length: usize) -> Vec<Entry> {
        let mut head = Head::default();
        let mut entries = Vec::new();
        for n in 0..length {
            let entry = link(&head, 1000, &format!("r{n}"));
            head = Head::after(&entry.1);
            entries.push(entry);
        }
        entries
    }

    fn fault_of(entries: Vec<Entry>) -> Option<(u64, Fault)> {
        verify(Head::default(), entries).err().map(|broken| (broken.place, broken.fault))
    }

    #[test]
    fn a_sound_chain_verifies() {
        let entries = chain(5);
        let head = Head::after(&entries[4].1);
        assert_eq!(verify(Head::default(), entries.clone()), Ok(Verified { head, ..Verified::default() }));
        assert_eq!(verify(Head::default(), Vec::<Entry>::new()), Ok(Verified::default()));
        let rest = entries[2..].to_vec();
        assert_eq!(verify(Head::after(&entries[1].1), rest.clone()).map(|verified| verified.head), Ok(head));
        assert_eq!(fault_of(rest), Some((0, Fault::Missing(2))), "its beginning is gone");
    }

    #[test]
    fn whatever_is_altered_is_found() {
        let alterations: [fn(&mut Entry); 5] = [
            |(at, _)| *at = *at + crate::Span::from_millis(1),
            |(_, link)| link.sequence += 1,
            |(_, link)| link.name.push('x'),
            |(_, link)| link.previous_hash[31] ^= 1,
            |(_, link)| link.hash[0] ^= 1,
        ];
        for (n, alter) in alterations.into_iter().enumerate() {
            let mut entries = chain(5);
            alter(&mut entries[2]);
            assert_eq!(fault_of(entries), Some((2, Fault::Altered)), "{n}");
        }
    }

    #[test]
    fn an_altered_link_with_a_new_hash_breaks_the_chain_after_it() {
        let mut entries = chain(5);
        let before = Head::after(&entries[1].1);
        entries[2] = link(&before, 1000, "forged");
        assert_eq!(fault_of(entries), Some((3, Fault::Foreign)));
    }

    #[test]
    fn missing_moved_and_repeated_links_are_told_apart() {
        let mut entries = chain(6);
        entries.remove(2);
        assert_eq!(fault_of(entries), Some((2, Fault::Missing(1))));
        let mut entries = chain(6);
        entries.swap(2, 3);
        assert_eq!(fault_of(entries), Some((2, Fault::Reordered(2))));
        let mut entries = chain(6);
        let moved = entries.remove(1);
        entries.push(moved);
        assert_eq!(fault_of(entries), Some((1, Fault::Reordered(1))));
        let mut entries = chain(usize::try_from(RETRIED).unwrap() + 2);
        entries.push(entries[0].clone());
        assert_eq!(fault_of(entries), Some((RETRIED + 2, Fault::Duplicated)));
    }

    #[test]
    fn an_append_that_was_tried_again_repeats_links() {
        let mut entries = chain(6);
        let head = Head::after(&entries[5].1);
        entries.splice(4..4, entries[1..4].to_vec());
        assert_eq!(verify(Head::default(), entries), Ok(Verified { head, superseded: 0, repeated: 3 }));
    }

    #[test]
    fn links_that_lost_a_race_are_passed_over() {
        let mut entries = chain(4);
        let loser = link(&Head::after(&entries[1].1), 2000, "r2");
        let after_loser = link(&Head::after(&loser.1), 2000, "r3");
        entries.insert(3, loser);
        entries.insert(4, after_loser);
        let head = Head::after(&entries[5].1);
        assert_eq!(verify(Head::default(), entries), Ok(Verified { head, superseded: 2, repeated: 0 }));
    }
}
