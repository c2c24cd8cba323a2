//! What reads the database.

use std::collections::HashMap;

use kbnt_application::history::{Gathered, LOOKS_MOST, Progress, Search, StoredOrder};
use kbnt_application::ports::{HistoryError, HistorySize};
use kbnt_application::projections::{Cursor, Page};
use kbnt_domain::{OrderId, Timestamp};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::super::rows::{self, status_code};
use super::Known;
use super::connection::OrFailed as _;

/// Which history it is, and how far the log is applied.
pub(super) async fn progress(connection: &mut PgConnection) -> Result<(Known, Progress), HistoryError> {
    let select = sqlx::query_as("SELECT build, revision, content FROM progress");
    let found: Option<(String, i64, Vec<u8>)> = select.fetch_optional(connection).await.or_failed()?;
    let (build, revision, content) = found.ok_or_else(no_progress)?;
    Ok((Known { build, revision }, rows::progress_at(revision, &content)?))
}

pub(super) fn no_progress() -> HistoryError {
    HistoryError::Damaged("it does not say how far the log is applied".to_owned())
}

/// Makes sure that what was read just now is of the history that is known. None is ever begun twice under the same name, so it was the same
/// while it was read.
async fn confirm(connection: &mut PgConnection, known: &Known) -> Result<(), HistoryError> {
    let select = sqlx::query_as("SELECT build, revision FROM progress");
    let found: Option<(String, i64)> = select.fetch_optional(connection).await.or_failed()?;
    let (build, revision) = found.ok_or_else(no_progress)?;
    known.admits(&Known { build, revision })
}

/// One order. Many are asked for, so it is all in one statement.
pub(super) async fn get(
    connection: &mut PgConnection,
    known: &Known,
    order: OrderId,
) -> Result<Option<StoredOrder>, HistoryError> {
    let select = "SELECT p.build, p.revision, o.content FROM progress p LEFT JOIN orders o ON o.id = $1";
    let found: Option<(String, i64, Option<Vec<u8>>)> =
        sqlx::query_as(select).bind(bytes(order)).fetch_optional(connection).await.or_failed()?;
    let (build, revision, content) = found.ok_or_else(no_progress)?;
    known.admits(&Known { build, revision })?;
    content.map(|content| rows::stored(order, &content)).transpose()
}

/// What is stored of these orders.
pub(super) async fn stored(
    connection: &mut PgConnection,
    orders: &[OrderId],
) -> Result<HashMap<OrderId, StoredOrder>, HistoryError> {
    let ids: Vec<&[u8]> = orders.iter().map(bytes_of).collect();
    let select = sqlx::query("SELECT id, content FROM orders WHERE id = ANY($1)").bind(ids);
    let found = select.fetch_all(connection).await.or_failed()?;
    found.iter().map(|row| stored_in(row).map(|stored| (stored.order, stored))).collect()
}

/// The id of an order as it is stored.
pub(super) fn bytes(order: OrderId) -> Vec<u8> {
    bytes_of(&order).to_vec()
}

pub(super) fn bytes_of(order: &OrderId) -> &[u8] {
    order.as_uuid().as_bytes()
}

/// The order of a row with the columns `id` and `content`.
pub(super) fn stored_in(row: &PgRow) -> Result<StoredOrder, HistoryError> {
    let id: &[u8] = row.try_get("id").or_failed()?;
    let id = Uuid::from_slice(id)
        .map_err(|_| HistoryError::Damaged("the id of an order is not what was written".to_owned()))?;
    rows::stored(OrderId::from_uuid(id), row.try_get("content").or_failed()?)
}

/// The order of a row of a search.
fn listed(row: &PgRow) -> Result<StoredOrder, HistoryError> {
    let status: i16 = row.try_get("status").or_failed()?;
    let (placed_at, customer) = (row.try_get("placed_at").or_failed()?, row.try_get("customer").or_failed()?);
    // A number that none has is another one than the order's.
    rows::listed(stored_in(row)?, placed_at, customer, u8::try_from(status).unwrap_or(u8::MAX))
}

