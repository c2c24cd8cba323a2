//! The id of a log, which stays with the directory, also when it is copied.

use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::home::{Home, ID as NAME};
use super::sealed;

#[derive(Serialize, Deserialize)]
struct Content {
    id: String,
}

/// The id in this directory's file; `None`, with a log line, if there is no trustworthy one.
pub(in super::super) fn read(directory: &Path) -> Option<Uuid> {
    match sealed::read::<Content>(directory, NAME) {
        Ok(content) => content.and_then(|Content { id }| id.parse().ok()),
        Err(error) => {
            let file = directory.join(NAME);
            tracing::warn!(operation = "log-id-refused", file = %file.display(), %error, "it is not what was written");
            None
        }
    }
}

/// The id of the log: the one in its file, else `known` from another source, else a new one. It is written to
/// the file, unless the disk has no room, which is logged: the offsets file has the id, too.
pub(in super::super) fn keep(home: &Home, known: Option<Uuid>) -> Uuid {
    let there = read(home.directory());
    let id = there.or(known).unwrap_or_else(Uuid::new_v4);
    let written = match there {
        Some(_) => Ok(()),
        None => {
            sealed::write(home.directory(), NAME, &Content { id: id.to_string() }).and_then(|()| home.sync())
        }
    };
    if let Err(error) = written.and_then(|()| home.keep_id()) {
        tracing::warn!(operation = "log-id-not-kept", %id, %error, "the id of the log could not be written");
    }
    id
}
