//! A clock, an outside world, and a runner that can be stopped.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use kbnt_application::inventory::InventoryMachine;
use kbnt_application::machine::ImageOf;
use kbnt_application::ports::{Clock, EventLog, Unreadable};
use kbnt_application::ports::{Leadership, Observer, SnapshotEvent};
use kbnt_application::{Delivered, Effect, EffectOutcome, Machine, PaymentOutcome, Position, Service};
use kbnt_domain::stock::Declaration;
use kbnt_domain::{Currency, Money, Timestamp};
use kbnt_runtime::{EffectPerformer, Handle, RunError, Runner, RunnerParts, SnapshotPlan};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
    }
}

/// Performs each effect once the test permits it.
pub struct Gate {
    pub permits: Semaphore,
    pub performed: AtomicUsize,
}

impl Gate {
    pub fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self { permits: Semaphore::new(permits), performed: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl EffectPerformer for Gate {
    async fn perform(&self, _effect: &Effect) -> EffectOutcome {
        self.performed.fetch_add(1, Ordering::SeqCst);
        self.permits.acquire().await.unwrap().forget();
        PaymentOutcome::Refunded.into()
    }
}

/// One turn at a time.
pub struct Turns(pub Semaphore);

#[async_trait]
impl Leadership for Turns {
    async fn acquired(&self) -> Result<(), String> {
        self.0.acquire().await.unwrap().forget();
        Ok(())
    }

    async fn release(&self) {
        self.0.add_permits(1);
    }
}

/// Records what it observes.
#[derive(Default)]
pub struct RecordingObserver {
    pub unreadable: Mutex<Vec<Unreadable>>,
    pub fenced: Mutex<Vec<Position>>,
    pub handled: AtomicUsize,
    pub retried: AtomicUsize,
    recovered: AtomicU64,
    snapshots: Mutex<Vec<String>>,
}

impl RecordingObserver {
    pub fn handled(&self) -> usize {
        self.handled.load(Ordering::SeqCst)
    }

    /// Records that were folded at the start.
    pub fn recovered(&self) -> u64 {
        self.recovered.load(Ordering::SeqCst)
    }

    /// The outcomes of snapshots, except those that were stored.
    pub fn snapshots(&self) -> Vec<String> {
        self.snapshots.lock().unwrap().clone()
    }
}

impl Observer for RecordingObserver {
    fn handled(&self, _service: Service, _record: &Delivered, _now: Timestamp) {
        self.handled.fetch_add(1, Ordering::SeqCst);
    }

    fn unreadable(&self, _service: Service, record: &Unreadable) {
        self.unreadable.lock().unwrap().push(record.clone());
    }

    fn fenced(&self, _service: Service, at: Position) {
        self.fenced.lock().unwrap().push(at);
    }

    fn recovered(&self, _service: Service, _partition: u32, records: u64, _took: Duration) {
        self.recovered.fetch_add(records, Ordering::SeqCst);
    }

    fn snapshot(&self, _service: Service, outcome: &SnapshotEvent<'_>) {
        let outcome = match outcome {
            SnapshotEvent::Kept { .. } => return,
            SnapshotEvent::Failed(error) => format!("failed {error}"),
            SnapshotEvent::Restored { before, .. } => format!("restored {before}"),
            SnapshotEvent::Refused { before, .. } => format!("refused {before}"),
        };
        self.snapshots.lock().unwrap().push(outcome);
    }

    fn retrying(
        &self,
        _service: Service,
        _stage: kbnt_application::ports::Stage,
        _error: &kbnt_application::ports::LogError,
    ) {
        self.retried.fetch_add(1, Ordering::SeqCst);
    }
}

/// A runner in a task.
pub struct Running<M> {
    pub handle: Handle<M>,
    pub observed: Arc<RecordingObserver>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl<M: Machine> Running<M> {
    pub fn start(machine: M, log: Arc<dyn EventLog>) -> Self {
        Self::with(machine, log, Gate::new(0))
    }

    pub fn with(machine: M, log: Arc<dyn EventLog>, effects: Arc<dyn EffectPerformer>) -> Self {
        let recording = Arc::<RecordingObserver>::default();
        let observer = Arc::clone(&recording) as Arc<dyn Observer>;
        let parts = RunnerParts { log, clock: Arc::new(WallClock), effects, observer };
        let (runner, handle) = Runner::new(machine, parts);
        Self::run(runner, handle, recording)
    }

    /// Runs the machine with this clock.
    pub fn by_clock(machine: M, log: Arc<dyn EventLog>, clock: Arc<dyn Clock>) -> Self {
        let recording = Arc::<RecordingObserver>::default();
        let observer = Arc::clone(&recording) as Arc<dyn Observer>;
        let (runner, handle) =
            Runner::new(machine, RunnerParts { log, clock, effects: Gate::new(0), observer });
        Self::run(runner, handle, recording)
    }

    /// Runs the machine in turns.
    pub fn in_turn(machine: M, log: Arc<dyn EventLog>, turn: Arc<dyn Leadership>) -> Self {
        let recording = Arc::<RecordingObserver>::default();
        let observer = Arc::clone(&recording) as Arc<dyn Observer>;
        let parts = RunnerParts { log, clock: Arc::new(WallClock), effects: Gate::new(0), observer };
        let (runner, handle) = Runner::new(machine, parts);
        Self::run(runner.led_by(turn), handle, recording)
    }

    /// Runs the machine with snapshots.
    pub fn with_snapshots(machine: M, log: Arc<dyn EventLog>, plan: SnapshotPlan<ImageOf<M>>) -> Self {
        let recording = Arc::<RecordingObserver>::default();
        let observer = Arc::clone(&recording) as Arc<dyn Observer>;
        let parts = RunnerParts { log, clock: Arc::new(WallClock), effects: Gate::new(0), observer };
        let (runner, handle) = Runner::new(machine, parts);
        Self::run(runner.with_snapshots(plan), handle, recording)
    }

    fn run(runner: Runner<M>, handle: Handle<M>, observed: Arc<RecordingObserver>) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(runner.run(shutdown.clone()));
        Self { handle, observed, shutdown, task }
    }

    pub async fn ready(&self) {
        let mut progress = self.handle.progress();
        let ready = progress.wait_for(|progress| progress.ready);
        tokio::time::timeout(kbnt_testkit::DEADLINE, ready).await.expect("never ready").unwrap();
    }

    pub async fn stands_by(&self) {
        let mut progress = self.handle.progress();
        let stands_by = progress.wait_for(|progress| progress.standing_by);
        tokio::time::timeout(kbnt_testkit::DEADLINE, stands_by).await.expect("never stands by").unwrap();
    }

    pub async fn look<R: Send + 'static>(&self, look: impl FnOnce(&M) -> R + Send + 'static) -> R {
        self.handle.call(|machine, _| look(machine)).await.unwrap()
    }

    /// Stops it, as SIGTERM would.
    pub async fn stop(self) -> Result<(), RunError> {
        self.shutdown.cancel();
        self.ended().await
    }

    /// Waits for its end.
    pub async fn ended(self) -> Result<(), RunError> {
        tokio::time::timeout(kbnt_testkit::DEADLINE, self.task).await.expect("never ended").unwrap()
    }

    /// Ends it between two instructions, as kill -9 would.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// A source has received so many units of a product.
pub async fn declare(running: &Running<InventoryMachine>, received: u64) {
    let declaration = Declaration {
        product: "PROD-1".parse().unwrap(),
        name: "Smartphone X".into(),
        unit_price: Money::from_minor(59_999, Currency::BRL).unwrap(),
        received,
        low_stock_threshold: None,
        source: "test".parse().unwrap(),
    };
    let call = move |machine: &mut InventoryMachine, outbox: &mut _| machine.declare(&declaration, outbox);
    running.handle.call(call).await.unwrap().unwrap();
}
