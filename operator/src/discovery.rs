//! Discovers what the cluster serves: the operator's own resources, the version of KafkaTopic, and
//! ScaledObjects.

use std::time::Duration;

use kbnt_crds::kafka_topic;
use kube::Client;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::health::Health;
use crate::owned::{KEDA, Served};

/// How often to look. It takes three small requests that every account may make; watching the definitions
/// would take rights on all of them.
const INTERVAL: Duration = Duration::from_secs(10);

/// Keeps `served` up to date, and readiness with it.
pub async fn follow(client: Client, health: Health, served: watch::Sender<Served>) {
    loop {
        match look(&client).await {
            Ok(now) => {
                health.waits_for(
                    (!now.own).then(|| {
                        "the definitions of VirtualStock and OrderWorkflow are not installed".into()
                    }),
                );
                served.send_if_modified(|before| {
                    let changed = *before != now;
                    if changed {
                        info!(
                            own = now.own,
                            kafka_topic = now.kafka_topic,
                            kafka_user = now.kafka_user,
                            keda = now.keda,
                            "what the cluster serves"
                        );
                        *before = now;
                    }
                    changed
                });
            }
            Err(error) => {
                warn!(%error, "cannot find out what the cluster serves");
                health.waits_for(Some(format!("the API server does not answer: {error}")));
            }
        }
        // While the operator's own resources are missing, somebody who installs them waits for it.
        let pause = if served.borrow().own { INTERVAL } else { Duration::from_secs(1) };
        tokio::time::sleep(pause).await;
    }
}

async fn look(client: &Client) -> Result<Served, kube::Error> {
    let own = format!("{}/{}", kbnt_crds::GROUP, kbnt_crds::VERSION);
    let own = serves(client, &own, &["virtualstocks", "orderworkflows"]).await?;
    let mut served = Served { own, ..Served::default() };
    for version in kafka_topic::VERSIONS {
        let plurals = plurals(client, &format!("{}/{version}", kafka_topic::GROUP)).await?;
        let of = |plural: &str| plurals.iter().any(|found| found == plural).then_some(version);
        (served.kafka_topic, served.kafka_user) = (of("kafkatopics"), of("kafkausers"));
        if served.kafka_topic.is_some() {
            break;
        }
    }
    served.keda = serves(client, &format!("{}/{}", KEDA.0, KEDA.1), &["scaledobjects"]).await?;
    Ok(served)
}

async fn serves(client: &Client, group_version: &str, wanted: &[&str]) -> Result<bool, kube::Error> {
    let served = plurals(client, group_version).await?;
    Ok(wanted.iter().all(|plural| served.iter().any(|served| served == plural)))
}

/// The plurals of what is served in a group and version.
async fn plurals(client: &Client, group_version: &str) -> Result<Vec<String>, kube::Error> {
    match client.list_api_group_resources(group_version).await {
        Ok(list) => Ok(list.resources.into_iter().map(|resource| resource.name).collect()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
