//! Computes the status of a VirtualStock.

use jiff::Timestamp;
use kbnt_crds::virtual_stock::{ProductLevel, Totals};
use kbnt_crds::{Condition, VirtualStock, VirtualStockStatus};

use crate::conditions::{self, Finding, Status, list};
use crate::pipeline::{self, Failure, finalizer_set, topics_ready, users_ready, workloads_available};
use crate::service_client::{Observed, StockSummary};
use crate::workloads::{self, PORT, Role};
use crate::{labels, log, topics};

/// The problem code with which inventory-service refuses to remove reserved units.
const WRITE_OFF: &str = "write_off_would_oversell";
/// Reasons of StockDeclared for products that are refused while all others are declared.
const REFUSALS: [&str; 2] = ["ProductRefused", "WriteOffRefused"];

/// What a reconcile saw of a VirtualStock.
type Seen<'a> = pipeline::Seen<'a, VirtualStock>;

/// The ledger, if it can be trusted.
fn ledger<'a>(seen: &Seen<'a>) -> Option<&'a StockSummary> {
    match &seen.applied.report.summary {
        Observed::Seen(summary) if seen.log.status != Status::False => Some(summary),
        _ => None,
    }
}

/// The status of this resource after a reconcile.
pub(super) fn compute(stock: &VirtualStock, seen: &Seen<'_>) -> VirtualStockStatus {
    let before = stock.status.clone().unwrap_or_default();
    let generation = stock.metadata.generation;
    let (name, namespace) = (&stock.metadata.name, &stock.metadata.namespace);
    let service = format!("{}-inventory-service", name.as_deref().unwrap_or_default());
    let endpoint = format!("http://{service}.{}.svc:{PORT}", namespace.as_deref().unwrap_or_default());
    let prefix = &stock.spec.kafka.topic_prefix;
    VirtualStockStatus {
        observed_generation: generation,
        conditions: conditions::conditions(
            findings(stock, seen),
            &before.conditions,
            generation,
            Timestamp::now(),
        ),
        // While the service does not answer, or its log is not intact, its last answer is the best
        // information.
        totals: ledger(seen).map(totals).or(before.totals),
        products: ledger(seen).map_or(before.products, levels),
        topics: log::record(
            &seen.applied.topics,
            prefix,
            seen.desired.map(|desired| &desired.known),
            before.topics,
        ),
        services: workloads::states(&seen.applied.services),
        replicas: Some(seen.applied.services.first().map_or(0, |service| service.ready)),
        selector: Some(selector(name.as_deref().unwrap_or_default())),
        endpoint: Some(endpoint),
    }
}

