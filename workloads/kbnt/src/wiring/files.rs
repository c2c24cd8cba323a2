//! Files that options name.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use kbnt_domain::stock::Declaration;
use kbnt_domain::user::Registration;
use kbnt_domain::{Currency, Money, ProductId, SourceId, UserId, rules};
use kbnt_kafka::admin::WantedTopic;
use kbnt_kafka::{ClientCertificate, KafkaConfig, Sasl, Security};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cli::{AccessOptions, EnsureOptions, KafkaOptions};
use crate::failure::Failure;

/// The source of the declarations in a seed file.
const SEED_SOURCE: &str = "seed";

/// Characters that are shown of a malformed row.
const SHOWN: usize = 100;

/// The initial stock and users.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seed {
    pub(crate) stock: Vec<Declaration>,
    pub(crate) users: Vec<Registration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserRow {
    user_id: String,
    name: String,
    email: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StockRow {
    product_id: String,
    name: String,
    unit_price: String,
    received: u64,
    #[serde(default)]
    low_stock_threshold: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedRows {
    #[serde(default)]
    stock: Vec<serde_json::Value>,
    #[serde(default)]
    users: Vec<serde_json::Value>,
}

/// The file is there, but does not say what it should.
pub(super) fn malformed(path: &Path, reason: &dyn Display) -> Failure {
    Failure::Malformed { path: path.to_owned(), reason: reason.to_string() }
}

fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::File { path: path.to_owned(), error })
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    serde_json::from_str(&text(path)?).map_err(|error| malformed(path, &error))
}

/// Reads a secret: the content without surrounding white space.
pub(super) fn secret(path: &Path) -> Result<String, Failure> {
    Ok(text(path)?.trim().to_owned())
}

/// Reads a file of users: `[{"userId", "name", "email"}]`. An invalid user is logged and left out, so that
/// the others do not have to wait.
pub(crate) fn users(path: &Path) -> Result<Vec<Registration>, Failure> {
    let rows: Vec<serde_json::Value> = json(path)?;
    Ok(good(path, rows, "a user is left out", registration))
}

/// Reads a seed file: `{"stock": [...], "users": [...]}`. An invalid product or user is logged and left out.
pub(crate) fn seed(path: &Path) -> Result<Seed, Failure> {
    let rows: SeedRows = json(path)?;
    Ok(Seed {
        stock: good(path, rows.stock, "a product is left out", declaration),
        users: good(path, rows.users, "a user is left out", registration),
    })
}

/// Converts the rows with `read`. For each row that cannot be converted, logs `message` and the error.
fn good<R: DeserializeOwned, T>(
    path: &Path,
    rows: Vec<serde_json::Value>,
    message: &str,
    read: impl Fn(R, &Path) -> Result<T, Failure>,
) -> Vec<T> {
    let one = |row: serde_json::Value| {
        // The error names the row, so that it can be found in a long file.
        let shown = row.to_string();
        let row = serde_json::from_value(row)
            .map_err(|error| malformed(path, &format!("{}: {error}", kept(&shown))));
        row.and_then(|row| read(row, path)).inspect_err(|error| tracing::error!(%error, "{message}")).ok()
    };
    rows.into_iter().filter_map(one).collect()
}

