//! Connections to the database: how they are made, and what their errors mean.

use std::time::Duration;

use kbnt_application::ports::HistoryError;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::time::timeout;

use super::address::PostgresAddress;
use super::schema::Place;

/// The oldest version that has every setting below.
const VERSION_LEAST: u32 = 140_000;

/// How long making a connection may take.
const CONNECT_MOST: Duration = Duration::from_secs(5);

/// How long a read may take, with the way there and back.
pub(super) const READ_MOST: Duration = Duration::from_secs(10);

/// How long a change may take, with the way there and back.
pub(super) const WRITE_MOST: Duration = Duration::from_secs(45);

/// Settings of the connection that writes. With it goes the turn, so the server ends it if nothing is heard of the process any more:
/// one that lives looks every second. Without a synchronous commit the last transactions may be lost when the server crashes: they are
/// read again from the log. Every order is found by an index, whatever the planner knows of the tables.
pub(super) const WRITER: &str = "
    SET enable_seqscan = off; SET jit = off; SET statement_timeout = '30s'; SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '30s'; SET idle_session_timeout = '30s';
    SET synchronous_commit = off";

/// Settings of a connection that reads. Every search follows an index in the order of the list, whatever the planner knows of the tables.
pub(super) const READER: &str = "
    SET statement_timeout = '5s'; SET default_transaction_read_only = on; SET jit = off;
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// What the database answers, or what its error means.
pub(super) trait OrFailed<T> {
    fn or_failed(self) -> Result<T, HistoryError>;
}

impl<T> OrFailed<T> for sqlx::Result<T> {
    fn or_failed(self) -> Result<T, HistoryError> {
        self.map_err(|error| failed(&error))
    }
}

/// What an error of the database means. Tables that are missing are no damage: somebody has dropped them, and they are made again when
/// the database is opened again.
fn failed(error: &sqlx::Error) -> HistoryError {
    let sqlx::Error::Database(said) = error else { return HistoryError::Unavailable(error.to_string()) };
    match said.code().as_deref() {
        // data_corrupted, index_corrupted
        Some("XX001" | "XX002") => HistoryError::Damaged(said.message().to_owned()),
        Some(code) => HistoryError::Unavailable(format!("{} ({code})", said.message())),
        None => HistoryError::Unavailable(said.message().to_owned()),
    }
}

/// What `work` comes to, unless it takes too long.
pub(super) async fn within<R>(
    most: Duration,
    work: impl Future<Output = Result<R, HistoryError>>,
) -> Result<R, HistoryError> {
    let late = |_| Err(HistoryError::Unavailable("the database does not answer in time".to_owned()));
    timeout(most, work).await.unwrap_or_else(late)
}

/// A connection with these settings.
pub(super) async fn connect(
    address: &PostgresAddress,
    place: &Place,
    settings: &str,
) -> Result<PgConnection, HistoryError> {
    let unavailable = |why: String| Err(HistoryError::Unavailable(why));
    let options = match address.options() {
        // Statements in the log would be noise; what goes wrong is reported.
        Ok(options) => {
            options.application_name("kbnt-history").extra_float_digits(None).disable_statement_logging()
        }
        Err(error) => return unavailable(format!("of the address of the database, {error}")),
    };
    within(CONNECT_MOST, async {
        let mut connection = PgConnection::connect_with(&options).await.or_failed()?;
        if connection.server_version_num().is_some_and(|version| version < VERSION_LEAST) {
            return unavailable("the database must be PostgreSQL 14 or newer".to_owned());
        }
        let settings = format!("SET search_path TO {}, pg_temp; {settings}", place.name);
        sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut connection).await.or_failed()?;
        let is_standby: bool =
            sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut connection).await.or_failed()?;
        // It may be behind what another connection has read.
        if is_standby { unavailable("this server is a standby".to_owned()) } else { Ok(connection) }
    })
    .await
}
