//! A client whose place another one can take while it is in use.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kbnt_application::ports::LogError;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use crate::client::connection_health::Life;
use crate::client::metadata::Ask;
use crate::client::thread::spawn;

type Make<T> = Box<dyn Fn(&Arc<Life>) -> Result<T, LogError> + Send + Sync>;

/// A client, and what it takes to make another one.
pub(crate) struct Replaceable<T> {
    make: Make<T>,
    current: Mutex<Arc<Current<T>>>,
    life: Arc<Life>,
}

/// A client that is in use, or was.
pub(crate) struct Current<T> {
    client: T,
    retired: CancellationToken,
}

impl<T> Current<T> {
    /// Whether another one has taken its place.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.is_cancelled()
    }

    /// Returns once another one has taken its place.
    pub(crate) fn retired(&self) -> WaitForCancellationFuture<'_> {
        self.retired.cancelled()
    }
}

impl<T> Deref for Current<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.client
    }
}

impl<T: Ask + Send + Sync + 'static> Replaceable<T> {
    pub(crate) fn new(
        life: Arc<Life>,
        make: impl Fn(&Arc<Life>) -> Result<T, LogError> + Send + Sync + 'static,
    ) -> Result<Self, LogError> {
        let current = Current { client: make(&life)?, retired: CancellationToken::new() };
        Ok(Self { make: Box::new(make), current: Mutex::new(Arc::new(current)), life })
    }

    pub(crate) fn current(&self) -> Arc<Current<T>> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The life of whichever client it is.
    pub(crate) fn life(&self) -> &Life {
        &self.life
    }

    /// Puts another client in the place of `old`, if nobody has done so yet.
    pub(crate) fn replace(&self, old: &Arc<Current<T>>) -> Result<(), LogError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, old) {
            let another = Current { client: (self.make)(&self.life)?, retired: CancellationToken::new() };
            let old = std::mem::replace(&mut *current, Arc::new(another));
            drop(current);
            self.life.begin_anew();
            old.retired.cancel();
            farewell(old)?;
        }
        Ok(())
    }

    /// Replaces the client if it was condemned, and asks for a sign of life if it has had none for a while.
    pub(crate) fn tend(&self, topic: &str) {
        let current = self.current();
        if self.life.is_condemned() {
            if let Err(error) = self.replace(&current) {
                tracing::warn!(client = self.life.name(), %error, "there is no other Kafka client");
            }
        } else if self.life.should_ask() {
            self.life.note_answer(current.is_answered(topic));
        }
    }
}

/// Ends a client once nobody uses it any more, which can take a while.
fn farewell<T: Send + Sync + 'static>(client: Arc<Current<T>>) -> Result<(), LogError> {
    spawn("kafka-farewell", move || {
        while Arc::strong_count(&client) > 1 {
            std::thread::sleep(Duration::from_millis(50));
        }
    })
}