/// The selector with which autoscalers and `kubectl` find the pods of this stock.
fn selector(stock: &str) -> String {
    let labels = labels::selector(stock, &Role::Inventory.component());
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn totals(summary: &StockSummary) -> Totals {
    let totals = &summary.totals;
    Totals {
        real: totals.real,
        reserved: totals.reserved,
        available: totals.available,
        active_reservations: totals.active_reservations,
        products: totals.products,
    }
}

/// At most as many products as a VirtualStock can declare, because HTTP clients can add any number.
fn levels(summary: &StockSummary) -> Vec<ProductLevel> {
    let level = |product: &crate::service_client::ProductSummary| ProductLevel {
        id: product.product_id.clone(),
        real: product.real,
        reserved: product.reserved,
        available: product.available,
    };
    summary.products.iter().take(1000).map(level).collect()
}

fn findings(stock: &VirtualStock, seen: &Seen<'_>) -> Vec<Finding> {
    let finalizer = finalizer_set(seen);
    // The services of the workflow start with the ids that are recorded here. Without them they would start
    // twice.
    let ignored = topics::ignored(&topics::OF_STOCK, &stock.spec.topics);
    let topics = topics_ready(seen, seen.applied.unlearned, &ignored);
    let users = stock.spec.kafka.users.as_ref().map(|_| users_ready(seen, &topics));
    let workloads = workloads_available(seen, &topics, users.as_ref(), None);
    let declared = stock_declared(stock, &workloads, seen);
    let (balanced, low) = (ledger_balanced(stock, &workloads, seen), low_stock(stock, &workloads, seen));
    let message = format!("orders can reserve from {} products", reservable(stock, seen));
    // Damage of the log explains all other failures. A log of unknown state does not prevent readiness.
    let damaged = Some(&seen.log).filter(|log| log.status == Status::False);
    // A refused product does not prevent reservations of the others.
    let undeclared = Some(&declared).filter(|declared| !REFUSALS.contains(&declared.reason.as_ref()));
    let needed: Vec<_> = damaged
        .into_iter()
        .chain(&finalizer)
        .chain([&topics])
        .chain(&users)
        .chain([&workloads])
        .chain(undeclared)
        .chain([&balanced])
        .collect();
    let ready = conditions::ready(&needed, &message, stock.spec.paused);
    let log = seen.log.clone();
    finalizer
        .into_iter()
        .chain([topics])
        .chain(users)
        .chain([log, workloads, declared, balanced, low, ready])
        .collect()
}

/// The finding if the ledger is unknown.
fn unknown_ledger(
    type_: &'static str,
    stock: &VirtualStock,
    workloads: &Finding,
    seen: &Seen<'_>,
) -> Option<Finding> {
    if seen.log.status == Status::False {
        let text =
            "the log is not intact, so the ledger cannot be believed; the levels are those from before";
        return Some(Finding::unknown(type_, "LogNotIntact", text));
    }
    match &seen.applied.report.summary {
        Observed::Seen(_) => None,
        Observed::Lost(error) => Some(Finding::unknown(type_, "ServiceUnreachable", error.to_string())),
        // This operator has just started: the finding of the previous one still holds.
        Observed::Nothing if workloads.status == Status::True => Some(match said_before(type_, stock) {
            Some(before) => Finding::kept(type_, before),
            None => Finding::unknown(type_, "WaitingForService", "inventory-service is being asked"),
        }),
        Observed::Nothing => {
            Some(Finding::unknown(type_, "WaitingForWorkloads", "inventory-service does not run yet"))
        }
    }
}

/// This condition, if it describes the present generation.
fn said_before<'a>(type_: &str, stock: &'a VirtualStock) -> Option<&'a Condition> {
    let conditions = stock.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().find(|condition| {
        condition.type_ == type_
            && condition.observed_generation == stock.metadata.generation
            && !condition.reason.starts_with("Waiting")
    })
}

/// How many products the ledger has as declared, or with their earlier declaration.
fn reservable(stock: &VirtualStock, seen: &Seen<'_>) -> usize {
    let impossible = stock.spec.products.iter().filter(|product| super::build::objection(product).is_some());
    let refused = seen.applied.report.refused.iter().filter(|(_, error)| !error.has_code(WRITE_OFF));
    stock.spec.products.len().saturating_sub(impossible.count() + refused.count())
}

fn stock_declared(stock: &VirtualStock, workloads: &Finding, seen: &Seen<'_>) -> Finding {
    const TYPE: &str = "StockDeclared";
    let refused: Vec<_> =
        seen.applied.report.refused.iter().map(|(declaration, _)| refusal(&declaration.id, seen)).collect();
    if let Some(Failure::Declarations(error)) = &seen.applied.failure {
        let refused = (!refused.is_empty()).then(|| list(&refused));
        return Finding::no(TYPE, "DeclarationFailed", error.to_string()).with(refused.as_slice());
    }
    if let Some(unknown) = unknown_ledger(TYPE, stock, workloads, seen) {
        return unknown;
    }
    let impossible: Vec<_> = stock.spec.products.iter().filter_map(super::build::objection).collect();
    if impossible.is_empty() && refused.is_empty() {
        let count = stock.spec.products.len();
        return Finding::yes(TYPE, "Declared", format!("{count} products are in the ledger as declared"));
    }
    let left_out =
        (!impossible.is_empty()).then(|| format!("left out, as they cannot be: {}", list(&impossible)));
    let refused = (!refused.is_empty()).then(|| list(&refused));
    let message = left_out.into_iter().chain(refused).collect::<Vec<_>>().join("; ");
    if impossible.is_empty() && seen.applied.report.refused.iter().all(|(_, error)| error.has_code(WRITE_OFF))
    {
        Finding::no(TYPE, "WriteOffRefused", message)
    } else {
        Finding::no(TYPE, "ProductRefused", message)
    }
}

