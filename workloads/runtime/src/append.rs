//! Retries appends for as long as the runner lives.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kbnt_application::ports::{ErrorClass, LogError, Stage};
use kbnt_application::{Append, Machine, Position};
use tokio::time::sleep;

use super::backoff::Backoff;
use super::shell::Shell;

/// How long a batch may still try to become durable once the runner was stopped.
const GRACE: Duration = Duration::from_secs(5);

/// How long an append may take before the log counts as unavailable.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most bytes that are appended at once, give or take a record.
const PIECE: usize = 8 << 20;

/// Why a batch is not durable.
pub(super) enum Unwritten {
    /// The log refuses it.
    Refused(LogError),
    /// The runner is to stop, and the log did not answer in time.
    GivenUp,
}

/// Splits `batch` into pieces that a log accepts at once.
fn pieces(batch: &[Append]) -> impl Iterator<Item = &[Append]> {
    let mut weight = 0;
    batch.chunk_by(move |before, _| {
        weight += before.weight();
        let together = weight < PIECE;
        if !together {
            weight = 0;
        }
        together
    })
}

impl<M: Machine> Shell<M> {
    /// Appends, however long the log is unavailable, but not much longer than the runner may live.
    pub(super) async fn append(&mut self, batch: &[Append]) -> Result<Vec<Position>, Unwritten> {
        let mut positions = Vec::with_capacity(batch.len());
        for piece in pieces(batch) {
            positions.append(&mut self.append_piece(piece).await?);
        }
        Ok(positions)
    }

    async fn append_piece(&mut self, piece: &[Append]) -> Result<Vec<Position>, Unwritten> {
        let (log, shutdown) = (Arc::clone(&self.parts.log), self.shutdown.clone());
        let mut pause = Backoff::new();
        let mut grace = pin!(async {
            shutdown.cancelled().await;
            sleep(GRACE).await;
        });
        loop {
            let mut attempt = log.append(piece.to_vec());
            let error = loop {
                tokio::select! {
                    written = &mut attempt => match written {
                        Ok(positions) => return Ok(positions),
                        Err(error) if error.class() == ErrorClass::Permanent => {
                            return Err(Unwritten::Refused(error));
                        }
                        Err(error) => break error,
                    },
                    () = &mut grace => return Err(Unwritten::GivenUp),
                    () = sleep(PATIENCE) => {
                        let error = LogError::Unavailable(format!("nothing acknowledged for {PATIENCE:?}"));
                        self.unavailable(Stage::Append, &error);
                    }
                }
            };
            self.unavailable(Stage::Append, &error);
            tokio::select! {
                () = &mut grace => return Err(Unwritten::GivenUp),
                () = sleep(pause.next()) => {}
            }
        }
    }
}
