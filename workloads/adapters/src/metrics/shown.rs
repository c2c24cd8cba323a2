//! Caches the last rendering. Rendering takes time that orders need, so there is a pause after each; all
//! requests meanwhile share the next one.

use std::sync::{Arc, Mutex as Plain, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep_until};

/// The shortest interval between renderings.
const PAUSE: Duration = Duration::from_millis(250);

/// How many requests may wait for the next rendering. Further ones get the last one, so that none is refused.
const WAITING_MOST: usize = 16;

/// The last rendering.
#[derive(Debug)]
pub(super) struct Shown {
    /// When the rendering began.
    made: Mutex<Option<Instant>>,
    last: Plain<Arc<str>>,
    waiting: Semaphore,
}

impl Default for Shown {
    fn default() -> Self {
        Self { made: Mutex::default(), last: Plain::default(), waiting: Semaphore::new(WAITING_MOST) }
    }
}

impl Shown {
    /// A text whose rendering began after the request, unless too many wait. `render` makes it.
    pub(super) async fn get(&self, render: impl Future<Output = Arc<str>>) -> Arc<str> {
        let asked = Instant::now();
        let _waits = match self.waiting.try_acquire() {
            Ok(waits) => waits,
            Err(_) if !self.last().is_empty() => return self.last(),
            // Only at the very start. The semaphore is never closed.
            Err(_) => match self.waiting.acquire().await {
                Ok(waits) => waits,
                Err(_) => return self.last(),
            },
        };
        let mut made = self.made.lock().await;
        if let Some(began) = *made {
            if began >= asked {
                return self.last();
            }
            sleep_until(began + PAUSE).await;
        }
        let began = Instant::now();
        let text = render.await;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = text.clone();
        *made = Some(began);
        text
    }

    fn last(&self) -> Arc<str> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn whoever_asks_gets_a_text_made_after_that_and_many_share_one() {
        let (shown, made) = (Shown::default(), AtomicUsize::new(0));
        let render = || async { Arc::from(made.fetch_add(1, Ordering::SeqCst).to_string()) };
        assert_eq!(&*shown.get(render()).await, "0");
        assert_eq!(&*shown.get(render()).await, "1", "not what was there before");
        let many = futures::future::join_all((0..10).map(|_| shown.get(render()))).await;
        assert!(many.iter().all(|text| &**text == "2"), "{many:?}");
    }

    #[tokio::test]
    async fn a_crowd_shares_one_and_nobody_is_refused() {
        let (shown, made) = (Shown::default(), AtomicUsize::new(0));
        let render = || async { Arc::from(made.fetch_add(1, Ordering::SeqCst).to_string()) };
        shown.get(render()).await;
        let crowd = futures::future::join_all((0..100).map(|_| shown.get(render()))).await;
        let fresh = crowd.iter().filter(|text| &***text == "1").count();
        assert_eq!(
            (fresh, crowd.iter().filter(|text| &***text == "0").count()),
            (WAITING_MOST, 100 - WAITING_MOST)
        );
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }
}
