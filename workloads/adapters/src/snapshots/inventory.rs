//! The stock of a snapshot as rows for serde, which borrow as much as possible in both directions.

use std::borrow::Cow;
use std::io::{self, Write};

use kbnt_application::event::Writer;
use kbnt_application::inventory::Image;
use kbnt_application::ports::Snapshot;
use kbnt_domain::stock::image::{Active, Chunk, Claim, ClosedOrder, End, LedgerImage, Line, ProductImage};
use kbnt_domain::{Currency, OrderId, Reason, Span, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use super::rows::Bad;
use super::rows::{At, MarkRow, Rows, at, mark_row, marks, parse, positions, put, take};

/// The head before the rows.
#[derive(Debug, Serialize, Deserialize)]
struct Head<'a> {
    taken: i64,
    #[serde(borrow)]
    folded: Vec<MarkRow<'a>>,
    #[serde(borrow)]
    inputs: Vec<At<'a>>,
    #[serde(borrow)]
    answered: Vec<At<'a>>,
    term: u64,
    writer: &'a str,
    clock: i64,
    window: u64,
    confirmed: u64,
    products: u64,
    archived: u64,
    active: u64,
    ended: u64,
}

impl<'a> Head<'a> {
    fn of(snapshot: &'a Snapshot<Image>) -> Self {
        let Image { writer, answered, ledger } = &snapshot.image;
        Self {
            taken: snapshot.taken.as_millis(),
            folded: snapshot.folded.iter().map(mark_row).collect(),
            inputs: snapshot.inputs.iter().map(at).collect(),
            answered: answered.iter().map(at).collect(),
            term: writer.term,
            writer: &writer.name,
            clock: ledger.clock.as_millis(),
            window: ledger.window.as_millis(),
            confirmed: ledger.confirmed,
            products: ledger.products.len() as u64,
            archived: ledger.archived.len() as u64,
            active: ledger.active.len() as u64,
            ended: ledger.ended.len() as u64,
        }
    }

    /// The snapshot, without its rows.
    fn snapshot(&self) -> Result<Snapshot<Image>, Bad> {
        let ledger = LedgerImage {
            clock: Timestamp::from_millis(self.clock),
            window: Span::from_millis(self.window),
            confirmed: self.confirmed,
            products: Vec::new(),
            archived: Vec::new(),
            active: Vec::new(),
            ended: Vec::new(),
        };
        let writer = Writer { term: self.term, name: self.writer.to_owned() };
        Ok(Snapshot {
            taken: Timestamp::from_millis(self.taken),
            folded: marks(&self.folded)?,
            inputs: positions(&self.inputs)?,
            image: Image { writer, answered: positions(&self.answered)?, ledger },
        })
    }
}

/// A product.
#[derive(Debug, Serialize, Deserialize)]
struct ProductRow<'a> {
    id: &'a str,
    declared: bool,
    name: &'a str,
    unit_price: i64,
    #[serde(borrow)]
    currency: Cow<'a, str>,
    threshold: u64,
    low: bool,
    real: i64,
    #[serde(borrow)]
    sources: Vec<(&'a str, u64)>,
}

impl<'a> ProductRow<'a> {
    fn of(product: &'a ProductImage) -> Self {
        Self {
            id: product.id.as_str(),
            declared: product.declared,
            name: &product.name,
            unit_price: product.unit_price,
            currency: currency_text(product.currency),
            threshold: product.threshold,
            low: product.low,
            real: product.real,
            sources: product.sources.iter().map(|(source, units)| (source.as_str(), *units)).collect(),
        }
    }

    fn product(&self) -> Result<ProductImage, Bad> {
        let source = |(source, units): &(&str, u64)| Ok((parse(source)?, *units));
        Ok(ProductImage {
            id: parse(self.id)?,
            declared: self.declared,
            name: self.name.into(),
            unit_price: self.unit_price,
            currency: currency(&self.currency)?,
            threshold: self.threshold,
            low: self.low,
            real: self.real,
            sources: self.sources.iter().map(source).collect::<Result<_, Bad>>()?,
        })
    }
}

/// A claim of a reservation.
#[derive(Debug, Serialize, Deserialize)]
struct ClaimRow<'a> {
    fingerprint: [u8; 8],
    user: &'a str,
    lines: Vec<(u32, u32, i64)>,
    amount: i64,
    deadline: i64,
    attempt: u32,
    #[serde(borrow)]
    currency: Cow<'a, str>,
}

impl<'a> ClaimRow<'a> {
    fn of(claim: &'a Claim) -> Self {
        Self {
            fingerprint: claim.fingerprint.to_le_bytes(),
            user: claim.user.as_str(),
            lines: claim.lines.iter().map(|line| (line.product, line.units, line.unit_price)).collect(),
            amount: claim.amount,
            deadline: claim.deadline.as_millis(),
            attempt: claim.attempt,
            currency: currency_text(claim.currency),
        }
    }

    fn claim(&self) -> Result<Claim, Bad> {
        let line = |&(product, units, unit_price): &(u32, u32, i64)| Line { product, units, unit_price };
        Ok(Claim {
            fingerprint: u64::from_le_bytes(self.fingerprint),
            user: parse(self.user)?,
            lines: self.lines.iter().map(line).collect(),
            amount: self.amount,
            deadline: Timestamp::from_millis(self.deadline),
            attempt: self.attempt,
            currency: currency(&self.currency)?,
        })
    }
}

/// The stored form of a currency: its code, and its decimal places unless they are two, which earlier
/// versions assumed for all.
fn currency_text(currency: Currency) -> Cow<'static, str> {
    match currency.places() {
        2 => Cow::Owned(currency.code().to_owned()),
        places => Cow::Owned(format!("{}{places}", currency.code())),
    }
}

