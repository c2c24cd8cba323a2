//! A process: some or all of the services on one log, with their API.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use kbnt_adapters::closed_orders::FjallArchive;
use kbnt_adapters::lease::KubernetesLease;
use kbnt_adapters::logging::Logging;
use kbnt_adapters::metrics::Metrics;
use kbnt_adapters::outbound::streaming_client;
use kbnt_adapters::spans::{Spans, Traced};
use kbnt_application::Machine;
use kbnt_application::Service;
use kbnt_application::audit::{AuditImage, AuditMachine};
use kbnt_application::intact::{Integrity, TopicIds};
use kbnt_application::inventory::{Image, InventoryMachine};
use kbnt_application::notification::NotificationMachine;
use kbnt_application::order::OrderMachine;
use kbnt_application::payment::PaymentMachine;
use kbnt_application::ports::{Clock, EventLog, History, Observer};
use kbnt_application::projections::BookLimits;
use kbnt_application::user::{UserConfig, UserImage, UserMachine};
use kbnt_embedded::EmbeddedLog;
use kbnt_http::{
    Apis, Description, Forward, Health, InHand, OrderApi, OrderViews, Part, Shares, probes, router, serve,
};
use kbnt_kafka::KafkaLog;
use kbnt_runtime::intact::Guarded;
use kbnt_runtime::{
    EffectPerformer, Handle, HistoryPlan, HistoryRunner, ProjectionRunner, Runner, RunnerParts, SnapshotPlan,
    View,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::grants::{Grants, PROBES};
use super::parts;
use crate::cli::TracingOptions;
use crate::failure::Failure;

/// The parts of a process.
pub(crate) struct ProcessParts {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) effects: Arc<dyn EffectPerformer>,
    pub(crate) metrics: Arc<Metrics>,
    /// Receives every record that is written, if set.
    pub(crate) spans: Option<Arc<Spans>>,
    /// The ids that topics must have.
    pub(crate) topic_ids: TopicIds,
    /// Limits for HTTP clients.
    pub(crate) grants: Grants,
    /// Cancelled when the process is to stop.
    pub(crate) stop: CancellationToken,
}

/// Running services.
pub(crate) struct Process {
    parts: RunnerParts,
    metrics: Arc<Metrics>,
    integrity: Arc<Integrity>,
    spans: Option<Arc<Spans>>,
    grants: Grants,
    /// Cancelled when the process is to stop.
    stop: CancellationToken,
    /// Cancelled when nothing new is accepted any more.
    draining: CancellationToken,
    /// Cancelled when the services are to stop.
    shutdown: CancellationToken,
    /// Cancelled when audit-service is to stop, after the others: it still links their last records.
    audited: CancellationToken,
    audits: usize,
    tasks: JoinSet<Result<(), Failure>>,
    watched: Vec<Box<dyn Part>>,
    apis: Apis,
    /// Whether an HTTP server runs, whose end the services wait for.
    listens: bool,
}

impl Process {
    pub(crate) fn new(parts: ProcessParts) -> Self {
        let observer = Arc::clone(&parts.metrics) as Arc<dyn Observer>;
        let log = match &parts.spans {
            Some(spans) => Arc::new(Traced::new(parts.log, Arc::clone(spans))),
            None => parts.log,
        };
        Self {
            parts: RunnerParts { log, clock: parts.clock, effects: parts.effects, observer },
            metrics: parts.metrics,
            integrity: Arc::new(Integrity::new(parts.topic_ids)),
            spans: parts.spans,
            apis: Apis { requests: Shares::new(parts.grants.requests), ..Apis::default() },
            grants: parts.grants,
            draining: parts.stop.child_token(),
            stop: parts.stop,
            shutdown: CancellationToken::new(),
            audited: CancellationToken::new(),
            audits: 0,
            tasks: JoinSet::new(),
            watched: Vec::new(),
            listens: false,
        }
    }