/// How the orders of a search are found: the most selective of user, product and status chooses the index, and the rest is looked at
/// order by order.
struct Way {
    text: String,
    user: Option<String>,
    product: Option<String>,
    status: Option<i16>,
}

impl Way {
    fn of(search: &Search) -> Self {
        let filter = &search.filter;
        let (user, product) = (filter.user.as_ref(), filter.product.as_ref());
        let status = filter.status.map(status_code);
        let (from, k) = match (user, product, status) {
            (Some(_), _, _) => ("orders o WHERE o.customer = $1", "o"),
            (None, Some(_), _) => ("products k JOIN orders o ON o.id = k.id WHERE k.product = $1", "k"),
            (None, None, Some(_)) => ("orders o WHERE o.status = $1", "o"),
            (None, None, None) => ("orders o WHERE $1::text IS NULL", "o"),
        };
        let text = format!(
            "SELECT o.id, o.placed_at, o.customer, o.status, o.content FROM {from} AND o.placed_at IS NOT NULL
             AND {k}.placed_at >= $2 AND {k}.placed_at < $3 AND ({k}.placed_at, {k}.id) < ($4, $5)
             ORDER BY {k}.placed_at DESC, {k}.id DESC LIMIT $6"
        );
        Self {
            text,
            user: user.map(|user| user.as_str().to_owned()),
            product: product.map(|product| product.as_str().to_owned()),
            status: status.map(i16::from),
        }
    }

    /// So many orders after this one.
    async fn next(
        &self,
        connection: &mut PgConnection,
        search: &Search,
        after: Option<Cursor>,
        count: usize,
    ) -> Result<Vec<PgRow>, HistoryError> {
        let select = sqlx::query(AssertSqlSafe(self.text.as_str()));
        let select = match (&self.user, &self.product, self.status) {
            (Some(user), _, _) => select.bind(user),
            (None, Some(product), _) => select.bind(product),
            (None, None, Some(status)) => select.bind(status),
            (None, None, None) => select.bind(None::<String>),
        };
        let (at, id) =
            after.map_or((i64::MAX, Vec::new()), |after| (after.placed_at.as_millis(), bytes(after.order)));
        select
            .bind(search.filter.from.map_or(i64::MIN, Timestamp::as_millis))
            .bind(search.filter.to.map_or(i64::MAX, Timestamp::as_millis))
            .bind(at)
            .bind(id)
            .bind(i64::try_from(count).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await
            .or_failed()
    }
}

/// A page. Orders are fetched in parts, more of them each time: a page mostly takes the first ones.
pub(super) async fn search(
    connection: &mut PgConnection,
    known: &Known,
    search: Search,
) -> Result<Page, HistoryError> {
    let page = page(connection, search).await?;
    confirm(connection, known).await?;
    Ok(page)
}

async fn page(connection: &mut PgConnection, search: Search) -> Result<Page, HistoryError> {
    let way = Way::of(&search);
    let (mut after, mut count) = (search.after, search.limit + 1);
    let mut gathered = Gathered::new(search.clone());
    loop {
        let found = way.next(connection, &search, after, count).await?;
        for row in &found {
            let stored = listed(row)?;
            after = stored.cursor();
            if !gathered.offer(&stored) {
                return Ok(gathered.page());
            }
        }
        if found.len() < count {
            return Ok(gathered.page());
        }
        count = (count * 4).min(LOOKS_MOST + 1);
    }
}

/// How much is stored.
pub(super) async fn size(
    connection: &mut PgConnection,
    known: &Known,
    schema: &str,
) -> Result<HistorySize, HistoryError> {
    let select = "SELECT build, revision, orders,
        (SELECT sum(pg_total_relation_size(t.oid))::bigint FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
         WHERE n.nspname = $1 AND t.relkind = 'r') FROM progress";
    let found: Option<(String, i64, i64, Option<i64>)> =
        sqlx::query_as(select).bind(schema).fetch_optional(connection).await.or_failed()?;
    let (build, revision, orders, bytes) = found.ok_or_else(no_progress)?;
    known.admits(&Known { build, revision })?;
    Ok(HistorySize { orders: rows::count(orders)?, bytes: bytes.unwrap_or_default().unsigned_abs() })
}
