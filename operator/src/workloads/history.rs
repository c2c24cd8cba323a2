//! Where order-service keeps the history of orders: on a volume that is claimed for the pod and deleted with it, or in a database that
//! all pods share.

use k8s_openapi::api::core::v1::EnvVar;
use kbnt_crds::read_model::ReadModelSpec;

use super::data_dir::DataDir;
use super::pod::{File, Source, plain};
use super::{Role, volume};

/// Its folder in the pod.
const FOLDER: &str = "/var/lib/kbnt/history";

/// The folder on the volume, if there is one.
pub(super) fn data_dir(spec: &ReadModelSpec, resource: &str, role: Role) -> Option<DataDir> {
    let claim = spec.volume_claim.as_ref()?;
    let mut env = vec![plain("KBNT_HISTORY_DIR", FOLDER)];
    env.extend(retention(spec));
    Some(DataDir { env, volume: volume::claimed("history", claim, resource, role), path: FOLDER })
}

/// The variables and files by which the service finds the database, if there is one.
pub fn database(spec: Option<&ReadModelSpec>) -> (Vec<EnvVar>, Vec<File>) {
    let named = spec.and_then(|spec| Some((spec, spec.postgres.as_ref()?)));
    let Some((spec, postgres)) = named else { return (Vec::new(), Vec::new()) };
    let mut env = vec![plain("KBNT_HISTORY_POSTGRES", "true")];
    env.extend(retention(spec));
    let source = Source::Secret(postgres.secret_ref.clone());
    (env, vec![File { env: "KBNT_HISTORY_POSTGRES_URL_FILE", name: "history-postgres", source }])
}

fn retention(spec: &ReadModelSpec) -> Option<EnvVar> {
    spec.retention.as_ref().map(|time| plain("KBNT_HISTORY_RETENTION", time))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(spec: Value) -> ReadModelSpec {
        serde_json::from_value(spec).unwrap()
    }

    fn made(asked: Value) -> Value {
        let made = data_dir(&spec(asked), "main", Role::Order).unwrap();
        json!({"env": made.env, "mount": made.mount()})
    }

    #[test]
    fn the_service_learns_where_the_volume_is_and_for_how_long_orders_are_kept() {
        let forever = made(json!({"volumeClaim": {"size": "1Gi"}}));
        let folder = json!({"name": "KBNT_HISTORY_DIR", "value": "/var/lib/kbnt/history"});
        assert_eq!(forever["env"], json!([folder]));
        assert_eq!(forever["mount"], json!({"name": "history", "mountPath": "/var/lib/kbnt/history"}));
        let year = made(json!({"volumeClaim": {"size": "1Gi"}, "retention": "8760h"}));
        assert_eq!(year["env"][1], json!({"name": "KBNT_HISTORY_RETENTION", "value": "8760h"}));
    }

    #[test]
    fn the_service_reads_the_address_of_the_database_in_a_file() {
        let spec =
            spec(json!({"postgres": {"secretRef": {"name": "db", "key": "uri"}}, "retention": "8760h"}));
        assert!(data_dir(&spec, "main", Role::Order).is_none());
        let (env, files) = database(Some(&spec));
        let wanted = json!([
            {"name": "KBNT_HISTORY_POSTGRES", "value": "true"},
            {"name": "KBNT_HISTORY_RETENTION", "value": "8760h"},
        ]);
        assert_eq!(json!(env), wanted);
        assert_eq!((files.len(), files[0].env), (1, "KBNT_HISTORY_POSTGRES_URL_FILE"));
        let Source::Secret(reference) = &files[0].source else { panic!("{files:?}") };
        assert_eq!((reference.name.as_str(), reference.key.as_str()), ("db", "uri"));
        assert_eq!(database(None), (Vec::new(), Vec::new()));
    }
}
