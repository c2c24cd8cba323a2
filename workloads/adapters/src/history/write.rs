//! What changes the database: each in one transaction.

use kbnt_application::history::{Batch, StoredOrder};
use kbnt_application::ports::HistoryError;
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{OrderId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, ToSql, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use super::file::OrFailed as _;
use super::rows::{self, status_code};

/// Applies a batch, unless it does not follow on what is stored.
pub(super) fn apply(connection: &mut Connection, batch: &Batch) -> Result<(), HistoryError> {
    let progress = rows::progress(&batch.progress)?;
    let revision = batch.progress.revision.cast_signed();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).or_failed()?;
    let before: i64 =
        transaction.query_row("SELECT revision FROM progress", [], |row| row.get(0)).or_failed()?;
    if revision != before + 1 {
        return Err(HistoryError::Conflict);
    }
    let mut listed = 0;
    for stored in &batch.orders {
        listed += i64::from(put(&transaction, stored)?);
    }
    transaction
        .execute(
            "UPDATE progress SET revision = ?1, orders = orders + ?2, row = ?3",
            params![revision, listed, progress],
        )
        .or_failed()?;
    transaction.commit().or_failed()
}

/// Stores an order; whether it is listed from now on, and was not before. Columns that have an index are written only where they
/// change.
fn put(transaction: &Transaction<'_>, stored: &StoredOrder) -> Result<bool, HistoryError> {
    let id = stored.order.as_uuid().as_bytes();
    let (row, status) = (rows::order(stored)?, status_code(stored.entry.status));
    let placed = stored.entry.placed.as_ref();
    let (placed_at, user) = (placed.map(|p| p.at.as_millis()), placed.map(|p| p.user.as_str()));
    let known: Option<(i64, bool, u8)> = transaction
        .prepare_cached("SELECT no, placed_at IS NOT NULL, status FROM orders WHERE id = ?1")
        .and_then(|mut select| {
            select.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
        })
        .or_failed()?;
    let run = |text: &str, values: &[&dyn ToSql]| run(transaction, text, values);
    let was_listed = match known {
        None => return insert(transaction, None, stored, &row),
        Some((no, false, _)) => {
            run(
                "UPDATE orders SET placed_at = ?2, user = ?3, status = ?4, row = ?5 WHERE no = ?1",
                params![no, placed_at, user, status, row],
            )?;
            false
        }
        Some((no, true, before)) if before != status => {
            run("UPDATE orders SET status = ?2, row = ?3 WHERE no = ?1", params![no, status, row])?;
            true
        }
        Some((no, true, _)) => {
            run("UPDATE orders SET row = ?2 WHERE no = ?1", params![no, row])?;
            true
        }
    };
    if was_listed || placed.is_none() {
        return Ok(false);
    }
    insert_products(transaction, stored)?;
    Ok(true)
}

fn run(transaction: &Connection, text: &str, values: &[&dyn ToSql]) -> Result<usize, HistoryError> {
    transaction.prepare_cached(text).and_then(|mut statement| statement.execute(values)).or_failed()
}

/// Stores an order that is not there, with the next number or with this one; whether it is listed.
pub(super) fn insert(
    transaction: &Connection,
    no: Option<i64>,
    stored: &StoredOrder,
    row: &[u8],
) -> Result<bool, HistoryError> {
    let (id, status) = (stored.order.as_uuid().as_bytes(), status_code(stored.entry.status));
    let placed = stored.entry.placed.as_ref();
    let (placed_at, user) = (placed.map(|p| p.at.as_millis()), placed.map(|p| p.user.as_str()));
    let seen_at = stored.entry.events.first().map_or(0, |event| event.timestamp.as_millis());
    run(
        transaction,
        "INSERT INTO orders (no, id, placed_at, user, status, seen_at, row) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![no, id, placed_at, user, status, seen_at, row],
    )?;
    if placed.is_some() {
        insert_products(transaction, stored)?;
    }
    Ok(placed.is_some())
}

fn insert_products(transaction: &Connection, stored: &StoredOrder) -> Result<(), HistoryError> {
    let placed_at = stored.entry.placed.as_ref().map(|placed| placed.at.as_millis());
    for product in &stored.products {
        run(
            transaction,
            "INSERT INTO products (product, placed_at, id) VALUES (?1, ?2, ?3)",
            params![product.as_str(), placed_at, stored.order.as_uuid().as_bytes()],
        )?;
    }
    Ok(())
}

/// Drops at most `most` orders that were placed before `before` and have ended, or of which something was heard before and that were
/// not placed.
pub(super) fn expire(
    connection: &mut Connection,
    before: Timestamp,
    most: usize,
) -> Result<usize, HistoryError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).or_failed()?;
    let pending = status_code(OrderStatus::Pending);
    let count = |orders: usize| i64::try_from(orders).unwrap_or(i64::MAX);
    let listed = due(
        &transaction,
        "SELECT no, id, row FROM orders INDEXED BY by_time
         WHERE placed_at IS NOT NULL AND placed_at < ?1 AND status <> ?2 ORDER BY placed_at, id LIMIT ?3",
        params![before.as_millis(), pending, count(most)],
    )?;
    let unlisted = due(
        &transaction,
        "SELECT no, id, row FROM orders INDEXED BY unplaced WHERE placed_at IS NULL AND seen_at < ?1 LIMIT ?2",
        params![before.as_millis(), count(most - listed.len())],
    )?;
    for (no, stored) in listed.iter().chain(&unlisted) {
        transaction
            .prepare_cached("DELETE FROM orders WHERE no = ?1")
            .and_then(|mut delete| delete.execute([no]))
            .or_failed()?;
        let Some(cursor) = stored.cursor() else { continue };
        for product in &stored.products {
            let (id, placed_at) = (stored.order.as_uuid().as_bytes(), cursor.placed_at.as_millis());
            transaction
                .prepare_cached("DELETE FROM products WHERE product = ?1 AND placed_at = ?2 AND id = ?3")
                .and_then(|mut delete| delete.execute(params![product.as_str(), placed_at, id]))
                .or_failed()?;
        }
    }
    transaction.execute("UPDATE progress SET orders = orders - ?1", [count(listed.len())]).or_failed()?;
    transaction.commit().or_failed()?;
    Ok(listed.len() + unlisted.len())
}

/// The orders that a statement selects.
fn due(
    transaction: &Transaction<'_>,
    text: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<(i64, StoredOrder)>, HistoryError> {
    let mut select = transaction.prepare_cached(text).or_failed()?;
    let mut found = select.query(values).or_failed()?;
    let mut orders = Vec::new();
    while let Some(row) = found.next().or_failed()? {
        let id = OrderId::from_uuid(Uuid::from_bytes(row.get(1).or_failed()?));
        let bytes = row.get_ref(2).and_then(|value| Ok(value.as_blob()?)).or_failed()?;
        orders.push((row.get(0).or_failed()?, rows::stored(id, bytes)?));
    }
    Ok(orders)
}
