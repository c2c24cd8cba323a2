//! `list.yaml`: each bug, and the place that it is planted in.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Failure;

/// One planted bug: a text that stands exactly once in a file, and what takes its place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// What goes wrong.
    pub name: String,
    /// The file, from the root of the repository.
    pub file: String,
    /// The sound text.
    pub search: String,
    /// The wrong one.
    pub replace: String,
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All bugs, in the order of the list.
///
/// # Errors
/// The list cannot be read.
pub fn read() -> Result<Vec<Mutant>, Failure> {
    Ok(serde_yaml::from_str(&fs::read_to_string(root().join("workloads/mutants/list.yaml"))?)?)
}

impl Mutant {
    /// The file with the bug.
    ///
    /// # Errors
    /// The text does not stand in it exactly once.
    pub fn planted(&self, sound: &str) -> Result<String, Failure> {
        match sound.matches(&self.search).count() {
            1 => Ok(sound.replacen(&self.search, &self.replace, 1)),
            count => Err(format!("{}: its text stands {count} times in {}", self.name, self.file).into()),
        }
    }
}
