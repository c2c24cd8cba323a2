//! What changes the database: each in one transaction, which holds the row of the progress.

use std::collections::HashSet;

use kbnt_application::history::{Batch, StoredOrder};
use kbnt_application::ports::HistoryError;
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{OrderId, Timestamp};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::super::rows::{self, status_code};
use super::Known;
use super::connection::OrFailed as _;
use super::read::{bytes, bytes_of, no_progress, stored_in};

/// Holds the row of the progress until the end of the transaction. Fails if another history is stored than the one that is known.
async fn lock(connection: &mut PgConnection, known: &Known) -> Result<i64, HistoryError> {
    let select = sqlx::query_as("SELECT build, revision FROM progress FOR UPDATE");
    let found: Option<(String, i64)> = select.fetch_optional(connection).await.or_failed()?;
    let (build, revision) = found.ok_or_else(no_progress)?;
    if build == known.build { Ok(revision) } else { Err(HistoryError::Conflict) }
}

/// Applies a batch, unless it does not follow on what is stored. Returns what is known then.
pub(super) async fn apply(
    connection: &mut PgConnection,
    known: Known,
    batch: Batch,
) -> Result<Known, HistoryError> {
    let content = rows::progress(&batch.progress)?;
    let revision = batch.progress.revision.cast_signed();
    let mut transaction = connection.begin().await.or_failed()?;
    if lock(&mut transaction, &known).await? + 1 != revision {
        return Err(HistoryError::Conflict);
    }
    let listed = put(&mut transaction, &batch.orders).await?;
    sqlx::query("UPDATE progress SET revision = $1, orders = orders + $2, content = $3")
        .bind(revision)
        .bind(listed)
        .bind(content)
        .execute(&mut *transaction)
        .await
        .or_failed()?;
    transaction.commit().await.or_failed()?;
    Ok(Known { revision, ..known })
}

/// Stores orders; how many of them are listed from now on, and were not before.
async fn put(connection: &mut PgConnection, orders: &[StoredOrder]) -> Result<i64, HistoryError> {
    let ids: Vec<&[u8]> = orders.iter().map(|stored| bytes_of(&stored.order)).collect();
    let listed = "SELECT id FROM orders WHERE id = ANY($1) AND placed_at IS NOT NULL";
    let listed: Vec<Vec<u8>> =
        sqlx::query_scalar(listed).bind(&ids).fetch_all(&mut *connection).await.or_failed()?;
    let listed: HashSet<OrderId> =
        listed.iter().filter_map(|id| uuid::Uuid::from_slice(id).ok()).map(OrderId::from_uuid).collect();
    let placed = |stored: &StoredOrder| stored.entry.placed.as_ref().map(|placed| placed.at.as_millis());
    let user =
        |stored: &StoredOrder| stored.entry.placed.as_ref().map(|placed| placed.user.as_str().to_owned());
    let seen =
        |stored: &StoredOrder| stored.entry.events.first().map_or(0, |event| event.timestamp.as_millis());
    // An update that changes no indexed column writes to no index.
    let upsert = "INSERT INTO orders (id, placed_at, customer, status, seen_at, content)
        SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::smallint[], $5::bigint[], $6::bytea[])
        ON CONFLICT (id) DO UPDATE SET placed_at = excluded.placed_at, customer = excluded.customer,
            status = excluded.status, content = excluded.content";
    sqlx::query(upsert)
        .bind(&ids)
        .bind(orders.iter().map(placed).collect::<Vec<_>>())
        .bind(orders.iter().map(user).collect::<Vec<_>>())
        .bind(orders.iter().map(|stored| i16::from(status_code(stored.entry.status))).collect::<Vec<_>>())
        .bind(orders.iter().map(seen).collect::<Vec<_>>())
        .bind(orders.iter().map(rows::order).collect::<Result<Vec<_>, _>>()?)
        .execute(&mut *connection)
        .await
        .or_failed()?;
    let new: Vec<&StoredOrder> =
        orders.iter().filter(|stored| stored.cursor().is_some() && !listed.contains(&stored.order)).collect();
    let insert = "INSERT INTO products (product, placed_at, id)
        SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])";
    Products::of(new.iter().copied()).run(connection, insert).await?;
    Ok(i64::try_from(new.len()).unwrap_or(i64::MAX))
}

/// Rows of the table of products.
#[derive(Default)]
struct Products {
    names: Vec<String>,
    placed_at: Vec<i64>,
    ids: Vec<Vec<u8>>,
}

impl Products {
    fn of<'a>(orders: impl Iterator<Item = &'a StoredOrder>) -> Self {
        let mut rows = Self::default();
        for stored in orders {
            let Some(cursor) = stored.cursor() else { continue };
            for product in &stored.products {
                rows.names.push(product.as_str().to_owned());
                rows.placed_at.push(cursor.placed_at.as_millis());
                rows.ids.push(bytes(cursor.order));
            }
        }
        rows
    }

    async fn run(self, connection: &mut PgConnection, text: &'static str) -> Result<(), HistoryError> {
        let Self { names, placed_at, ids } = self;
        let run = sqlx::query(text).bind(names).bind(placed_at).bind(ids);
        run.execute(connection).await.or_failed().map(drop)
    }
}

/// Orders that were placed before and have ended.
const LISTED: &str = "
    DELETE FROM orders WHERE id IN (
        SELECT id FROM orders WHERE placed_at IS NOT NULL AND placed_at < $1 AND status <> $2
        ORDER BY placed_at, id LIMIT $3
    ) RETURNING id, content";

/// Orders of which something was heard before, and that were not placed.
const UNLISTED: &str = "
    DELETE FROM orders WHERE id IN (
        SELECT id FROM orders WHERE placed_at IS NULL AND seen_at < $1 LIMIT $2
    )";

/// Drops at most `most` of both.
pub(super) async fn expire(
    connection: &mut PgConnection,
    known: Known,
    before: Timestamp,
    most: usize,
) -> Result<usize, HistoryError> {
    let mut transaction = connection.begin().await.or_failed()?;
    lock(&mut transaction, &known).await?;
    let count = |orders: usize| i64::try_from(orders).unwrap_or(i64::MAX);
    let listed = sqlx::query(LISTED)
        .bind(before.as_millis())
        .bind(i16::from(status_code(OrderStatus::Pending)))
        .bind(count(most))
        .fetch_all(&mut *transaction)
        .await
        .or_failed()?;
    let dropped = listed.iter().map(stored_in).collect::<Result<Vec<_>, _>>()?;
    let delete = "DELETE FROM products p USING unnest($1::text[], $2::bigint[], $3::bytea[]) AS k (product, placed_at, id)
        WHERE p.product = k.product AND p.placed_at = k.placed_at AND p.id = k.id";
    Products::of(dropped.iter()).run(&mut transaction, delete).await?;
    let unlisted = sqlx::query(UNLISTED)
        .bind(before.as_millis())
        .bind(count(most - listed.len()))
        .execute(&mut *transaction)
        .await
        .or_failed()?
        .rows_affected();
    sqlx::query("UPDATE progress SET orders = orders - $1")
        .bind(count(listed.len()))
        .execute(&mut *transaction)
        .await
        .or_failed()?;
    transaction.commit().await.or_failed()?;
    Ok(listed.len() + usize::try_from(unlisted).unwrap_or(usize::MAX))
}