/// Why a product was refused; a refused write-off in numbers.
fn refusal(id: &str, seen: &Seen<'_>) -> String {
    let refused = seen.applied.report.refused.iter().find(|(declaration, _)| declaration.id == id);
    let product =
        ledger(seen).and_then(|summary| summary.products.iter().find(|product| product.product_id == id));
    match (refused, product) {
        (Some((declaration, error)), Some(product)) if error.has_code(WRITE_OFF) => {
            let known = product.received.get(crate::service_client::SOURCE).copied().unwrap_or(0);
            format!(
                "{id}: received cannot go from {known} to {}, as {} units would go and only {} of {} are available \
                 ({} reserved): declare at least {}",
                declaration.received,
                known - declaration.received,
                product.available,
                product.real,
                product.reserved,
                known - product.available
            )
        }
        (Some((_, error)), _) => format!("{id}: {}", shortened(&error.to_string())),
        (None, _) => id.to_owned(),
    }
}

/// Cuts the message of a service to a length that people read in a list.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(500)]
}

fn ledger_balanced(stock: &VirtualStock, workloads: &Finding, seen: &Seen<'_>) -> Finding {
    const TYPE: &str = "LedgerBalanced";
    match (unknown_ledger(TYPE, stock, workloads, seen), ledger(seen)) {
        (None, Some(summary)) if !summary.invariants.balanced => {
            Finding::no(TYPE, "InvariantViolated", list(&summary.invariants.violations))
        }
        (None, _) => Finding::yes(TYPE, "Balanced", "available is never negative, and the books agree"),
        (Some(unknown), _) => unknown,
    }
}

