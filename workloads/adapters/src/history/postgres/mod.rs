//! The history of orders in `PostgreSQL`, which all processes of order-service share; docs/history.md describes it.

mod address;
mod connection;
mod read;
mod schema;
mod write;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kbnt_application::history::{Batch, Progress, Search, StoredOrder};
use kbnt_application::ports::{HistoryError, HistorySize, HistoryStore};
use kbnt_application::projections::{OrderEntry, Page};
use kbnt_domain::{OrderId, Timestamp};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{PATIENCE, READS};
use connection::{OrFailed as _, READ_MOST, READER, WRITE_MOST, WRITER, connect, within};
use schema::Place;

pub use address::{PostgresAddress, PostgresAddressError};

/// The history in a database. Cheap to clone.
#[derive(Clone)]
pub struct PostgresHistory(Arc<Shared>);

struct Shared {
    address: PostgresAddress,
    place: Place,
    /// `None` until it is connected. Whoever uses the connection takes it out, and puts it back only if no answer is outstanding.
    writer: tokio::sync::Mutex<Option<Writer>>,
    seen: Mutex<Seen>,
    idle: Mutex<Vec<Idle>>,
    reads: Arc<Semaphore>,
}

/// A connection that reads, and when it last did.
struct Idle {
    connection: PgConnection,
    since: Instant,
}

/// For how long a connection that has answered is taken to work: it is asked again only then, as that takes a message there and back.
const FRESH: Duration = Duration::from_secs(1);

/// The connection that writes.
struct Writer {
    connection: PgConnection,
    /// Whether it holds the lock that goes with the turn.
    has_turn: bool,
}

/// Which history is stored, and how many batches it has at least.
#[derive(Clone, PartialEq)]
struct Known {
    build: String,
    revision: i64,
}

/// What this process has seen of the database.
#[derive(Default)]
struct Seen {
    /// What it saw last: its next batch follows on this.
    last: Option<Known>,
    /// What reads must find, so that none of them is older than this process says it is.
    shown: Option<Known>,
}

impl PostgresHistory {
    /// The history of the log with this prefix of its topics, in the database at `address`. It is opened when it is first asked for its
    /// progress, and read from when it was first asked for the turn.
    pub fn new(address: PostgresAddress, prefix: &str) -> Self {
        Self(Arc::new(Shared {
            address,
            place: Place::of(prefix),
            writer: tokio::sync::Mutex::default(),
            seen: Mutex::default(),
            idle: Mutex::default(),
            reads: Arc::new(Semaphore::new(READS)),
        }))
    }

    /// Runs `work` with the connection that writes.
    async fn write<R>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Writer) -> BoxFuture<'c, Result<R, HistoryError>> + Send,
    ) -> Result<R, HistoryError> {
        let mut slot = self.0.writer.lock().await;
        let mut writer = match slot.take() {
            Some(writer) => writer,
            None => self.0.writer(true).await?,
        };
        let done = within(WRITE_MOST, work(&mut writer)).await;
        if !matches!(done, Err(HistoryError::Unavailable(_))) {
            *slot = Some(writer);
        }
        done
    }

    /// Runs `work` with a connection that reads; waits for its turn.
    async fn read<R: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut PgConnection, &'c Known) -> BoxFuture<'c, Result<R, HistoryError>>
        + Send
        + 'static,
    ) -> Result<R, HistoryError> {
        let turn = timeout(PATIENCE, Arc::clone(&self.0.reads).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(HistoryError::Busy) };
        let shared = Arc::clone(&self.0);
        // It goes on to its end, even if nobody waits for it any more: so its connection can be used again.
        let read = tokio::spawn(async move {
            let _turn = turn;
            shared.read(work).await
        });
        read.await.unwrap_or_else(|error| Err(HistoryError::Unavailable(error.to_string())))
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection that writes.
    async fn writer(&self, open: bool) -> Result<Writer, HistoryError> {
        let mut connection = connect(&self.address, &self.place, WRITER).await?;
        if open {
            within(WRITE_MOST, self.place.open(&mut connection)).await?;
        }
        Ok(Writer { connection, has_turn: false })
    }

    /// A connection that reads: one that is left, if it still works.
    async fn reader(&self) -> Result<PgConnection, HistoryError> {
        while let Some(Idle { mut connection, since }) = { self.idle().pop() } {
            let works = since.elapsed() < FRESH
                || within(READ_MOST, async { connection.ping().await.or_failed() }).await.is_ok();
            if works {
                return Ok(connection);
            }
        }
        connect(&self.address, &self.place, READER).await
    }

    async fn read<R>(
        &self,
        work: impl for<'c> FnOnce(&'c mut PgConnection, &'c Known) -> BoxFuture<'c, Result<R, HistoryError>>
        + Send,
    ) -> Result<R, HistoryError> {
        let shown = self.seen().shown.clone();
        let Some(shown) = shown else {
            return Err(HistoryError::Unavailable("it is not open yet".to_owned()));
        };
        let mut connection = self.reader().await?;
        let done = within(READ_MOST, work(&mut connection, &shown)).await;
        if done.is_ok() {
            self.idle().push(Idle { connection, since: Instant::now() });
        }
        done
    }

    /// What the next batch follows on.
    fn last(&self) -> Result<Known, HistoryError> {
        self.seen().last.clone().ok_or(HistoryError::Conflict)
    }
}

