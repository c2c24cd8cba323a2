//! How pods access Kafka with secrets: as files, which the services read again when they change.
//!
//! The operator reads none of these Secrets, except those that it copies (see `users`). A rotation reaches
//! the pods through their volumes, and nothing is restarted.

use k8s_openapi::api::core::v1::{EnvVar, KeyToPath, SecretVolumeSource, Volume};

use super::plain;
use super::pod::folder;
use crate::kafka_cluster::{Kafka, Login, Trust};

/// Volume of the CAs.
const CA: &str = "kafka-ca";
/// Volume of the credentials.
const USER: &str = "kafka-user";

/// Variables and volumes.
pub(super) fn access(kafka: &Kafka) -> (Vec<EnvVar>, Vec<Volume>) {
    let (mut env, mut volumes) = (Vec::new(), Vec::new());
    let protocol = match (&kafka.trust, &kafka.login) {
        (None, Login::Scram { .. }) => "sasl_plaintext",
        (None, _) => return (env, volumes),
        (Some(_), Login::Scram { .. }) => "sasl_ssl",
        (Some(_), _) => "ssl",
    };
    env.push(plain("KBNT_KAFKA_SECURITY_PROTOCOL", protocol));
    if let Some(Trust::Secret(secret)) = &kafka.trust {
        env.push(plain("KBNT_KAFKA_CA_FILE", folder(CA)));
        // Mounts all keys, because there is more than one CA during a change of CAs.
        volumes.push(volume(CA, secret, &[]));
    }
    let file = |key: &str| format!("{}/{key}", folder(USER));
    match &kafka.login {
        Login::None => {}
        Login::Scram { username, secret } => {
            env.push(plain("KBNT_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"));
            env.push(plain("KBNT_KAFKA_USERNAME", username));
            env.push(plain("KBNT_KAFKA_PASSWORD_FILE", file("password")));
            volumes.push(volume(USER, secret, &["password"]));
        }
        Login::Mtls(secret) => {
            env.push(plain("KBNT_KAFKA_CERT_FILE", file("user.crt")));
            env.push(plain("KBNT_KAFKA_KEY_FILE", file("user.key")));
            volumes.push(volume(USER, secret, &["user.crt", "user.key"]));
        }
    }
    (env, volumes)
}

/// A Secret as a volume, with these keys or all.
fn volume(name: &str, secret: &str, keys: &[&str]) -> Volume {
    let item = |key: &&str| KeyToPath { key: (*key).into(), path: (*key).into(), ..KeyToPath::default() };
    Volume {
        name: name.into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.into()),
            items: (!keys.is_empty()).then(|| keys.iter().map(item).collect()),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access_as_text(trust: Option<Trust>, login: Login) -> (Vec<String>, Vec<String>) {
        let (bootstrap, prefix) = (String::new(), String::new());
        let kafka = Kafka { bootstrap, prefix, replicas: 3, place: None, trust, login, users: None };
        let (env, volumes) = access(&kafka);
        let env = env.into_iter().map(|made| format!("{}={}", made.name, made.value.unwrap_or_default()));
        let volumes = volumes.into_iter().map(|made| {
            let secret = made.secret.unwrap();
            let keys: Vec<_> = secret.items.into_iter().flatten().map(|item| item.key).collect();
            format!("{}: {} {}", made.name, secret.secret_name.unwrap(), keys.join(","))
        });
        (env.collect(), volumes.collect())
    }

    #[test]
    fn the_services_are_told_as_their_contract_says() {
        let ca = || Some(Trust::Secret("kbnt-cluster-ca-cert".into()));
        let scram = || Login::Scram { username: "shop".into(), secret: "shop".into() };
        assert_eq!(access_as_text(None, Login::None), (vec![], vec![]));
        assert_eq!(access_as_text(Some(Trust::System), Login::None).0, ["KBNT_KAFKA_SECURITY_PROTOCOL=ssl"]);
        let (env, volumes) = access_as_text(ca(), scram());
        assert_eq!(
            env,
            [
                "KBNT_KAFKA_SECURITY_PROTOCOL=sasl_ssl",
                "KBNT_KAFKA_CA_FILE=/etc/kbnt/kafka-ca",
                "KBNT_KAFKA_SASL_MECHANISM=SCRAM-SHA-512",
                "KBNT_KAFKA_USERNAME=shop",
                "KBNT_KAFKA_PASSWORD_FILE=/etc/kbnt/kafka-user/password",
            ]
        );
        assert_eq!(volumes, ["kafka-ca: kbnt-cluster-ca-cert ", "kafka-user: shop password"]);
        let (env, volumes) = access_as_text(ca(), Login::Mtls("shop".into()));
        assert_eq!(
            env[2..],
            [
                "KBNT_KAFKA_CERT_FILE=/etc/kbnt/kafka-user/user.crt",
                "KBNT_KAFKA_KEY_FILE=/etc/kbnt/kafka-user/user.key",
            ]
        );
        assert_eq!(volumes[1], "kafka-user: shop user.crt,user.key");
        assert_eq!(access_as_text(None, scram()).0[0], "KBNT_KAFKA_SECURITY_PROTOCOL=sasl_plaintext");
    }
}
