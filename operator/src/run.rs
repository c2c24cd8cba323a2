//! The life of the process.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::Client;
use kube_lease_manager::LeaseManagerError;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tracing::info;

use crate::context::Context;
use crate::discovery;
use crate::health::{self, Health};
use crate::kube::{Events, Scope};
use crate::leader::Leadership;
use crate::log::{LogWatches, PodAddress};
use crate::metrics::Metrics;
use crate::options::Options;
use crate::owned::{Cluster, Reach, Served};
use crate::pipeline::{self, Reconciled};
use crate::queue::{Key, Queue};
use crate::service_client::{Address, Observers};
use crate::status::StatusWriter;
use crate::topics::JobReports;
use crate::user_rights::Rights;
use crate::{controller, watches};

/// Why the process ends without having been asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The port for health and metrics is not available.
    #[error("cannot serve health and metrics: {0}")]
    Listen(#[from] std::io::Error),
    /// The lease could not be acquired.
    #[error("cannot take part in the election of a leader: {0}")]
    Lease(#[from] LeaseManagerError),
    /// Another process leads now, so this one must stop at once.
    #[error("another process holds the lease")]
    LeaseLost,
    /// The watches or the reconcilers ended.
    #[error("the watches ended")]
    Ended,
}

/// Runs the operator until `shutdown`. Boxed, so that it is compiled once, with this crate.
pub fn run(
    options: Options,
    client: Client,
    metrics: Metrics,
    health: Health,
    shutdown: BoxFuture<'static, ()>,
) -> BoxFuture<'static, Result<(), RunError>> {
    async move {
        let (served_sender, served) = watch::channel(Served::default());
        health.waits_for(Some("the process has only just started".into()));
        let beside = async {
            let follow = discovery::follow(client.clone(), health.clone(), served_sender).map(Ok);
            let serve = health::serve(options.listen, health.clone(), metrics.clone());
            futures::future::try_join(follow, serve).await.map(drop)
        };
        let main = work(&options, client.clone(), metrics.clone(), health.clone(), served, shutdown.shared());
        tokio::select! {
            ended = beside => ended.map_err(RunError::from),
            ended = main => ended,
        }
    }
    .boxed()
}

async fn work(
    options: &Options,
    client: Client,
    metrics: Metrics,
    health: Health,
    mut served: watch::Receiver<Served>,
    shutdown: Shared<BoxFuture<'static, ()>>,
) -> Result<(), RunError> {
    tokio::select! {
        () = shutdown.clone() => return Ok(()),
        _ = served.wait_for(|served| served.own) => {}
    }
    if !options.leader_election {
        metrics.leader(true);
        return control(options, client, metrics, health, served, shutdown).await;
    }
    let leadership = tokio::select! {
        () = shutdown.clone() => return Ok(()),
        leadership = Leadership::acquire(client.clone(), options) => leadership?,
    };
    metrics.leader(true);
    let lost = leadership.lost();
    let ended = tokio::select! {
        ended = control(options, client, metrics, health, served, shutdown) => ended,
        () = lost => return Err(RunError::LeaseLost),
    };
    leadership.release().await;
    ended
}

/// Watches and reconciles until `shutdown`, then waits for the reconciles that still run.
async fn control(
    options: &Options,
    client: Client,
    metrics: Metrics,
    health: Health,
    served: watch::Receiver<Served>,
    shutdown: Shared<BoxFuture<'static, ()>>,
) -> Result<(), RunError> {
    let (resources, writers) = watches::stores();
    let (stock_queue, stock_receiver) = Queue::new("VirtualStock", metrics.clone());
    let (workflow_queue, workflow_receiver) = Queue::new("OrderWorkflow", metrics.clone());
    let address = Address::new(&options.service_url);
    let user_rights = Rights {
        enabled: options.kafka_users,
        secrets_from: options.user_secrets_from.clone(),
        secrets_to: options.user_secrets_to.clone(),
    };
    let cluster = Arc::new(Cluster::new(client.clone(), reach(options, &user_rights)));
    let events = Events::new(client.clone(), &options.instance);
    let context = Arc::new(Context {
        services_image: options.services_image.clone(),
        resources,
        user_rights,
        status: StatusWriter::new(client, events.clone()),
        events,
        metrics,
        health,
        reports: JobReports::default(),
        ledgers: Observers::default(),
        orders: Observers::default(),
        logs: LogWatches::new(address.clone(), PodAddress::new(&options.pod_url), Arc::clone(&cluster)),
        address,
        cluster,
        stock_queue,
        workflow_queue,
    });
    let at_first = served.borrow().clone();
    let watching = watches::run(Arc::clone(&context), writers, served);
    let reconciling = async {
        watches::filled(&context, &at_first).await;
        info!("reconciling");
        let stocks = reconciler::<VirtualStock>(&context, stock_receiver, shutdown.clone());
        let workflows = reconciler::<OrderWorkflow>(&context, workflow_receiver, shutdown.clone());
        futures::future::join(stocks, workflows).await;
    };
    tokio::select! {
        () = watching => Err(RunError::Ended),
        () = reconciling => Ok(()),
    }
}

/// Reconciles the resources of one kind until `shutdown`.
fn reconciler<R: Reconciled>(
    context: &Arc<Context>,
    receiver: UnboundedReceiver<Key>,
    shutdown: Shared<BoxFuture<'static, ()>>,
) -> impl Future<Output = ()> + use<R> {
    controller::run(
        R::store(&context.resources).clone(),
        Arc::clone(R::queue(context)),
        receiver,
        (Arc::clone(context), context.metrics.clone()),
        |resource: &R, context| pipeline::reconcile(resource, context).boxed(),
        shutdown,
    )
}

/// Kafka clusters may be in every namespace that the operator watches, and in those that its options add.
fn reach(options: &Options, rights: &Rights) -> Reach {
    let resources = Scope::of(&options.watch_namespaces);
    let kafka = match &resources {
        Scope::Cluster => Scope::of(&options.kafka_namespaces),
        Scope::Namespaces(names) => Scope::of(&[names.as_slice(), &options.kafka_namespaces].concat()),
    };
    let secrets = rights.secret_namespaces();
    let user_secrets = (!secrets.is_empty()).then(|| Scope::of(&secrets));
    Reach { resources, kafka, users: rights.enabled, user_secrets }
}
