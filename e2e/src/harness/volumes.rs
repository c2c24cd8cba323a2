//! Volumes for the claims of a suite. Not every test cluster has a storage class that provisions any.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Failure, Kubectl, Shop, until};

/// The label of the volumes of a suite, with its namespace.
const LABEL: &str = "kbnt.dev/e2e-volumes";

/// How long the folders of the volumes may take to be there.
const MADE: Duration = Duration::from_mins(1);

/// How long a pod may take to be replaced, on a busy machine.
const REPLACED: Duration = Duration::from_mins(3);

/// Volumes that pods of a shop claim.
impl Shop {
    /// Its claims.
    pub fn claims(&self) -> Result<Vec<String>, Failure> {
        let names = self.kubectl.run(&["get", "persistentvolumeclaims", "-o", "name"])?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Deletes the one pod of a service such as `order-service`, which is the only one with a claim, and waits until the next one
    /// has another claim and both resources are ready.
    pub fn replace_pod_and_volume(&self, service: &str) -> Result<(), Failure> {
        let before = self.claims()?;
        if before.len() != 1 {
            return Err(Failure(format!("not one claim: {before:?}")));
        }
        let pods = format!("app.kubernetes.io/component={service}");
        self.kubectl.run(&["delete", "pod", "--selector", &pods, "--timeout=120s"])?;
        until("a volume of the new pod, and none of the old one", REPLACED, || {
            let now = self.claims()?;
            if now.len() == 1 && now != before { Ok(()) } else { Err(Failure(format!("{now:?}"))) }
        })?;
        self.ready()
    }

    /// Deletes both resources, and waits until their claims are gone, too.
    pub fn delete_with_claims(&self) -> Result<(), Failure> {
        self.kubectl.run(&["delete", "orderworkflow,virtualstock", "--all", "--timeout=120s"])?;
        until("the claims are gone with their resource", REPLACED, || {
            let left = self.claims()?;
            if left.is_empty() { Ok(()) } else { Err(Failure(format!("{left:?}"))) }
        })
    }
}

/// Local volumes of one node, in a class of their own.
#[derive(Clone, Debug)]
pub struct Volumes {
    /// Their class.
    pub class: String,
    kubectl: Kubectl,
}

impl Volumes {
    /// Makes `count` volumes for the claims of this shop, in new folders of the node on which the operator runs. Volumes from an
    /// earlier run are removed first.
    pub fn make(shop: &Shop, count: usize) -> Result<Self, Failure> {
        let class = shop.kubectl.namespace().to_owned();
        // Its policy lets pods use folders of the node.
        let volumes = Self { class, kubectl: Kubectl::new("default") };
        volumes.delete()?;
        let operator = Kubectl::new("kbnt-system").get(&["pods"])?["items"][0]["spec"].clone();
        let node = operator["nodeName"].as_str().unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let folders: Vec<_> =
            (0..count).map(|n| format!("/var/tmp/kbnt-e2e/{}-{now}/{n}", volumes.class)).collect();
        volumes.make_folders(node, &operator["containers"][0]["image"], &folders)?;
        let labels = volumes.kubectl.get(&["node", node])?["metadata"]["labels"].clone();
        let mut made = vec![json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": volumes.metadata(&volumes.class),
            "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer",
        })];
        made.extend(folders.iter().enumerate().map(|(n, folder)| {
            let host = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [labels["kubernetes.io/hostname"]]});
            json!({
                "apiVersion": "v1", "kind": "PersistentVolume",
                "metadata": volumes.metadata(&format!("{}-{n}", volumes.class)),
                "spec": {
                    "storageClassName": volumes.class, "capacity": {"storage": "1Gi"},
                    "accessModes": ["ReadWriteOnce"], "local": {"path": folder},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [host]}]}},
                },
            })
        }));
        volumes.kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": made}).to_string())?;
        Ok(volumes)
    }

    /// Removes the volumes. What is in their folders stays on the node.
    pub fn delete(&self) -> Result<(), Failure> {
        let ours = format!("{LABEL}={}", self.class);
        self.kubectl.run(&["delete", "pv,storageclass", "--selector", &ours, "--timeout=60s"]).map(drop)
    }

    fn metadata(&self, name: &str) -> Value {
        json!({"name": name, "labels": {LABEL: self.class}})
    }

    /// The kubelet makes folders that a pod asks for, and does not make those of local volumes. The pod needs an image that the
    /// node has, and nothing of its program.
    fn make_folders(&self, node: &str, image: &Value, folders: &[String]) -> Result<(), Failure> {
        let pod = format!("{}-folders", self.class);
        let remove = ["delete", "pod", &pod, "--ignore-not-found", "--timeout=60s"];
        self.kubectl.run(&remove)?;
        let name = |n: usize| format!("volume-{n}");
        let mount = |n| json!({"name": name(n), "mountPath": format!("/volumes/{n}")});
        let volume =
            |(n, folder)| json!({"name": name(n), "hostPath": {"path": folder, "type": "DirectoryOrCreate"}});
        let manifest = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod},
            "spec": {
                "nodeName": node, "restartPolicy": "Never", "automountServiceAccountToken": false,
                "containers": [{
                    "name": "folders", "image": image, "imagePullPolicy": "IfNotPresent", "args": ["--help"],
                    "volumeMounts": (0..folders.len()).map(mount).collect::<Vec<_>>(),
                }],
                "volumes": folders.iter().enumerate().map(volume).collect::<Vec<_>>(),
            },
        });
        self.kubectl.apply(&manifest.to_string())?;
        until("the folders of the volumes", MADE, || {
            let status = self.kubectl.get(&["pod", &pod])?["status"].clone();
            if status["phase"] == "Succeeded" { Ok(()) } else { Err(Failure(status.to_string())) }
        })?;
        self.kubectl.run(&remove).map(drop)
    }
}