    /// Starts order-service and its read models; with a plan, also the history.
    pub(crate) fn order(&mut self, history: Option<HistoryPlan>) -> View<OrderViews> {
        let guarded = self.guarded_log(Service::Order);
        let history = history.map(|plan| self.history(plan, Arc::new(guarded.clone().passing_over())));
        let parts = RunnerParts { log: Arc::new(guarded), ..self.parts.clone() };
        let machine = OrderMachine::new();
        self.plain(machine, parts.clone());
        let views = OrderViews::new(BookLimits::default()).taking(self.grants.orders);
        let (runner, view) = ProjectionRunner::new(views, Arc::clone(&parts.log));
        let shutdown = self.shutdown.clone();
        let runner = runner.by_clock(Arc::clone(&self.parts.clock));
        let run = async move { runner.run(shutdown).await };
        self.spawn(Service::Order, run);
        self.watched.push(Box::new(parts::Orders { view: view.clone(), metrics: Arc::clone(&self.metrics) }));
        self.apis.orders = Some(OrderApi {
            log: parts.log,
            history,
            events: Arc::clone(&self.parts.log),
            views: Arc::new(view.clone()),
            clock: Arc::clone(&self.parts.clock),
            shutdown: self.draining.clone(),
            streams: Shares::new(self.grants.streams),
            in_hand: InHand::new(self.grants.orders),
        });
        view
    }

    /// Starts what keeps the history of orders.
    fn history(&mut self, plan: HistoryPlan, log: Arc<dyn EventLog>) -> Arc<dyn History> {
        let clock = Arc::clone(&self.parts.clock);
        let observer = Arc::clone(&self.parts.observer);
        let (runner, view) = HistoryRunner::new(plan, log, Arc::clone(&clock), observer);
        let shutdown = self.shutdown.clone();
        self.spawn(Service::Order, async move { runner.run(shutdown).await });
        let metrics = Arc::clone(&self.metrics);
        self.watched.push(Box::new(parts::OrderHistory { view: view.clone(), clock, metrics }));
        Arc::new(view)
    }

    /// Starts user-service.
    pub(crate) fn user(
        &mut self,
        config: UserConfig,
        snapshots: Option<SnapshotPlan<UserImage>>,
    ) -> Handle<UserMachine> {
        let (runner, handle) = Runner::new(UserMachine::new(config), self.guarded(Service::User));
        let handle = self.start((snapshots.into_iter().fold(runner, Runner::with_snapshots), handle));
        self.show(Service::User, &handle);
        self.apis.users = Some(Arc::new(handle.clone()));
        handle
    }

    /// Starts inventory-service.
    pub(crate) fn inventory(
        &mut self,
        machine: InventoryMachine,
        snapshots: Option<SnapshotPlan<Image>>,
    ) -> Handle<InventoryMachine> {
        let inventory = self.inventory_runner(machine, snapshots);
        let handle = self.start(inventory);
        self.show_inventory(handle)
    }

    /// Starts inventory-service if another process of it may be active: this one then stands by until `lease`
    /// gives it its turn.
    pub(crate) fn inventory_by_turns(
        &mut self,
        machine: InventoryMachine,
        snapshots: Option<SnapshotPlan<Image>>,
        lease: Arc<KubernetesLease>,
    ) -> Result<(), Failure> {
        let (runner, handle) = self.inventory_runner(machine, snapshots);
        let handle = self.start((runner.led_by(lease.clone()), handle));
        self.apis.standby = Some(Forward::new(Arc::new(handle.clone()), lease, streaming_client()?));
        self.show_inventory(handle);
        Ok(())
    }

    fn inventory_runner(
        &mut self,
        machine: InventoryMachine,
        snapshots: Option<SnapshotPlan<Image>>,
    ) -> (Runner<InventoryMachine>, Handle<InventoryMachine>) {
        let (runner, handle) = Runner::new(machine, self.guarded(Service::Inventory));
        (snapshots.into_iter().fold(runner, Runner::with_snapshots), handle)
    }

