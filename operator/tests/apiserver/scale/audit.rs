//! Requests, counted from the audit log of the API server, in the same way for both contenders.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::harness::Failure;

/// The audit policy.
pub(super) const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/apiserver/scale/audit.yaml");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    user: User,
    object_ref: Option<ObjectRef>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct ObjectRef {
    resource: Option<String>,
    subresource: Option<String>,
}

/// Requests by verb and resource.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts(pub(super) BTreeMap<(String, String), u32>);

impl Counts {
    /// The sum over all requests that `choose` selects, without those for the lease.
    fn sum(&self, choose: impl Fn(&str) -> bool) -> u32 {
        let chosen = self.0.iter().filter(|((verb, resource), _)| resource != "leases" && choose(verb));
        chosen.map(|(_, count)| count).sum()
    }

    /// Requests that change something.
    pub(super) fn writes(&self) -> u32 {
        self.sum(|verb| !matches!(verb, "get" | "list" | "watch"))
    }

    /// Requests of this verb.
    pub(super) fn of(&self, wanted: &str) -> u32 {
        self.sum(|verb| verb == wanted)
    }

    /// The requests that are not in `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        let differences = self
            .0
            .iter()
            .map(|(key, count)| (key.clone(), count - before.0.get(key).copied().unwrap_or_default()));
        Self(differences.filter(|(_, count)| *count > 0).collect())
    }
}

/// Reads the audit log incrementally.
pub(super) struct Audit {
    log: BufReader<File>,
    /// The incomplete last line.
    rest: String,
    user: String,
    counts: Counts,
}

impl Audit {
    /// Opens the log for the requests of this user.
    pub(super) fn open(path: &Path, user: String) -> Result<Self, Failure> {
        let log = BufReader::new(File::open(path)?);
        Ok(Self { log, rest: String::new(), user, counts: Counts::default() })
    }

    /// All requests so far.
    pub(super) fn read(&mut self) -> Result<Counts, Failure> {
        while self.log.read_line(&mut self.rest)? > 0 {
            if self.rest.ends_with('\n') {
                self.count()?;
                self.rest.clear();
            }
        }
        Ok(self.counts.clone())
    }

    fn count(&mut self) -> Result<(), Failure> {
        let Line { stage, verb, user, object_ref } = serde_json::from_str(&self.rest)?;
        // A watch counts when it begins, every other request when it ends.
        let counts = stage == if verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
        if !counts || user.username != self.user {
            return Ok(());
        }
        let resource = match object_ref {
            Some(ObjectRef { resource: Some(resource), subresource: Some(sub) }) => {
                format!("{resource}/{sub}")
            }
            Some(ObjectRef { resource: Some(resource), .. }) => resource,
            _ => "discovery".to_owned(),
        };
        *self.counts.0.entry((verb, resource)).or_default() += 1;
        Ok(())
    }
}
