//! The schema of the database: how it is opened, made and set aside.

use kbnt_application::ports::HistoryError;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use super::connection::OrFailed as _;

/// Changes with the tables and with the meaning of their rows. It is in the name of the schema, so that while an update replaces one
/// process after the other both versions have their own.
const FORMAT: i32 = 1;

/// `products` has a row for each product of an order, so that orders of a product are found. `progress` has one row, of which `build`
/// tells one history from another one that was begun anew. `log` says whose it is.
const TABLES: &str = "
    CREATE TABLE log (
        one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER NOT NULL, prefix TEXT NOT NULL,
        made_at TIMESTAMPTZ NOT NULL DEFAULT now()
    );
    CREATE TABLE orders (
        id BYTEA PRIMARY KEY, placed_at BIGINT, customer TEXT, status SMALLINT NOT NULL, seen_at BIGINT NOT NULL,
        content BYTEA NOT NULL
    ) WITH (fillfactor = 80);
    CREATE INDEX by_time ON orders (placed_at, id) WHERE placed_at IS NOT NULL;
    CREATE INDEX by_customer ON orders (customer, placed_at, id) WHERE placed_at IS NOT NULL;
    CREATE INDEX by_status ON orders (status, placed_at, id) WHERE placed_at IS NOT NULL;
    CREATE INDEX unplaced ON orders (seen_at) WHERE placed_at IS NULL;
    CREATE TABLE products (
        product TEXT, placed_at BIGINT, id BYTEA, PRIMARY KEY (product, placed_at, id)
    );
    CREATE TABLE progress (
        one INTEGER PRIMARY KEY CHECK (one = 1), build TEXT NOT NULL, revision BIGINT NOT NULL,
        orders BIGINT NOT NULL, content BYTEA NOT NULL
    ) WITH (fillfactor = 20);
    INSERT INTO progress (one, build, revision, orders, content) VALUES (1, gen_random_uuid()::text, 0, 0, '');
";

/// Their names.
const NAMES: [&str; 4] = ["log", "orders", "products", "progress"];

/// The place of one log's history in a database that it may share with others.
pub(super) struct Place {
    prefix: String,
    /// The schema.
    pub(super) name: String,
    /// The schema that was set aside.
    refused: String,
    /// The number of the lock that goes with the turn.
    pub(super) turn: i64,
    /// The number of the lock under which the schema is made and set aside.
    making: i64,
}

impl Place {
    /// That of the log with this prefix of its topics.
    pub(super) fn of(prefix: &str) -> Self {
        let hash = Sha256::digest(prefix.as_bytes());
        let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let name = format!("kbnt_history_{FORMAT}_{number:016x}");
        let turn = (number ^ u64::from(FORMAT.unsigned_abs()) << 1).cast_signed();
        Self { prefix: prefix.to_owned(), refused: format!("{name}_refused"), name, turn, making: turn ^ 1 }
    }

    /// Makes sure that the schema is there, and is of this log.
    pub(super) async fn open(&self, connection: &mut PgConnection) -> Result<(), HistoryError> {
        if !tables(connection, &self.name).await?.is_empty() {
            return self.check(connection).await;
        }
        let mut transaction = connection.begin().await.or_failed()?;
        self.lock(&mut transaction).await?;
        // Unless another process has made it meanwhile.
        if tables(&mut transaction, &self.name).await?.is_empty() {
            self.make(&mut transaction).await?;
        }
        transaction.commit().await.or_failed()?;
        self.check(connection).await
    }

    async fn check(&self, connection: &mut PgConnection) -> Result<(), HistoryError> {
        let found = tables(connection, &self.name).await?;
        let foreign = |why: String| Err(HistoryError::Foreign(format!("the schema {} {why}", self.name)));
        let is_there = |name: &str| found.iter().any(|table| table == name);
        if !is_there("log") {
            return foreign("was made by another program".to_owned());
        }
        let whose: Option<(i32, String)> =
            sqlx::query_as("SELECT format, prefix FROM log").fetch_optional(connection).await.or_failed()?;
        match whose {
            Some((format, _)) if format != FORMAT => foreign(format!("has format {format}, not {FORMAT}")),
            Some((_, prefix)) if prefix != self.prefix => {
                foreign(format!("has the orders of topics with the prefix {prefix:?}, not {:?}", self.prefix))
            }
            None => foreign("does not say whose it is".to_owned()),
            Some(_) if NAMES.into_iter().all(is_there) => Ok(()),
            Some(_) => {
                Err(HistoryError::Damaged(format!("of its tables there are only {}", found.join(", "))))
            }
        }
    }

    /// One process at a time, until the end of the transaction.
    async fn lock(&self, connection: &mut PgConnection) -> Result<(), HistoryError> {
        let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(self.making);
        lock.execute(connection).await.or_failed().map(drop)
    }

    async fn make(&self, connection: &mut PgConnection) -> Result<(), HistoryError> {
        // An empty one may be there, made by somebody who may make schemas for this user, who may not.
        let schemas: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_namespace WHERE nspname = $1")
            .bind(&self.name)
            .fetch_one(&mut *connection)
            .await
            .or_failed()?;
        let create = if schemas == 0 { format!("CREATE SCHEMA {};", self.name) } else { String::new() };
        let text = format!("{create}{TABLES}");
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection).await.or_failed()?;
        let log = sqlx::query("INSERT INTO log (one, format, prefix) VALUES (1, $1, $2)");
        log.bind(FORMAT).bind(&self.prefix).execute(connection).await.or_failed().map(drop)
    }

    /// Sets the schema aside and makes another one. What was set aside before is never touched: then nothing happens, until somebody
    /// has looked at it and dropped it. So a process that takes good rows for damaged ones cannot destroy them. Nor does anything happen
    /// if it is another build than the one that was found damaged.
    pub(super) async fn set_aside(
        &self,
        connection: &mut PgConnection,
        damaged: Option<&str>,
    ) -> Result<(), HistoryError> {
        let mut transaction = connection.begin().await.or_failed()?;
        self.lock(&mut transaction).await?;
        if let Some(damaged) = damaged
            && tables(&mut transaction, &self.name).await?.iter().any(|table| table == "progress")
        {
            let build: Option<String> = sqlx::query_scalar("SELECT build FROM progress")
                .fetch_optional(&mut *transaction)
                .await
                .or_failed()?;
            if build.is_some_and(|build| build != damaged) {
                return Ok(());
            }
        }
        if !tables(&mut transaction, &self.refused).await?.is_empty() {
            let (name, refused) = (&self.name, &self.refused);
            return Err(HistoryError::Unavailable(format!(
                "{name} is to be set aside as damaged, and {refused} was before: see what damages them, and DROP SCHEMA {refused} CASCADE"
            )));
        }
        let rename = format!("ALTER SCHEMA {} RENAME TO {}", self.name, self.refused);
        sqlx::raw_sql(AssertSqlSafe(rename)).execute(&mut *transaction).await.or_failed()?;
        self.make(&mut transaction).await?;
        transaction.commit().await.or_failed()
    }
}

/// The tables of a schema, sorted.
async fn tables(connection: &mut PgConnection, schema: &str) -> Result<Vec<String>, HistoryError> {
    let select = "SELECT tablename::text FROM pg_catalog.pg_tables WHERE schemaname = $1 ORDER BY 1";
    sqlx::query_scalar(select).bind(schema).fetch_all(connection).await.or_failed()
}