    fn show_inventory(&mut self, handle: Handle<InventoryMachine>) -> Handle<InventoryMachine> {
        self.watched
            .push(Box::new(parts::Inventory { handle: handle.clone(), metrics: Arc::clone(&self.metrics) }));
        self.apis.inventory = Some(Arc::new(handle.clone()));
        handle
    }

    /// Makes readiness depend on the system's clock.
    pub(crate) fn need_clock(&mut self) {
        self.watched.push(Box::new(parts::SystemClock(Arc::clone(&self.parts.clock))));
    }

    /// Starts payment-service.
    pub(crate) fn payment(&mut self) {
        let parts = self.guarded(Service::Payment);
        self.plain(PaymentMachine::new(), parts);
    }

    /// Starts notification-service.
    pub(crate) fn notification(&mut self) {
        let parts = self.guarded(Service::Notification);
        self.plain(NotificationMachine::new(), parts);
    }

    /// Starts audit-service.
    pub(crate) fn audit(&mut self, snapshots: Option<SnapshotPlan<AuditImage>>) {
        let (runner, handle) = Runner::new(AuditMachine::new(), self.guarded(Service::Audit));
        let runner = snapshots.into_iter().fold(runner, Runner::with_snapshots);
        let stop = self.audited.clone();
        self.spawn(Service::Audit, async move { runner.run(stop).await });
        self.audits += 1;
        self.show(Service::Audit, &handle);
    }

    /// Adds metrics of the archive of closed orders.
    pub(crate) fn show_archive(&mut self, archive: Arc<FjallArchive>, limit: Option<u64>) {
        self.watched.push(Box::new(parts::ClosedOrders {
            archive,
            limit,
            metrics: Arc::clone(&self.metrics),
        }));
    }

    /// Adds metrics of log lines.
    pub(crate) fn show_logging(&mut self, logging: Arc<Logging>, log: Option<Arc<KafkaLog>>) {
        self.watched.push(Box::new(parts::Lines { logging, log, metrics: Arc::clone(&self.metrics) }));
    }

    /// Makes readiness depend on the Kafka cluster.
    pub(crate) fn need_cluster(&mut self, log: Arc<KafkaLog>) {
        self.watched.push(Box::new(parts::Cluster { log, metrics: Arc::clone(&self.metrics) }));
    }

    /// Makes readiness depend on the files of a log.
    pub(crate) fn need_files(&mut self, log: Arc<EmbeddedLog>) {
        self.watched.push(Box::new(parts::Files(log)));
    }

    /// Makes readiness depend on the seed file: all of it must be declared.
    pub(crate) fn need_seed(&mut self, declared: Arc<AtomicBool>) {
        self.watched.push(Box::new(parts::Seed(declared)));
    }

    /// The routes of the services that were started so far, and their description.
    pub(crate) fn router(&mut self) -> (Router, Description) {
        let health = self.health();
        router(self.apis.clone(), health)
    }

    fn health(&mut self) -> Health {
        Health {
            parts: std::mem::take(&mut self.watched).into(),
            metrics: self.metrics.clone(),
            integrity: Arc::clone(&self.integrity),
            shutdown: self.draining.clone(),
        }
    }

    /// Serves the routes at `address`, and returns the actual address.
    pub(crate) async fn listen(&mut self, address: SocketAddr) -> Result<SocketAddr, Failure> {
        let listener = bind(address).await?;
        let address = listener.local_addr()?;
        let health = self.health();
        if let Some(port) = self.grants.probe_port {
            let (listener, shutdown) =
                (bind(SocketAddr::new(address.ip(), port)).await?, self.shutdown.clone());
            let (address, probes) = (listener.local_addr()?, probes(health.clone()));
            tracing::info!(operation = "probes", %address, "probes are answered here, too");
            self.tasks.spawn(async move { Ok(serve(listener, probes, PROBES, shutdown).await?) });
        }
        let (router, _) = router(self.apis.clone(), health);
        self.listens = true;
        let (draining, shutdown, limits) = (self.draining.clone(), self.shutdown.clone(), self.grants.limits);
        self.tasks.spawn(async move {
            // Requests in progress still need the services.
            let _stops_services = shutdown.drop_guard();
            Ok(serve(listener, router, limits, draining).await?)
        });
        Ok(address)
    }

