//! `kbnt dlq`: dead letters, and what people do with them.

mod act;
mod dead_letters;
mod list;
mod show;

use std::process::ExitCode;

use kbnt_application::{Position, Topic};

use crate::cli::{DlqCommand, TrailOptions};
use crate::failure::Failure;
use crate::origin::{self, Access, From, Origin};
use dead_letters::{DeadLetter, DeadLetters};

/// The header of a replayed record: the position of the unreadable one.
const REPLAY_OF: &str = "kbnt_replay_of";

pub(crate) async fn run(command: DlqCommand) -> Result<ExitCode, Failure> {
    match command {
        DlqCommand::List(options) => return list::run(&options).await,
        DlqCommand::Show(options) => show::run(&options).await?,
        DlqCommand::Replay(options) => act::replay(&options).await?,
        DlqCommand::Discard(options) => act::discard(&options).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// All dead letters of the trail that the options name, and whether some of the trail is known to be missing,
/// which is reported.
async fn all(trail: &TrailOptions) -> Result<(DeadLetters, bool), Failure> {
    let Some(directory) = &trail.data_dir else {
        return Ok((read(open(trail).await?, DeadLetters::default()).await?, false));
    };
    let log = origin::open_directory(directory, Access::Read)?;
    let missing = log.recovery().short.iter().any(|short| short.end.topic == Topic::AuditLogs);
    let origin = Origin::of_log(&log, &[Topic::AuditLogs], From::Start).await?;
    Ok((read(origin, DeadLetters::default()).await?, missing))
}

/// Opens the trail that the options name, at its beginning.
async fn open(trail: &TrailOptions) -> Result<Origin, Failure> {
    Origin::open(&trail.origin, trail.data_dir.as_ref(), &[Topic::AuditLogs], From::Start).await
}

/// The dead letter of this record.
async fn one(origin: Origin, at: Position) -> Result<DeadLetter, Failure> {
    let mut dead_letters = read(origin, DeadLetters::only(at)).await?;
    let unknown =
        || Failure::Refused(format!("there is no dead letter {at}; kbnt dlq list --all has them all"));
    dead_letters.remove(at).ok_or_else(unknown)
}

async fn read(mut origin: Origin, mut dead_letters: DeadLetters) -> Result<DeadLetters, Failure> {
    while let Some(seen) = origin.next_of_those().await? {
        dead_letters.take(&seen);
    }
    Ok(dead_letters)
}