/// The beginning of a long text.
fn kept(text: &str) -> &str {
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

fn registration(row: UserRow, path: &Path) -> Result<Registration, Failure> {
    let invalid = |error: &dyn Display| malformed(path, &format!("user {:?}: {error}", row.user_id));
    let user: UserId = row.user_id.parse().map_err(|error| invalid(&error))?;
    Registration::new(user, row.name, row.email).map_err(|error| invalid(&error))
}

fn declaration(row: StockRow, path: &Path) -> Result<Declaration, Failure> {
    let invalid = |error: &dyn Display| malformed(path, &format!("product {:?}: {error}", row.product_id));
    let product: ProductId = row.product_id.parse().map_err(|error| invalid(&error))?;
    if !product.can_be_declared() {
        return Err(invalid(&rules::PRODUCT_ID_ADVICE));
    }
    if !rules::is_name(&row.name) {
        return Err(invalid(&rules::NAME_ADVICE));
    }
    let source: SourceId = SEED_SOURCE.parse().map_err(|error| invalid(&error))?;
    let unit_price = Money::parse(&row.unit_price, Currency::BRL).map_err(|error| invalid(&error))?;
    Ok(Declaration {
        product,
        name: row.name,
        unit_price,
        received: row.received,
        low_stock_threshold: row.low_stock_threshold,
        source,
    })
}

/// The topics that the options give, or a file that they name.
pub(crate) fn wanted_topics(options: &EnsureOptions) -> Result<Vec<WantedTopic>, Failure> {
    match (&options.wanted_file, &options.wanted) {
        (Some(path), _) => json(path),
        (None, Some(wanted)) => serde_json::from_str(wanted)
            .map_err(|error| Failure::Options(format!("the wanted topics: {error}"))),
        (None, None) => Err(Failure::Options("no topics are given".to_owned())),
    }
}

/// The configuration for the cluster that the options name.
pub(crate) fn kafka_config(options: &KafkaOptions) -> Result<KafkaConfig, Failure> {
    let access = &options.access;
    let properties = access.properties_file.as_deref().map(kafka_properties).transpose()?;
    Ok(KafkaConfig {
        bootstrap_servers: options.bootstrap_servers.clone(),
        prefix: options.topic_prefix.clone(),
        instance: options.instance.clone(),
        static_member: options.static_member.clone(),
        security: security(access)?,
        renew_after: access.renew_after,
        properties: properties.unwrap_or_default(),
    })
}

/// The security settings, if the options are consistent.
fn security(options: &AccessOptions) -> Result<Security, Failure> {
    let missing = |what: &str| Failure::Options(format!("the security protocol of Kafka wants {what}"));
    let protocol = options.security_protocol.into();
    let certificate = match (options.cert_file.clone(), options.key_file.clone()) {
        (Some(chain), Some(key)) => Some(ClientCertificate { chain, key }),
        _ => None,
    };
    let sasl = match (options.username.clone(), options.password_file.clone()) {
        (Some(username), Some(password_file)) => {
            Some(Sasl { mechanism: options.sasl_mechanism.into(), username, password_file })
        }
        _ => None,
    };
    let security = Security { protocol, ca: options.ca_file.clone(), certificate, sasl };
    if security.protocol.is_sasl() && security.sasl.is_none() {
        return Err(missing("KBNT_KAFKA_USERNAME and KBNT_KAFKA_PASSWORD_FILE"));
    }
    Ok(security)
}

/// Reads properties: `key=value` lines, empty ones and those that start with `#` aside.
fn kafka_properties(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let text = text(path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
            // The message omits the line: it may contain half a secret.
            None => Err(malformed(path, &"a line that is not key=value")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("kbnt-files-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_user_that_cannot_be_is_left_out_and_the_others_are_known() {
        let path = file(
            "users.json",
            r#"[{"userId": "a", "name": "Ana", "email": "ana@example.com"},
                {"userId": "b", "name": "Ana Maria\n", "email": "ana@example.com"},
                {"userId": "..", "name": "Ana", "email": "ana@example.com"},
                {"userId": "c", "name": "Ana", "email": "ana"},
                {"userId": "d"}, 7,
                {"userId": "e", "name": "Eva", "email": "eva@example.com"}]"#,
        );
        let users = users(&path);
        std::fs::remove_file(&path).unwrap();
        let known: Vec<_> = users.unwrap().into_iter().map(|user| user.user.to_string()).collect();
        assert_eq!(known, ["a", "e"]);
    }

    #[test]
    fn what_cannot_be_in_a_seed_is_left_out_and_the_rest_is_there() {
        let path = file(
            "seed.json",
            r#"{"stock": [
                {"productId": "P1", "name": "Phone", "unitPrice": "1.23", "received": 1},
                {"productId": "summary", "name": "Phone", "unitPrice": "1", "received": 1},
                {"productId": "X\t", "name": "Phone", "unitPrice": "1", "received": 1},
                {"productId": "P2", "name": "a\tb", "unitPrice": "1", "received": 1},
                {"productId": "P3", "name": "Phone", "unitPrice": "1.234", "received": 1},
                {"productId": "P4", "name": "Phone", "unitPrice": "1", "received": -1},
                {"productId": "P5"}, 7, null,
                {"productId": "P6", "name": "Phone", "unitPrice": "1", "received": 0}],
               "users": [
                {"userId": "a", "name": "Ana", "email": "ana@example.com"},
                {"userId": "b", "name": "Ana Maria\n", "email": "ana@example.com"}, "c"]}"#,
        );
        let seed = seed(&path);
        std::fs::write(&path, "no JSON at all").unwrap();
        assert!(super::seed(&path).is_err());
        std::fs::remove_file(&path).unwrap();
        let Seed { stock, users } = seed.unwrap();
        let products: Vec<_> = stock.into_iter().map(|wish| wish.product.to_string()).collect();
        assert_eq!(products, ["P1", "P6"]);
        let users: Vec<_> = users.into_iter().map(|user| user.user.to_string()).collect();
        assert_eq!(users, ["a"]);
    }

    #[test]
    fn a_seed_says_what_is_wrong_with_a_product() {
        let row = |id: &str, name: &str| {
            let row = serde_json::json!({"productId": id, "name": name, "unitPrice": "1", "received": 1});
            declaration(serde_json::from_value(row).unwrap(), Path::new("seed.json"))
        };
        assert!(row("P", "Phone").is_ok());
        for (id, name) in [("summary", "Phone"), ("..", "Phone"), ("P", "a\tb"), ("P", " ")] {
            assert!(row(id, name).is_err(), "{id} {name:?}");
        }
    }
}