    /// Works until it is stopped, or until a service ends by itself; then all stop. Once it is stopped,
    /// nothing new is accepted; when the requests in progress are answered, the services stop.
    pub(crate) async fn finish(mut self) -> Result<(), Failure> {
        let (stop, draining) = (self.stop.clone(), self.draining.clone());
        tokio::spawn(async move {
            stop.cancelled().await;
            tracing::info!(operation = "stopping", "told to stop");
        });
        if !self.listens {
            self.tasks.spawn(async move {
                draining.cancelled().await;
                Ok(())
            });
        }
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            // Normally the HTTP server ends first; anything else that ends before is a failure.
            self.draining.cancel();
            self.shutdown.cancel();
            if self.tasks.len() <= self.audits {
                self.audited.cancel();
            }
            if let Err(failure) = ended.map_err(Failure::from).and_then(|ended| ended)
                && outcome.is_ok()
            {
                outcome = Err(failure);
            }
        }
        if let Some(spans) = self.spans.take() {
            tokio::task::spawn_blocking(move || spans.flush()).await?;
        }
        outcome
    }

    /// Stops at once, without finishing anything.
    pub(crate) async fn abandon(mut self) {
        self.tasks.shutdown().await;
    }

    /// The dependencies of `service`, with a guarded log.
    fn guarded(&mut self, service: Service) -> RunnerParts {
        let guarded = self.guarded_log(service);
        // The audit trail vouches for the bytes of each record.
        let log = if service == Service::Audit { guarded.with_bytes() } else { Arc::new(guarded) };
        RunnerParts { log, ..self.parts.clone() }
    }

    fn guarded_log(&mut self, service: Service) -> Guarded {
        let guarded = Guarded::new(Arc::clone(&self.parts.log), service, Arc::clone(&self.integrity));
        let watch = guarded.clone().watch(self.shutdown.clone());
        self.tasks.spawn(async move {
            watch.await;
            Ok(())
        });
        guarded
    }

    fn plain<M: Machine + Sync>(&mut self, machine: M, parts: RunnerParts) -> Handle<M> {
        let service = machine.service();
        let handle = self.start(Runner::new(machine, parts));
        self.show(service, &handle);
        handle
    }

    /// Adds what is to be seen of any machine.
    fn show<M: Machine + Sync>(&mut self, service: Service, handle: &Handle<M>) {
        self.watched.push(Box::new(parts::Machine { name: service.name(), handle: handle.clone() }));
    }

    fn start<M: Machine + Sync>(&mut self, (runner, handle): (Runner<M>, Handle<M>)) -> Handle<M> {
        let service = runner.service();
        let shutdown = self.shutdown.clone();
        self.spawn(service, async move { runner.run(shutdown).await });
        handle
    }

    fn spawn(
        &mut self,
        service: Service,
        run: impl Future<Output = Result<(), kbnt_runtime::RunError>> + Send + 'static,
    ) {
        let service = service.name();
        let span = tracing::info_span!("service", service);
        self.tasks.spawn(
            async move { run.await.map_err(|error| Failure::Service { service, error }) }.instrument(span),
        );
    }
}

/// Sends the spans of `services` to the collector in the options, if there is one.
pub(crate) fn spans(options: &TracingOptions, services: &[Service]) -> Result<Option<Arc<Spans>>, Failure> {
    let spans = options.otlp_endpoint.as_ref().map(|endpoint| Spans::to(endpoint, services));
    Ok(spans.transpose().map_err(|error| Failure::Tracing(error.to_string()))?.map(Arc::new))
}

/// Listens on `address`.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    let refused = |error| Failure::Options(format!("cannot listen on {address}: {error}"));
    TcpListener::bind(address).await.map_err(refused)
}
