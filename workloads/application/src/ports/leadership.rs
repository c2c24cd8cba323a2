//! Whose turn it is to write, where one may.

use core::net::SocketAddr;

use async_trait::async_trait;

/// Says when it is this process's turn to stand for election.
///
/// It only keeps processes out of each other's way: elections in the log keep the books right whatever it says, so a
/// leader that is not sure any more goes on writing until it sees a newer one in the log.
#[async_trait]
pub trait Leadership: Send + Sync + 'static {
    /// Returns once it is this process's turn; an error where that can never be.
    async fn acquired(&self) -> Result<(), String>;

    /// This process has ended its turn: somebody else's may begin at once.
    async fn release(&self);
}

/// Knows where the process is that is at work.
#[async_trait]
pub trait Active: Send + Sync + 'static {
    /// Its address; `None` where no other one is at work or nobody can tell.
    async fn address(&self) -> Option<SocketAddr>;
}