fn currency(text: &str) -> Result<Currency, Bad> {
    let (code, places) = text.split_at_checked(3).ok_or(Bad)?;
    let places = if places.is_empty() { Ok(2) } else { places.parse() };
    Currency::recorded(code, places.map_err(|_| Bad)?).map_err(|_| Bad)
}

fn order(order: [u8; 16]) -> OrderId {
    OrderId::from_uuid(Uuid::from_bytes(order))
}

/// A chunk of the archive of closed orders.
#[derive(Debug, Serialize, Deserialize)]
struct ChunkRow {
    first: u64,
    orders: u32,
    newest: i64,
    checksum: u32,
}

impl ChunkRow {
    const fn of(chunk: &Chunk) -> Self {
        let Chunk { first, orders, newest, checksum } = *chunk;
        Self { first, orders, newest: newest.as_millis(), checksum }
    }

    const fn chunk(&self) -> Chunk {
        let Self { first, orders, newest, checksum } = *self;
        Chunk { first, orders, newest: Timestamp::from_millis(newest), checksum }
    }
}

/// An active reservation.
#[derive(Debug, Serialize, Deserialize)]
struct ActiveRow<'a> {
    order: [u8; 16],
    #[serde(borrow)]
    claim: ClaimRow<'a>,
}

impl<'a> ActiveRow<'a> {
    fn of(active: &'a Active) -> Self {
        Self { order: *active.order.as_uuid().as_bytes(), claim: ClaimRow::of(&active.claim) }
    }

    fn active(&self) -> Result<Active, Bad> {
        Ok(Active { order: order(self.order), claim: self.claim.claim()? })
    }
}

/// How an order ended; reasons by their stable codes.
#[derive(Debug, Serialize, Deserialize)]
enum EndRow<'a> {
    Confirmed,
    Released(&'a str),
    Expired,
    Refused(&'a str),
}

/// An ended order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EndedRow<'a> {
    order: [u8; 16],
    fingerprint: Option<[u8; 8]>,
    at: i64,
    #[serde(borrow)]
    end: EndRow<'a>,
    lost: bool,
    #[serde(borrow)]
    barred: Option<&'a str>,
    attempts: u32,
    #[serde(borrow)]
    claim: Option<ClaimRow<'a>>,
}

impl<'a> EndedRow<'a> {
    pub(crate) fn of(ended: &'a ClosedOrder) -> Self {
        Self {
            order: *ended.order.as_uuid().as_bytes(),
            fingerprint: ended.fingerprint.map(u64::to_le_bytes),
            at: ended.at.as_millis(),
            end: match ended.end {
                End::Confirmed => EndRow::Confirmed,
                End::Released(reason) => EndRow::Released(reason.code()),
                End::Expired => EndRow::Expired,
                End::Refused(reason) => EndRow::Refused(reason.code()),
            },
            lost: ended.lost,
            barred: ended.barred.map(Reason::code),
            attempts: ended.attempts,
            claim: ended.claim.as_deref().map(ClaimRow::of),
        }
    }

    pub(crate) fn ended(&self) -> Result<ClosedOrder, Bad> {
        Ok(ClosedOrder {
            order: order(self.order),
            fingerprint: self.fingerprint.map(u64::from_le_bytes),
            at: Timestamp::from_millis(self.at),
            end: match self.end {
                EndRow::Confirmed => End::Confirmed,
                EndRow::Released(reason) => End::Released(parse(reason)?),
                EndRow::Expired => End::Expired,
                EndRow::Refused(reason) => End::Refused(parse(reason)?),
            },
            lost: self.lost,
            barred: self.barred.map(parse).transpose()?,
            attempts: self.attempts,
            claim: self.claim.as_ref().map(|claim| claim.claim().map(Box::new)).transpose()?,
        })
    }
}

fn read(mut rows: &[u8]) -> Result<Snapshot<Image>, Bad> {
    let head: Head<'_> = take(&mut rows)?;
    let mut snapshot = head.snapshot()?;
    let ledger = &mut snapshot.image.ledger;
    for _ in 0..head.products {
        ledger.products.push(take::<ProductRow<'_>>(&mut rows)?.product()?);
    }
    for _ in 0..head.archived {
        ledger.archived.push(take::<ChunkRow>(&mut rows)?.chunk());
    }
    for _ in 0..head.active {
        ledger.active.push(take::<ActiveRow<'_>>(&mut rows)?.active()?);
    }
    for _ in 0..head.ended {
        ledger.ended.push(take::<EndedRow<'_>>(&mut rows)?.ended()?);
    }
    if rows.is_empty() { Ok(snapshot) } else { Err(Bad) }
}

impl Rows for Image {
    const MAGIC: [u8; 8] = *b"KBNTsnap";
    const FORMAT: u32 = 3;

    fn put(snapshot: &Snapshot<Self>, to: &mut impl Write) -> io::Result<()> {
        let ledger = &snapshot.image.ledger;
        put(&Head::of(snapshot), to)?;
        ledger.products.iter().try_for_each(|product| put(&ProductRow::of(product), to))?;
        ledger.archived.iter().try_for_each(|chunk| put(&ChunkRow::of(chunk), to))?;
        ledger.active.iter().try_for_each(|active| put(&ActiveRow::of(active), to))?;
        ledger.ended.iter().try_for_each(|ended| put(&EndedRow::of(ended), to))
    }

    fn chunks(&self) -> &[Chunk] {
        &self.ledger.archived
    }

    fn take(rows: &[u8]) -> Option<Snapshot<Self>> {
        read(rows).ok()
    }
}
