//! Stores of the resources that the operator reconciles, filled by the watches.

use std::collections::HashSet;
use std::sync::Arc;

use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::runtime::reflector::{ObjectRef, Store};

/// All resources.
pub struct Resources {
    /// All VirtualStocks.
    pub stocks: Store<VirtualStock>,
    /// All OrderWorkflows.
    pub workflows: Store<OrderWorkflow>,
}

impl Resources {
    /// The VirtualStock that a workflow refers to, if it exists.
    pub fn stock_of(&self, workflow: &OrderWorkflow) -> Option<Arc<VirtualStock>> {
        let namespace = workflow.metadata.namespace.as_deref().unwrap_or_default();
        self.stocks.get(&ObjectRef::new(&workflow.spec.virtual_stock_ref.name).within(namespace))
    }

    /// The UIDs of all resources.
    pub fn uids(&self) -> HashSet<String> {
        let stocks = self.stocks.state().into_iter().filter_map(|stock| stock.metadata.uid.clone());
        let workflows = self.workflows.state().into_iter().filter_map(|flow| flow.metadata.uid.clone());
        stocks.chain(workflows).collect()
    }

    /// Waits until all resources are known.
    pub async fn wait_until_known(&self) {
        // An error means that the writer is gone, and the process is about to end.
        let _ = self.stocks.wait_until_ready().await;
        let _ = self.workflows.wait_until_ready().await;
    }
}
