//! How others look at the history.

use std::sync::Arc;

use async_trait::async_trait;
use kbnt_application::Position;
use kbnt_application::history::Search;
use kbnt_application::ports::{History, HistoryError, HistorySize, HistoryStore, Standing};
use kbnt_application::projections::{OrderEntry, Page};
use kbnt_domain::OrderId;
use tokio::sync::watch;

use super::Shown;

/// The history as it is now. Cheap to clone.
#[derive(Clone)]
pub struct HistoryView {
    store: Arc<dyn HistoryStore>,
    shown: watch::Receiver<Shown>,
    /// Tells the runner what is wrong with what is stored.
    finds: Arc<watch::Sender<Option<HistoryError>>>,
}

impl HistoryView {
    pub(super) fn new(
        store: Arc<dyn HistoryStore>,
        shown: watch::Receiver<Shown>,
        finds: watch::Sender<Option<HistoryError>>,
    ) -> Self {
        Self { store, shown, finds: Arc::new(finds) }
    }

    /// Fails while it is not known whether what is stored is of this log.
    fn opened(&self) -> Result<&dyn HistoryStore, HistoryError> {
        if self.shown.borrow().open {
            Ok(self.store.as_ref())
        } else {
            Err(HistoryError::Unavailable("it is not open yet".to_owned()))
        }
    }

    /// How much is stored.
    pub async fn size(&self) -> Result<HistorySize, HistoryError> {
        self.checked(self.opened()?.size().await)
    }

    /// What is stored is not what was written: the runner builds it anew. A row that a newer process has written to a shared store is
    /// only not read.
    fn checked<T>(&self, read: Result<T, HistoryError>) -> Result<T, HistoryError> {
        if let Err(error @ (HistoryError::Damaged(_) | HistoryError::Foreign(_))) = &read
            && !(self.store.is_shared() && matches!(error, HistoryError::Foreign(_)))
        {
            self.finds.send_replace(Some(error.clone()));
        }
        read
    }
}

#[async_trait]
impl History for HistoryView {
    fn standing(&self) -> Standing {
        self.shown.borrow().standing
    }

    async fn reached(&self, positions: &[Position]) {
        let mut shown = self.shown.clone();
        let is_applied = |shown: &Shown| {
            positions.iter().all(|at| shown.progress.next(at.topic, at.partition) >= at.offset)
        };
        // An error means that the runner has ended: nothing more will be applied.
        let _ = shown.wait_for(is_applied).await;
    }

    async fn get(&self, order: OrderId) -> Result<Option<OrderEntry>, HistoryError> {
        self.checked(self.opened()?.get(order).await)
    }

    async fn search(&self, search: Search) -> Result<Page, HistoryError> {
        self.checked(self.opened()?.search(search).await)
    }
}
