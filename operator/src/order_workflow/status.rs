//! What the status of an OrderWorkflow says.

use jiff::Timestamp;
use kbnt_crds::order_workflow::OrderCounts;
use kbnt_crds::{OrderWorkflow, OrderWorkflowStatus, VirtualStock};

use super::apply::{Failure, Progress};
use super::build::Desired;
use crate::conditions::{self, Finding, Status, list};
use crate::context::Context;
use crate::error::Error;
use crate::ownership::Owner;
use crate::service_client::{Observed, OrderSummary};
use crate::topics;
use crate::workloads::{self, PORT, Role};
use crate::{log, readiness, users};

/// All that was seen in one reconcile.
pub(super) struct See<'a> {
    /// The stock, where there is one.
    pub(super) stock: Option<&'a VirtualStock>,
    /// Why the resource cannot be carried out.
    pub(super) invalid: Option<&'a Error>,
    /// The step that failed.
    pub(super) failure: Option<&'a Failure>,
    /// None where the cluster is not known.
    pub(super) topics: Vec<readiness::View>,
    /// None where the services have no users of their own.
    pub(super) users: Vec<readiness::View>,
    pub(super) services: Vec<workloads::View>,
    /// Whether the log is the one that is known.
    pub(super) log: Finding,
    /// What was decided, if the resource can be carried out.
    pub(super) desired: Option<&'a Desired>,
    pub(super) progress: &'a Progress,
}

impl<'a> See<'a> {
    /// What the cluster shows after a reconcile.
    pub(super) fn of(
        owner: &Owner,
        stock: Option<&'a VirtualStock>,
        planned: Result<&'a Option<Desired>, &'a Error>,
        log: Finding,
        progress: &'a Progress,
        failure: Option<&'a Failure>,
        context: &Context,
    ) -> Self {
        let desired = planned.ok().and_then(Option::as_ref);
        Self {
            stock,
            invalid: planned.err(),
            failure,
            topics: desired
                .map(|desired| topics::look(context, owner, &desired.topics, &progress.topics.held))
                .unwrap_or_default(),
            users: desired
                .map(|desired| users::look(context, owner, &desired.users, &progress.held_users))
                .unwrap_or_default(),
            services: desired
                .map(|desired| workloads::look(context, owner, &desired.workloads))
                .unwrap_or_default(),
            log,
            desired,
            progress,
        }
    }
}

/// The status of this resource after a reconcile.
pub(super) fn compute(workflow: &OrderWorkflow, seen: &See<'_>) -> OrderWorkflowStatus {
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
        services: workloads::states(&seen.services),
        topics: log::record(&seen.topics, &prefix, seen.desired.map(|desired| &desired.known), before.topics),
        endpoint: Some(format!("http://{service}.{namespace}.svc:{PORT}")),
        // While the service does not answer, what it last said is still the best that is known.
        orders: match &seen.progress.orders {
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

fn findings(workflow: &OrderWorkflow, seen: &See<'_>) -> Vec<Finding> {
    let stock = stock_ready(workflow, seen);
    let topics = topics_ready(workflow, seen);
    let users = users_ready(&topics, seen);
    let workloads = workloads_available(&topics, users.as_ref(), seen);
    // What is wrong with the log is why all else is not so. What is not known of it keeps nobody from being ready.
    let damaged = Some(&seen.log).filter(|log| log.status == Status::False);
    let needed: Vec<_> =
        damaged.into_iter().chain([&stock, &topics]).chain(&users).chain([&workloads]).collect();
    let ready = conditions::ready(&needed, "orders are processed", workflow.spec.paused);
    let log = seen.log.clone();
    let declared = users_declared(workflow);
    [stock, topics].into_iter().chain(users).chain([log, workloads, declared, ready]).collect()
}

/// Whether all declared users are known to user-service. One that cannot be keeps no order from being processed.
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

fn stock_ready(workflow: &OrderWorkflow, seen: &See<'_>) -> Finding {
    const TYPE: &str = "StockReady";
    let name = &workflow.spec.virtual_stock_ref.name;
    let Some(stock) = seen.stock else {
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

fn topics_ready(workflow: &OrderWorkflow, seen: &See<'_>) -> Finding {
    const TYPE: &str = "TopicsReady";
    if seen.stock.is_none() {
        return Finding::unknown(TYPE, "WaitingForStock", "the VirtualStock names the Kafka cluster");
    }
    if let Some(error) = seen.invalid {
        return Finding::no(TYPE, error.reason(), error.to_string());
    }
    if let Some(Failure::Topics(error)) = seen.failure {
        return Finding::no(TYPE, error.reason(), error.to_string());
    }
    topics::finding(&seen.topics).with(&topics::ignored(&topics::OF_WORKFLOW, &workflow.spec.topics))
}

fn users_ready(topics: &Finding, seen: &See<'_>) -> Option<Finding> {
    seen.stock?.spec.kafka.users.as_ref()?;
    let failure = match seen.failure {
        Some(Failure::Users(error)) => Some(error),
        _ => None,
    };
    Some(users::ready(topics, seen.invalid, failure, &seen.users))
}

fn workloads_available(topics: &Finding, users: Option<&Finding>, seen: &See<'_>) -> Finding {
    const TYPE: &str = "WorkloadsAvailable";
    if seen.stock.is_none() {
        return Finding::unknown(TYPE, "WaitingForStock", "the VirtualStock names the Kafka cluster");
    }
    if let Some(error) = seen.invalid {
        return Finding::unknown(TYPE, error.reason(), error.to_string());
    }
    if let Some(Failure::Workloads(error)) = seen.failure {
        return Finding::no(TYPE, error.reason(), error.to_string());
    }
    let awaited = if topics.status != Status::True {
        "the topics to be ready"
    } else if users.is_some_and(|users| users.status != Status::True) {
        "their users to be ready"
    } else {
        "the topic of the VirtualStock to be ready"
    };
    workloads::finding(&seen.services, Some(awaited))
}
