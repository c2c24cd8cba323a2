//! What reads the database: each in one statement, so that it sees one state.

use std::collections::HashMap;

use kbnt_application::history::{Gathered, Progress, Search, StoredOrder};
use kbnt_application::ports::HistoryError;
use kbnt_application::projections::Page;
use kbnt_domain::{OrderId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};
use uuid::Uuid;

use super::file::OrFailed as _;
use super::rows::{self, status_code};

/// How far the log is applied.
pub(super) fn progress(connection: &Connection) -> Result<Progress, HistoryError> {
    let (revision, row): (i64, Vec<u8>) = connection
        .query_row("SELECT revision, row FROM progress", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .or_failed()?;
    rows::progress_at(revision, &row)
}

/// How many orders are listed.
pub(super) fn orders(connection: &Connection) -> Result<u64, HistoryError> {
    let orders: i64 =
        connection.query_row("SELECT orders FROM progress", [], |row| row.get(0)).or_failed()?;
    rows::count(orders)
}

/// One order.
pub(super) fn get(connection: &Connection, order: OrderId) -> Result<Option<StoredOrder>, HistoryError> {
    let row: Option<Vec<u8>> = connection
        .prepare_cached("SELECT row FROM orders WHERE id = ?1")
        .and_then(|mut select| select.query_row([order.as_uuid().as_bytes()], |row| row.get(0)).optional())
        .or_failed()?;
    row.map(|row| rows::stored(order, &row)).transpose()
}

/// What is stored of these orders.
pub(super) fn stored(
    connection: &Connection,
    orders: &[OrderId],
) -> Result<HashMap<OrderId, StoredOrder>, HistoryError> {
    let mut found = HashMap::with_capacity(orders.len());
    for order in orders {
        if let Some(stored) = get(connection, *order)? {
            found.insert(*order, stored);
        }
    }
    Ok(found)
}

/// The columns of a search. Those of the index come along to be compared with the row.
const COLUMNS: &str = "o.id, o.placed_at, o.user, o.status, o.row";

/// A page. The most selective of user, product and status chooses the index; the rest is looked at order by order.
pub(super) fn search(connection: &Connection, search: Search) -> Result<Page, HistoryError> {
    let filter = &search.filter;
    let status = filter.status.map(status_code);
    let (from, key): (_, &dyn ToSql) = match (&filter.user, &filter.product, &status) {
        (Some(user), _, _) => ("orders o INDEXED BY by_user WHERE o.user = ?1", &user.as_str().to_owned()),
        (None, Some(product), _) => (
            "products k CROSS JOIN orders o ON o.id = k.id WHERE k.product = ?1",
            &product.as_str().to_owned(),
        ),
        (None, None, Some(status)) => ("orders o INDEXED BY by_status WHERE o.status = ?1", status),
        (None, None, None) => ("orders o INDEXED BY by_time WHERE ?1 IS NULL", &rusqlite::types::Null),
    };
    let k = if from.starts_with("products") { "k" } else { "o" };
    let text = format!(
        "SELECT {COLUMNS} FROM {from} AND o.placed_at IS NOT NULL AND {k}.placed_at >= ?2 AND {k}.placed_at < ?3
         AND ({k}.placed_at, {k}.id) < (?4, ?5) ORDER BY {k}.placed_at DESC, {k}.id DESC"
    );
    let (first, end) = (
        filter.from.map_or(i64::MIN, Timestamp::as_millis),
        filter.to.map_or(i64::MAX, Timestamp::as_millis),
    );
    let (at, id) = match &search.after {
        Some(after) => (after.placed_at.as_millis(), after.order.as_uuid().as_bytes().to_vec()),
        None => (i64::MAX, Vec::new()),
    };
    let mut select = connection.prepare_cached(&text).or_failed()?;
    let mut found = select.query(params![key, first, end, at, id]).or_failed()?;
    let mut gathered = Gathered::new(search);
    while let Some(row) = found.next().or_failed()? {
        if !gathered.offer(&listed(row)?) {
            break;
        }
    }
    Ok(gathered.page())
}

/// The order of a row, whose other columns must say the same.
fn listed(row: &Row<'_>) -> Result<StoredOrder, HistoryError> {
    let id = OrderId::from_uuid(Uuid::from_bytes(row.get(0).or_failed()?));
    let bytes = row.get_ref(4).and_then(|value| Ok(value.as_blob()?)).or_failed()?;
    let stored = rows::stored(id, bytes)?;
    let (placed_at, user, status): (Option<i64>, Option<String>, u8) =
        (row.get(1).or_failed()?, row.get(2).or_failed()?, row.get(3).or_failed()?);
    rows::listed(stored, placed_at, user.as_deref(), status)
}

/// Reads every row; the products must be those of the orders.
pub(super) fn check(connection: &Connection) -> Result<(), HistoryError> {
    let (mut listed_orders, mut products, mut wanted) = (0, 0, 0);
    let mut count = connection
        .prepare("SELECT count(*) FROM products WHERE product = ?1 AND placed_at = ?2 AND id = ?3")
        .or_failed()?;
    let mut select =
        connection.prepare("SELECT id, placed_at, user, status, row FROM orders NOT INDEXED").or_failed()?;
    let mut found = select.query([]).or_failed()?;
    while let Some(row) = found.next().or_failed()? {
        let stored = listed(row)?;
        let Some(cursor) = stored.cursor() else { continue };
        listed_orders += 1;
        for product in &stored.products {
            let (at, id) = (cursor.placed_at.as_millis(), cursor.order.as_uuid().as_bytes());
            let there: i64 =
                count.query_row(params![product.as_str(), at, id], |row| row.get(0)).or_failed()?;
            products += there;
            wanted += 1;
        }
    }
    let all: i64 = connection.query_row("SELECT count(*) FROM products", [], |row| row.get(0)).or_failed()?;
    progress(connection)?;
    if (listed_orders, products, all) == (orders(connection)?, wanted, wanted) {
        Ok(())
    } else {
        Err(HistoryError::Damaged("orders or their products are missing".to_owned()))
    }
}
