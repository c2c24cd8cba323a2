//! One task per resource, which asks its services for the state of the log.
//!
//! A service with a damaged log is not ready, so its Kubernetes Service does not route to it: pods that are
//! not ready are asked one by one, at their own addresses. Pods that are ready have found no damage, so they
//! are asked rarely.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use tokio::task::AbortHandle;
use tracing::debug;

use super::LogReport;
use crate::labels::selector;
use crate::owned::{Cluster, ObservedDeployment};
use crate::ownership::Owner;
use crate::service_client::{Address, ServiceClient};

/// How often to look at the Deployments, and to ask the pods of one that is not fully ready.
const LOOK: Duration = Duration::from_secs(2);
/// How often to ask a service whose pods are all ready.
const REST: Duration = Duration::from_secs(20);
/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most pods of one service that are asked.
const PODS: usize = 16;

/// A service that is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    /// Name of its Service and Deployment.
    pub name: String,
    /// Which of the six services it is.
    pub component: String,
}

/// The answer of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Its last report.
    pub report: Option<LogReport>,
    /// Why there is no newer report.
    pub error: Option<String>,
}

/// The answers of services, by the name of the service.
pub type Answers = BTreeMap<String, Answer>;

/// Where pods answer: a URL with `{ip}` in it, and perhaps `{namespace}` and `{pod}`.
#[derive(Clone, Debug)]
pub struct PodAddress(String);

impl PodAddress {
    /// Within the cluster it is `http://{ip}:8080`.
    pub fn new(template: &str) -> Self {
        Self(template.trim_end_matches('/').to_owned())
    }

    fn of(&self, namespace: &str, pod: &str, ip: IpAddr) -> String {
        let host = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        self.0.replace("{ip}", &host).replace("{namespace}", namespace).replace("{pod}", pod)
    }
}

struct Task {
    services: Vec<Service>,
    answers: Arc<Mutex<Answers>>,
    abort: AbortHandle,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// The tasks of all resources, by their UID.
pub struct LogWatches {
    address: Address,
    pods: PodAddress,
    cluster: Arc<Cluster>,
    tasks: Mutex<HashMap<String, Task>>,
}

impl LogWatches {
    /// Asks services at `address`, and pods at `pods` if a Deployment is not fully ready.
    pub fn new(address: Address, pods: PodAddress, cluster: Arc<Cluster>) -> Self {
        Self { cluster, address, pods, tasks: Mutex::default() }
    }

    /// The answers of this resource's services so far. Starts the task if there is none; `wake` is called
    /// after each change.
    pub fn answers(
        &self,
        owner: &Owner,
        services: Vec<Service>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Answers {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = tasks.get(&owner.uid).filter(|task| task.services == services) {
            return task.answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        }
        let answers = Arc::<Mutex<Answers>>::default();
        let poller = LogPoller {
            address: self.address.clone(),
            pods: self.pods.clone(),
            cluster: Arc::clone(&self.cluster),
            namespace: owner.namespace.clone(),
            resource: owner.name.clone(),
            owner: owner.uid.clone(),
        };
        let running = run(poller, services.clone(), Arc::clone(&answers), wake);
        let task = Task { services, answers, abort: tokio::spawn(running).abort_handle() };
        tasks.insert(owner.uid.clone(), task);
        Answers::new()
    }

    /// The answers of the services of the resource with this UID so far.
    pub fn last(&self, uid: &str) -> Answers {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let task =
            tasks.get(uid).map(|task| task.answers.lock().unwrap_or_else(PoisonError::into_inner).clone());
        task.unwrap_or_default()
    }

    /// Stops the tasks of all other resources.
    pub fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| exists(uid));
    }
}

struct LogPoller {
    address: Address,
    pods: PodAddress,
    cluster: Arc<Cluster>,
    namespace: String,
    resource: String,
    owner: String,
}

async fn run(poller: LogPoller, services: Vec<Service>, answers: Arc<Mutex<Answers>>, wake: impl Fn()) {
    let mut last_asked = HashMap::<String, Instant>::new();
    loop {
        for service in &services {
            let Some(deployment) = poller.deployment(&service.name) else { continue };
            let known = answers.lock().unwrap_or_else(PoisonError::into_inner).get(&service.name).cloned();
            let last = known.as_ref().and_then(|answer| answer.report.as_ref());
            let urgent = !deployment.rolled_out || last.is_some_and(|last| !last.intact);
            let due = last_asked.get(&service.name).is_none_or(|last| last.elapsed() >= REST);
            if !urgent && !due {
                continue;
            }
            let Some(now) = poller.ask(service, &deployment).await else { continue };
            last_asked.insert(service.name.clone(), Instant::now());
            let report = now.report.or_else(|| known.as_ref().and_then(|known| known.report.clone()));
            let now = Answer { report, error: now.error };
            if known.as_ref() != Some(&now) {
                answers.lock().unwrap_or_else(PoisonError::into_inner).insert(service.name.clone(), now);
                wake();
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl LogPoller {
    fn deployment(&self, service: &str) -> Option<ObservedDeployment> {
        let live = self.cluster.get::<Deployment>(&self.namespace, service)?.observed;
        (live.controller.as_deref() == Some(self.owner.as_str())).then_some(live)
    }

    /// The merged report of a service's pods; `None` if there is no pod to ask.
    async fn ask(&self, service: &Service, deployment: &ObservedDeployment) -> Option<Answer> {
        let mut urls = Vec::new();
        if deployment.serves() {
            urls.push(self.address.of(&self.namespace, &service.name));
        }
        if !deployment.rolled_out {
            urls.extend(self.unready(service).await);
        }
        let calls = urls.iter().map(async |url| {
            ServiceClient::default().get::<LogReport>(&format!("{url}/v1/log"), TIMEOUT).await
        });
        let mut answer = Answer::default();
        let said = join_all(calls).await;
        if said.is_empty() {
            return None;
        }
        for said in said {
            match (said, &mut answer.report) {
                (Ok(report), Some(all)) => all.merge(report),
                (Ok(report), first) => *first = Some(report),
                (Err(error), _) => answer.error = Some(error.to_string()),
            }
        }
        // A pod that does not answer is not ready, and WorkloadsAvailable reports that.
        if answer.report.is_some() {
            answer.error = None;
        }
        Some(answer)
    }

    /// Addresses of the pods to which no Service routes.
    async fn unready(&self, service: &Service) -> Vec<String> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        let selector = selector(&self.resource, &service.component);
        let selector: Vec<_> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        match pods.list(&ListParams::default().labels(&selector.join(","))).await {
            Ok(pods) => pods.iter().filter_map(|pod| self.url_of_unready(pod)).take(PODS).collect(),
            Err(error) => {
                debug!(service = service.name, %error, "the pods cannot be listed");
                Vec::new()
            }
        }
    }

    fn url_of_unready(&self, pod: &Pod) -> Option<String> {
        let status = pod.status.as_ref()?;
        let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
        if ready || pod.metadata.deletion_timestamp.is_some() || status.phase.as_deref() != Some("Running") {
            return None;
        }
        let ip = status.pod_ip.as_ref()?.parse().ok()?;
        Some(self.pods.of(&self.namespace, pod.metadata.name.as_deref()?, ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_reached_by_its_address() {
        let address = PodAddress::new("http://{ip}:8080/");
        assert_eq!(address.of("a", "b", [10, 1, 2, 3].into()), "http://10.1.2.3:8080");
        assert_eq!(address.of("a", "b", IpAddr::V6(1.into())), "http://[::1]:8080");
    }
}
