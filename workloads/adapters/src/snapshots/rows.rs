//! Snapshots as rows for serde, which borrow as much as possible in both directions.

use std::borrow::Cow;
use std::str::FromStr;

use kbnt_application::event::Writer;
use kbnt_application::inventory::Image;
use kbnt_application::ports::{Mark, Snapshot};
use kbnt_application::{Position, Topic};
use kbnt_domain::stock::image::{Active, Chunk, Claim, ClosedOrder, End, LedgerImage, Line, ProductImage};
use kbnt_domain::{Currency, EventId, OrderId, Reason, Span, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A row that cannot be interpreted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bad;

impl From<postcard::Error> for Bad {
    fn from(_: postcard::Error) -> Self {
        Self
    }
}

fn parse<T: FromStr>(text: &str) -> Result<T, Bad> {
    text.parse().map_err(|_| Bad)
}

/// Topic, partition and offset.
type At<'a> = (&'a str, u32, u64);

fn at(position: &Position) -> At<'static> {
    (position.topic.name(), position.partition, position.offset)
}

fn position((topic, partition, offset): &At<'_>) -> Result<Position, Bad> {
    Ok(Position { topic: Topic::from_name(topic).ok_or(Bad)?, partition: *partition, offset: *offset })
}

/// The head before the rows.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head<'a> {
    taken: i64,
    #[serde(borrow)]
    folded: Vec<(At<'a>, [u8; 16])>,
    #[serde(borrow)]
    inputs: Vec<At<'a>>,
    #[serde(borrow)]
    answered: Vec<At<'a>>,
    term: u64,
    writer: &'a str,
    clock: i64,
    window: u64,
    confirmed: u64,
    pub(super) products: u64,
    pub(super) archived: u64,
    pub(super) active: u64,
    pub(super) ended: u64,
}

impl<'a> Head<'a> {
    pub(super) fn of(snapshot: &'a Snapshot<Image>) -> Self {
        let Image { writer, answered, ledger } = &snapshot.image;
        Self {
            taken: snapshot.taken.as_millis(),
            folded: snapshot
                .folded
                .iter()
                .map(|mark| (at(&mark.at), *mark.id.as_uuid().as_bytes()))
                .collect(),
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
    pub(super) fn snapshot(&self) -> Result<Snapshot<Image>, Bad> {
        let mark = |(at, id): &(At<'_>, [u8; 16])| {
            Ok(Mark { at: position(at)?, id: EventId::from_uuid(Uuid::from_bytes(*id)) })
        };
        let ledger = LedgerImage {
            clock: Timestamp::from_millis(self.clock),
            window: Span::from_millis(self.window),
            confirmed: self.confirmed,
            products: Vec::new(),
            archived: Vec::new(),
            active: Vec::new(),
            ended: Vec::new(),
        };
        let positions = |all: &[At<'_>]| all.iter().map(position).collect::<Result<_, Bad>>();
        let writer = Writer { term: self.term, name: self.writer.to_owned() };
        Ok(Snapshot {
            taken: Timestamp::from_millis(self.taken),
            folded: self.folded.iter().map(mark).collect::<Result<_, Bad>>()?,
            inputs: positions(&self.inputs)?,
            image: Image { writer, answered: positions(&self.answered)?, ledger },
        })
    }
}

/// A product.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ProductRow<'a> {
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
    pub(super) fn of(product: &'a ProductImage) -> Self {
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

    pub(super) fn product(&self) -> Result<ProductImage, Bad> {
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
pub(super) struct ChunkRow {
    first: u64,
    orders: u32,
    newest: i64,
    checksum: u32,
}

impl ChunkRow {
    pub(super) const fn of(chunk: &Chunk) -> Self {
        let Chunk { first, orders, newest, checksum } = *chunk;
        Self { first, orders, newest: newest.as_millis(), checksum }
    }

    pub(super) const fn chunk(&self) -> Chunk {
        let Self { first, orders, newest, checksum } = *self;
        Chunk { first, orders, newest: Timestamp::from_millis(newest), checksum }
    }
}

/// An active reservation.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ActiveRow<'a> {
    order: [u8; 16],
    #[serde(borrow)]
    claim: ClaimRow<'a>,
}

impl<'a> ActiveRow<'a> {
    pub(super) fn of(active: &'a Active) -> Self {
        Self { order: *active.order.as_uuid().as_bytes(), claim: ClaimRow::of(&active.claim) }
    }

    pub(super) fn active(&self) -> Result<Active, Bad> {
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
