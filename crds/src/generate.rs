//! The custom resource definitions as YAML.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResourceExt, ResourceExt};
use serde_json::Value;

use crate::{OrderWorkflow, VirtualStock};

/// Why the definitions could not be written as text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not YAML.
    #[error("cannot write as YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
    /// Not JSON.
    #[error("cannot convert: {0}")]
    Json(#[from] serde_json::Error),
}

/// Both definitions, in the form for the API server.
pub fn definitions() -> Result<Vec<CustomResourceDefinition>, Error> {
    [VirtualStock::crd(), OrderWorkflow::crd()]
        .into_iter()
        .map(|crd| {
            let mut value = serde_json::to_value(crd)?;
            drop_nullable(&mut value);
            Ok(serde_json::from_value(value)?)
        })
        .collect()
}

/// File name and YAML of each definition.
pub fn manifests() -> Result<Vec<(String, String)>, Error> {
    definitions()?
        .iter()
        .map(|crd| Ok((format!("{}.yaml", crd.name_any()), serde_yaml::to_string(crd)?)))
        .collect()
}

/// File name and Helm template of each definition. They are templates and not in Helm's `crds` folder,
/// because Helm never upgrades that.
pub fn templates() -> Result<Vec<(String, String)>, Error> {
    let keep = "  annotations:\n    {{- if .Values.keep }}\n    helm.sh/resource-policy: keep\n    {{- end }}\n    \
                {{- with .Values.annotations }}\n    {{- toYaml . | nindent 4 }}\n    {{- end }}\n";
    Ok(manifests()?
        .into_iter()
        .map(|(name, yaml)| (name, yaml.replacen("metadata:\n", &format!("metadata:\n{keep}"), 1)))
        .collect())
}

/// In these types, an explicit null means the same as an absent field, so the API server may drop it, and
/// rules need not distinguish the two.
fn drop_nullable(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| key != "nullable" || !value.is_boolean());
            map.values_mut().for_each(drop_nullable);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nullable),
        _ => {}
    }
}
