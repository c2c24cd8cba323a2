//! A process: some or all of the services on one log, and their API.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use kbnt_application::Machine;
use kbnt_application::Service;
use kbnt_application::audit::AuditMachine;
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::notification::NotificationMachine;
use kbnt_application::order::OrderMachine;
use kbnt_application::payment::PaymentMachine;
use kbnt_application::ports::{Clock, EventLog};
use kbnt_application::projections::BookLimits;
use kbnt_application::user::{UserConfig, UserMachine};
use kbnt_infrastructure::embedded::EmbeddedLog;
use kbnt_infrastructure::http::{
    Apis, Description, Forward, Health, Limits, OrderApi, OrderViews, Part, router, serve,
};
use kbnt_infrastructure::kafka::KafkaLog;
use kbnt_infrastructure::lease::KubernetesLease;
use kbnt_infrastructure::logging::Logging;
use kbnt_infrastructure::metrics::Metrics;
use kbnt_infrastructure::runtime::{
    EffectPerformer, Handle, Observer, ProjectionRunner, Runner, RunnerParts, SnapshotPlan, View,
};
use kbnt_infrastructure::spans::{Spans, Traced};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::parts;
use crate::cli::TracingOptions;
use crate::failure::Failure;

/// What a process is made of.
pub(crate) struct ProcessParts {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) effects: Arc<dyn EffectPerformer>,
    pub(crate) metrics: Arc<Metrics>,
    /// Who is told of every record that is written, if anybody.
    pub(crate) spans: Option<Arc<Spans>>,
    /// Event streams at a time.
    pub(crate) streams: usize,
}

