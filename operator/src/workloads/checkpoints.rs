//! Where a service keeps checkpoints, from which a pod starts that has lost everything else.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};
use kbnt_crds::checkpoints::CheckpointsSpec;
use kbnt_crds::pod::PodTemplate;

use super::pod::plain;

/// What the program reads of a bucket's store, and all that it gets of a Secret: other keys could set other variables.
const STORE: [&str; 8] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ALLOW_HTTP",
];

/// The variables by which a service finds the place and the way there. What is given for the pods counts before the Secret, as a
/// region is seldom a secret.
pub(super) fn variables(spec: &CheckpointsSpec, given: &PodTemplate) -> Vec<EnvVar> {
    let store = &spec.object_store;
    let mut env =
        vec![plain("KBNT_CHECKPOINT_TO", &store.url), plain("KBNT_CHECKPOINT_INTERVAL", &spec.interval)];
    if let Some(secret) = &store.secret_ref {
        let open = STORE.iter().filter(|name| given.env.iter().all(|given| given.name != **name));
        env.extend(open.map(|name| of_secret(name, &secret.name)));
    }
    env
}

/// A variable with the value of the key of the same name, or none where the Secret has no such key or is not there: the service
/// starts without its checkpoints, and is as good without them but for the time that its start takes.
fn of_secret(name: &str, secret: &str) -> EnvVar {
    let key = SecretKeySelector { name: secret.into(), key: name.into(), optional: Some(true) };
    EnvVar {
        name: name.into(),
        value: None,
        value_from: Some(EnvVarSource { secret_key_ref: Some(key), ..EnvVarSource::default() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(spec: Value, given: Value) -> Value {
        let spec: CheckpointsSpec = serde_json::from_value(spec).unwrap();
        json!(variables(&spec, &serde_json::from_value(given).unwrap()))
    }

    #[test]
    fn the_service_learns_the_place_and_how_often() {
        let store = json!({"url": "s3://shop/main"});
        for (spec, interval) in
            [(json!({"objectStore": store}), "5m"), (json!({"objectStore": store, "interval": "90s"}), "90s")]
        {
            assert_eq!(
                made(spec, json!({})),
                json!([
                    {"name": "KBNT_CHECKPOINT_TO", "value": "s3://shop/main"},
                    {"name": "KBNT_CHECKPOINT_INTERVAL", "value": interval},
                ])
            );
        }
    }

    #[test]
    fn a_secret_gives_what_the_store_needs_and_nothing_else() {
        let spec = json!({"objectStore": {"url": "s3://shop/main", "secretRef": {"name": "bucket"}}});
        let env = made(spec.clone(), json!({}));
        let of_secret = &env.as_array().unwrap()[2..];
        for (variable, name) in of_secret.iter().zip(STORE) {
            let key = json!({"name": "bucket", "key": name, "optional": true});
            assert_eq!(*variable, json!({"name": name, "valueFrom": {"secretKeyRef": key}}));
        }
        assert_eq!(of_secret.len(), STORE.len());
        // What the pod template says counts, and comes behind.
        let given =
            json!({"env": [{"name": "AWS_REGION", "value": "eu-central-1"}, {"name": "A", "value": "b"}]});
        let fewer = made(spec, given);
        let names: Vec<_> = fewer.as_array().unwrap().iter().map(|made| made["name"].clone()).collect();
        assert_eq!(names.len(), STORE.len() + 1);
        assert!(!names.contains(&json!("AWS_REGION")));
    }
}