fn low_stock(stock: &VirtualStock, workloads: &Finding, seen: &Seen<'_>) -> Finding {
    const TYPE: &str = "LowStock";
    match (unknown_ledger(TYPE, stock, workloads, seen), ledger(seen)) {
        (None, Some(summary)) => {
            let low: Vec<_> = summary
                .products
                .iter()
                .filter(|product| product.low_stock)
                .map(|product| {
                    format!(
                        "{} ({} of {})",
                        product.product_id, product.available, product.low_stock_threshold
                    )
                })
                .collect();
            if low.is_empty() {
                Finding::no(TYPE, "EnoughStock", "no product is below its threshold")
            } else {
                Finding::yes(TYPE, "BelowThreshold", format!("below the threshold: {}", list(&low)))
            }
        }
        (Some(unknown), _) => unknown,
        (None, None) => Finding::unknown(TYPE, "WaitingForService", "inventory-service is being asked"),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::super::build::tests::stock;
    use super::super::consult::Ledger;
    use super::*;
    use crate::error::Error;
    use crate::pipeline::Applied;
    use crate::readiness::{self, State as TopicState};
    use crate::service_client::{CallError, Declaration};
    use crate::workloads::State;

    fn refused(id: &str, status: StatusCode, code: &str) -> (Declaration, CallError) {
        let declaration = Declaration {
            id: id.into(),
            name: id.into(),
            unit_price: "1".into(),
            received: 1,
            low_stock_threshold: 0,
        };
        (declaration, CallError::Refused { status, code: code.into(), detail: "it cannot be".into() })
    }

    fn declared_and_ready(ledger: &Ledger, failure: Option<Failure>) -> (Finding, Finding) {
        let mut findings = all(ledger, failure);
        let mut take =
            |type_| findings.remove(findings.iter().position(|found| found.type_ == type_).unwrap());
        (take("StockDeclared"), take("Ready"))
    }

    fn all(ledger: &Ledger, failure: Option<Failure>) -> Vec<Finding> {
        let service =
            workloads::View { name: "a".into(), desired: 1, ready: 1, state: State::Available, stuck: None };
        let topic = readiness::View { name: "inventory-events".into(), state: TopicState::Ready };
        let applied = Applied {
            topics: vec![topic],
            services: vec![service],
            report: ledger.clone(),
            failure,
            ..Applied::default()
        };
        let log = Finding::yes("LogIntact", "Intact", "");
        let seen = Seen { reference: Ok(&()), invalid: None, desired: None, log, applied: &applied };
        findings(&stock(), &seen)
    }

    fn seen(refused: Vec<(Declaration, CallError)>) -> Ledger {
        let mut summary = StockSummary::default();
        summary.invariants.balanced = true;
        Ledger { summary: Observed::Seen(summary.into()), refused }
    }

    #[test]
    fn refused_products_are_all_named_and_the_stock_is_ready_for_the_others() {
        let bad = StatusCode::UNPROCESSABLE_ENTITY;
        let progress = seen(vec![refused("A", bad, "invalid"), refused("B", bad, "invalid")]);
        let (declared, ready) = declared_and_ready(&progress, None);
        assert_eq!((declared.status, declared.reason.as_ref()), (Status::False, "ProductRefused"));
        assert_eq!(declared.message, "A: it cannot be (invalid), B: it cannot be (invalid)");
        assert_eq!(
            (ready.status, ready.message.as_str()),
            (Status::True, "orders can reserve from 1 products")
        );
        let progress = seen(vec![refused("A", StatusCode::CONFLICT, WRITE_OFF)]);
        let (declared, ready) = declared_and_ready(&progress, None);
        assert_eq!((declared.reason.as_ref(), ready.status), ("WriteOffRefused", Status::True));
    }

    #[test]
    fn a_declaration_that_failed_keeps_the_stock_from_being_ready() {
        let progress = seen(vec![refused("A", StatusCode::BAD_REQUEST, "invalid")]);
        let failure = Failure::Declarations(Error::Invalid("no answer".into()));
        let (declared, ready) = declared_and_ready(&progress, Some(failure));
        assert_eq!((declared.reason.as_ref(), ready.status), ("DeclarationFailed", Status::False));
        assert_eq!(declared.message, "no answer; A: it cannot be (invalid)");
    }

    #[test]
    fn a_finalizer_that_cannot_be_set_is_told_as_itself() {
        let failure = || Failure::Finalizer(Error::Invalid("no finalizer".into()));
        let findings = all(&seen(Vec::new()), Some(failure()));
        let find = |type_| findings.iter().find(|found| found.type_ == type_).unwrap();
        assert_eq!(
            (find("FinalizerSet").status, find("FinalizerSet").message.as_str()),
            (Status::False, "no finalizer")
        );
        assert_eq!(find("TopicsReady").status, Status::True);
        assert_eq!(
            (find("Ready").reason.as_ref(), find("Ready").message.as_str()),
            ("InvalidSpec", "FinalizerSet: no finalizer")
        );
        assert!(all(&seen(Vec::new()), None).iter().all(|found| found.type_ != "FinalizerSet"));
    }

    #[test]
    fn what_passes_by_itself_is_no_refusal() {
        for (status, refusal) in
            [(400, true), (409, true), (422, true), (401, false), (429, false), (503, false)]
        {
            let (_, error) = refused("A", StatusCode::from_u16(status).unwrap(), "x");
            assert_eq!(error.is_refusal(), refusal, "{status}");
        }
    }
}
