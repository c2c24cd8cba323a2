//! Computes the status of an OrderWorkflow.

use jiff::Timestamp;
use kbnt_crds::order_workflow::OrderCounts;
use kbnt_crds::{OrderWorkflow, OrderWorkflowStatus};

use crate::conditions::{self, Finding, Status, list};
use crate::pipeline::{self, finalizer_set, topics_ready, users_ready, workloads_available};
use crate::service_client::{Observed, OrderSummary};
use crate::workloads::{self, PORT, Role};
use crate::{log, topics};

/// What a reconcile saw of an OrderWorkflow.
type Seen<'a> = pipeline::Seen<'a, OrderWorkflow>;

/// The status of this resource after a reconcile.
pub(super) fn compute(workflow: &OrderWorkflow, seen: &Seen<'_>) -> OrderWorkflowStatus {
    let before = workflow.status.clone().unwrap_or_default();
    let generation = workflow.metadata.generation;
    let service = Role::Order.object_name(workflow.metadata.name.as_deref().unwrap_or_default());
    let namespace = workflow.metadata.namespace.as_deref().unwrap_or_default();
    let prefix = seen.desired.map(|desired| desired.kafka.prefix.clone()).unwrap_or_default();
    OrderWorkflowStatus {
        observed_generation: generation,
        conditions: conditions::conditions(
            findings(workflow, seen),
            &before.conditions,
            generation,
            Timestamp::now(),
        ),
        services: workloads::states(&seen.applied.services),
        topics: log::record(
            &seen.applied.topics,
            &prefix,
            seen.desired.map(|desired| &desired.known),
            before.topics,
        ),
        endpoint: Some(format!("http://{service}.{namespace}.svc:{PORT}")),
        // While the service does not answer, its last answer is the best information.
        orders: match &seen.applied.report {
            Observed::Seen(summary) => Some(counts(summary)),
            _ => before.orders,
        },
    }
}

fn counts(summary: &OrderSummary) -> OrderCounts {
    OrderCounts {
        pending: summary.pending,
        confirmed: summary.confirmed,
        rejected: summary.rejected,
        cancelled: summary.cancelled,
    }
}

fn findings(workflow: &OrderWorkflow, seen: &Seen<'_>) -> Vec<Finding> {
    let stock = stock_ready(workflow, seen);
    let finalizer = finalizer_set(seen);
    let ignored = topics::ignored(&topics::OF_WORKFLOW, &workflow.spec.topics);
    let topics = topics_ready(seen, false, &ignored);
    let has_users = seen.reference.is_ok_and(|stock| stock.spec.kafka.users.is_some());
    let users = has_users.then(|| users_ready(seen, &topics));
    let awaited = Some("the topic of the VirtualStock to be ready");
    let workloads = workloads_available(seen, &topics, users.as_ref(), awaited);
    // Damage of the log explains all other failures. A log of unknown state does not prevent readiness.
    let damaged = Some(&seen.log).filter(|log| log.status == Status::False);
    let needed: Vec<_> = damaged
        .into_iter()
        .chain([&stock])
        .chain(&finalizer)
        .chain([&topics])
        .chain(&users)
        .chain([&workloads])
        .collect();
    let ready = conditions::ready(&needed, "orders are processed", workflow.spec.paused);
    let log = seen.log.clone();
    let declared = users_declared(workflow);
    [stock]
        .into_iter()
        .chain(finalizer)
        .chain([topics])
        .chain(users)
        .chain([log, workloads, declared, ready])
        .collect()
}

/// Whether user-service knows all declared users. An invalid one does not stop any order.
fn users_declared(workflow: &OrderWorkflow) -> Finding {
    const TYPE: &str = "UsersDeclared";
    let declared = &workflow.spec.users.declared;
    let refused: Vec<_> = declared.iter().filter_map(super::build::objection).collect();
    let too_many = super::build::too_many(declared);
    let too_large = too_many.first().map(|first| {
        let count = too_many.len();
        format!(
            "{count} users, from {} on, are left out, as all together are more than a ConfigMap holds",
            first.id
        )
    });
    if refused.is_empty() {
        if let Some(too_large) = too_large {
            return Finding::no(TYPE, "UsersTooLarge", format!("{too_large}: make them over HTTP"));
        }
        return Finding::yes(TYPE, "Declared", format!("{} users are given to user-service", declared.len()));
    }
    let message = format!("left out, as they cannot be: {}", list(&refused));
    Finding::no(TYPE, "UserRefused", message).with(too_large.as_slice())
}

fn stock_ready(workflow: &OrderWorkflow, seen: &Seen<'_>) -> Finding {
    const TYPE: &str = "StockReady";
    let name = &workflow.spec.virtual_stock_ref.name;
    let Ok(stock) = seen.reference else {
        let text = format!(
            "there is no VirtualStock {name} in this namespace: create it, or correct virtualStockRef"
        );
        return Finding::no(TYPE, "StockNotFound", text);
    };
    let ready = stock
        .status
        .iter()
        .flat_map(|status| &status.conditions)
        .find(|condition| condition.type_ == "Ready");
    match ready {
        Some(ready) if ready.status == "True" => {
            Finding::yes(TYPE, "StockReady", format!("VirtualStock {name} is ready"))
        }
        Some(ready) => Finding::no(
            TYPE,
            "WaitingForStock",
            format!("VirtualStock {name} is not ready: {}", ready.message),
        ),
        None => Finding::no(TYPE, "WaitingForStock", format!("VirtualStock {name} has no status yet")),
    }
}