impl Known {
    /// Fails unless what was read is of this history, and no older.
    fn admits(&self, read: &Self) -> Result<(), HistoryError> {
        if read.build == self.build && read.revision >= self.revision {
            Ok(())
        } else {
            Err(HistoryError::Unavailable("it is being built anew".to_owned()))
        }
    }
}

impl Seen {
    /// Another history, or an older state of it, is not read from before the caller has said so.
    fn look(&mut self, now: Known) {
        if let Some(shown) = &mut self.shown
            && shown.build == now.build
            && shown.revision <= now.revision
        {
            shown.revision = now.revision;
        }
        self.last = Some(now);
    }
}

impl Writer {
    async fn take_turn(&mut self, number: i64) -> Result<bool, HistoryError> {
        if self.has_turn {
            self.connection.ping().await.or_failed()?;
        } else {
            let lock = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(number);
            self.has_turn = lock.fetch_one(&mut self.connection).await.or_failed()?;
        }
        Ok(self.has_turn)
    }

    async fn yield_turn(&mut self, number: i64) -> Result<(), HistoryError> {
        if std::mem::take(&mut self.has_turn) {
            let unlock = sqlx::query("SELECT pg_advisory_unlock($1)").bind(number);
            unlock.execute(&mut self.connection).await.or_failed()?;
        }
        Ok(())
    }
}

#[async_trait]
impl HistoryStore for PostgresHistory {
    fn is_shared(&self) -> bool {
        true
    }

    async fn take_turn(&self) -> Result<bool, HistoryError> {
        let number = self.0.place.turn;
        let has_turn = self.write(move |writer| writer.take_turn(number).boxed()).await?;
        let seen = &mut *self.0.seen();
        seen.shown.clone_from(&seen.last);
        Ok(has_turn)
    }

    async fn yield_turn(&self) {
        let mut slot = self.0.writer.lock().await;
        let Some(mut writer) = slot.take() else { return };
        // The turn ends with the connection in any case.
        if within(WRITE_MOST, writer.yield_turn(self.0.place.turn)).await.is_ok() {
            *slot = Some(writer);
        }
    }

    async fn progress(&self) -> Result<Progress, HistoryError> {
        let (known, progress) = self.write(|writer| read::progress(&mut writer.connection).boxed()).await?;
        self.0.seen().look(known);
        Ok(progress)
    }

    async fn stored(&self, orders: Vec<OrderId>) -> Result<HashMap<OrderId, StoredOrder>, HistoryError> {
        self.write(move |writer| async move { read::stored(&mut writer.connection, &orders).await }.boxed())
            .await
    }

    async fn apply(&self, batch: Batch) -> Result<(), HistoryError> {
        let known = self.0.last()?;
        let known =
            self.write(move |writer| write::apply(&mut writer.connection, known, batch).boxed()).await?;
        self.0.seen().look(known);
        Ok(())
    }

    async fn get(&self, order: OrderId) -> Result<Option<OrderEntry>, HistoryError> {
        let stored = self.read(move |connection, known| read::get(connection, known, order).boxed()).await?;
        Ok(stored.map(|stored| stored.entry))
    }

    async fn search(&self, search: Search) -> Result<Page, HistoryError> {
        self.read(move |connection, known| read::search(connection, known, search).boxed()).await
    }

    async fn expire(&self, before: Timestamp, most: usize) -> Result<usize, HistoryError> {
        let known = self.0.last()?;
        self.write(move |writer| write::expire(&mut writer.connection, known, before, most).boxed()).await
    }

    async fn reset(&self) -> Result<(), HistoryError> {
        let mut slot = self.0.writer.lock().await;
        let mut writer = match slot.take() {
            Some(writer) => writer,
            None => self.0.writer(false).await?,
        };
        let place = &self.0.place;
        if !within(WRITE_MOST, writer.take_turn(place.turn)).await? {
            *slot = Some(writer);
            let why = "damage was found, and it is another process's turn, which is to come upon it, too";
            return Err(HistoryError::Unavailable(why.to_owned()));
        }
        let last = self.0.seen().last.clone();
        let damaged = last.as_ref().map(|known| known.build.as_str());
        within(WRITE_MOST, place.set_aside(&mut writer.connection, damaged)).await?;
        *slot = Some(writer);
        *self.0.seen() = Seen::default();
        Ok(())
    }

    async fn size(&self) -> Result<HistorySize, HistoryError> {
        let schema = self.0.place.name.clone();
        self.read(move |connection, known| {
            async move { read::size(connection, known, &schema).await }.boxed()
        })
        .await
    }
}