/// Services at work.
pub(crate) struct Process {
    parts: RunnerParts,
    metrics: Arc<Metrics>,
    spans: Option<Arc<Spans>>,
    streams: usize,
    /// Nothing new is taken any more.
    draining: CancellationToken,
    /// The services stop.
    shutdown: CancellationToken,
    /// And audit-service, once the others have: it still links what they wrote last.
    audited: CancellationToken,
    audits: usize,
    tasks: JoinSet<Result<(), Failure>>,
    watched: Vec<Box<dyn Part>>,
    apis: Apis,
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
            spans: parts.spans,
            streams: parts.streams,
            draining: CancellationToken::new(),
            shutdown: CancellationToken::new(),
            audited: CancellationToken::new(),
            audits: 0,
            tasks: JoinSet::new(),
            watched: Vec::new(),
            apis: Apis::default(),
        }
    }

    /// Starts order-service and its read models.
    pub(crate) fn order(&mut self) -> View<OrderViews> {
        self.plain(OrderMachine::new());
        let views = OrderViews::new(BookLimits::default());
        let (runner, view) = ProjectionRunner::new(views, Arc::clone(&self.parts.log));
        let shutdown = self.shutdown.clone();
        let run = async move { runner.run(shutdown).await };
        self.spawn(Service::Order, run);
        self.watched.push(Box::new(parts::Orders(view.clone())));
        self.apis.orders = Some(OrderApi {
            log: Arc::clone(&self.parts.log),
            views: view.clone(),
            clock: Arc::clone(&self.parts.clock),
            shutdown: self.draining.clone(),
            streams: Arc::new(Semaphore::new(self.streams)),
        });
        view
    }

    /// Starts user-service.
    pub(crate) fn user(&mut self, config: UserConfig) -> Handle<UserMachine> {
        let handle = self.plain(UserMachine::new(config));
        self.apis.users = Some(handle.clone());
        handle
    }

    /// Starts inventory-service.
    pub(crate) fn inventory(
        &mut self,
        config: InventoryConfig,
        snapshots: Option<SnapshotPlan>,
    ) -> Handle<InventoryMachine> {
        let inventory = self.inventory_runner(config, snapshots);
        let handle = self.start(inventory);
        self.show_inventory(handle)
    }

    /// Starts inventory-service where another process of it may be at work: this one then stands by, and `lease` says when
    /// it is its turn.
    pub(crate) fn inventory_by_turns(
        &mut self,
        config: InventoryConfig,
        snapshots: Option<SnapshotPlan>,
        lease: Arc<KubernetesLease>,
    ) -> Result<(), Failure> {
        let (runner, handle) = self.inventory_runner(config, snapshots);
        let handle = self.start((runner.led_by(lease.clone()), handle));
        self.apis.standby = Some(Forward::new(handle.clone(), lease)?);
        self.show_inventory(handle);
        Ok(())
    }

    fn inventory_runner(
        &self,
        config: InventoryConfig,
        snapshots: Option<SnapshotPlan>,
    ) -> (Runner<InventoryMachine>, Handle<InventoryMachine>) {
        let (runner, handle) = Runner::new(InventoryMachine::new(config), self.parts.clone());
        (snapshots.into_iter().fold(runner, Runner::with_snapshots), handle)
    }

    fn show_inventory(&mut self, handle: Handle<InventoryMachine>) -> Handle<InventoryMachine> {
        self.watched.push(Box::new(parts::Inventory(handle.clone())));
        self.apis.inventory = Some(handle.clone());
        handle
    }

    /// Starts payment-service.
    pub(crate) fn payment(&mut self) {
        self.plain(PaymentMachine::new());
    }

    /// Starts notification-service.
    pub(crate) fn notification(&mut self) {
        self.plain(NotificationMachine::new());
    }

    /// Starts audit-service.
    pub(crate) fn audit(&mut self) {
        let (runner, handle) = Runner::new(AuditMachine::new(), self.parts.clone());
        let stop = self.audited.clone();
        self.spawn(Service::Audit, async move { runner.run(stop).await });
        self.audits += 1;
        self.watched.push(Box::new(parts::Machine { name: Service::Audit.name(), handle }));
    }

    /// Shows what becomes of log lines.
    pub(crate) fn show_logging(&mut self, logging: Arc<Logging>, log: Option<Arc<KafkaLog>>) {
        self.watched.push(Box::new(parts::Lines { logging, log }));
    }

    /// Makes readiness depend on the cluster.
    pub(crate) fn need_cluster(&mut self, log: Arc<KafkaLog>) {
        self.watched.push(Box::new(parts::Cluster(log)));
    }

    /// Makes readiness depend on the files of a log.
    pub(crate) fn need_files(&mut self, log: Arc<EmbeddedLog>) {
        self.watched.push(Box::new(parts::Files(log)));
    }

    /// From the moment that the process is told to stop, nothing new is taken; once the requests under way are answered,
    /// the services stop.
    pub(crate) fn stop_when_told(&self) {
        let draining = self.draining.clone();
        tokio::spawn(async move {
            if let Err(error) = until_told().await {
                tracing::error!(%error, "signals are not heard");
                return;
            }
            tracing::info!(operation = "stopping", "told to stop");
            draining.cancel();
        });
    }

    /// The routes of the services that were started so far, and their description.
    pub(crate) fn router(&mut self) -> (Router, Description) {
        let health = Health {
            parts: std::mem::take(&mut self.watched).into(),
            metrics: Arc::clone(&self.metrics),
            shutdown: self.draining.clone(),
        };
        router(self.apis.clone(), health)
    }

    /// Serves the routes at `address`, and returns the address that it has.
    pub(crate) async fn listen(&mut self, address: SocketAddr) -> Result<SocketAddr, Failure> {
        let listener = bind(address).await?;
        let address = listener.local_addr()?;
        let (router, _) = self.router();
        let (draining, shutdown) = (self.draining.clone(), self.shutdown.clone());
        self.tasks.spawn(async move {
            // Requests under way still need the services.
            let _stops_services = shutdown.drop_guard();
            Ok(serve(listener, router, Limits::default(), draining).await?)
        });
        Ok(address)
    }

    /// Works until it is told to stop, or a service stops by itself; then all stop.
    pub(crate) async fn finish(mut self) -> Result<(), Failure> {
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            // Normally it is the HTTP server that ends first; whatever else ends before was not to.
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

    /// Stops at once, whatever is in hand.
    pub(crate) async fn abandon(mut self) {
        self.tasks.shutdown().await;
    }

    fn plain<M: Machine + Sync>(&mut self, machine: M) -> Handle<M> {
        let name = machine.service().name();
        let handle = self.start(Runner::new(machine, self.parts.clone()));
        self.watched.push(Box::new(parts::Machine { name, handle: handle.clone() }));
        handle
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
        run: impl Future<Output = Result<(), kbnt_infrastructure::runtime::RunError>> + Send + 'static,
    ) {
        let service = service.name();
        let span = tracing::info_span!("service", service);
        self.tasks.spawn(
            async move { run.await.map_err(|error| Failure::Service { service, error }) }.instrument(span),
        );
    }
}

/// What hands the spans of `services` to the collector that the options name, if they do.
pub(crate) fn spans(options: &TracingOptions, services: &[Service]) -> Result<Option<Arc<Spans>>, Failure> {
    let spans = options.otlp_endpoint.as_deref().map(|endpoint| Spans::to(endpoint, services));
    Ok(spans.transpose().map_err(|error| Failure::Tracing(error.to_string()))?.map(Arc::new))
}

/// Listens on `address`.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    let refused = |error| Failure::Options(format!("cannot listen on {address}: {error}"));
    TcpListener::bind(address).await.map_err(refused)
}

/// Returns when the process is told to stop, by SIGTERM or Ctrl-C.
pub(crate) async fn until_told() -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
