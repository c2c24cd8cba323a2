//! What an OrderWorkflow refers to.

use std::sync::Arc;

use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::runtime::reflector::{ObjectRef, Store};

/// The VirtualStock of this workflow, where there is one. A watch keeps the store, and wakes the reconciler on a change.
pub(super) fn dereference(
    workflow: &OrderWorkflow,
    stocks: &Store<VirtualStock>,
) -> Option<Arc<VirtualStock>> {
    let namespace = workflow.metadata.namespace.as_deref().unwrap_or_default();
    let stock = stocks.get(&ObjectRef::new(&workflow.spec.virtual_stock_ref.name).within(namespace))?;
    stock.metadata.deletion_timestamp.is_none().then_some(stock)
}
