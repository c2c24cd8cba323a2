//! Buckets of object stores with the interface of S3. Credentials and the address of the store come from the environment alone.

use std::fmt;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use reqwest::Url;
use thiserror::Error;

use super::client::Connector;
use crate::address::{AddressError, base};

/// How often a request is repeated that is certain to have had no effect, or whose effect is the same. Altogether half a minute,
/// in which a store may start anew.
const TRIES: usize = 8;

/// The pause before the first repetition; the others are longer, each a random part of three times the one before.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// When no repetition begins any more.
const RETRY: Duration = Duration::from_mins(2);

/// What is wrong with the environment. No secret is repeated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreSettingsError {
    /// Nobody to be.
    #[error(
        "no credentials for the store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN"
    )]
    NoCredentials,
    /// One of two that belong together.
    #[error("{set} is set, and {missing} is not")]
    Half {
        /// What is set.
        set: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// Which store?
    #[error("AWS_REGION is not set; for a store of your own set AWS_ENDPOINT_URL")]
    NoRegion,
    /// The endpoint is none.
    #[error("AWS_ENDPOINT_URL: {0}")]
    Endpoint(#[from] AddressError),
    /// The endpoint has a user or a password.
    #[error("AWS_ENDPOINT_URL: an address has neither user nor password")]
    Credentials,
    /// It is neither yes nor no.
    #[error("AWS_ALLOW_HTTP is 'true' or 'false'")]
    AllowHttp,
    /// Everybody on the way could read and change the backup.
    #[error(
        "AWS_ENDPOINT_URL begins with http://: only with AWS_ALLOW_HTTP=true, as everybody on the way can read the backup"
    )]
    Plain,
    /// The library takes no store of these settings.
    #[error("the settings of the store are refused: {0}")]
    Refused(String),
}

/// The settings of a store.
#[derive(Clone)]
pub struct StoreSettings {
    options: Vec<(AmazonS3ConfigKey, String)>,
    endpoint: Option<Url>,
    /// Whether the endpoint is reached without TLS.
    plain: bool,
    pub(super) retry: RetryConfig,
}

impl fmt::Debug for StoreSettings {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.endpoint.as_ref().map(Url::as_str);
        f.debug_struct("StoreSettings").field("endpoint", &endpoint).finish_non_exhaustive()
    }
}

/// Two variables that belong together, and what the library calls them.
type Pair = [(&'static str, AmazonS3ConfigKey); 2];

const KEYS: Pair = [
    ("AWS_ACCESS_KEY_ID", AmazonS3ConfigKey::AccessKeyId),
    ("AWS_SECRET_ACCESS_KEY", AmazonS3ConfigKey::SecretAccessKey),
];

const IDENTITY: Pair = [
    ("AWS_WEB_IDENTITY_TOKEN_FILE", AmazonS3ConfigKey::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
];

impl StoreSettings {
    /// Reads these variables and no others; an empty one counts as unset.
    ///
    /// # Errors
    /// Something is missing, or is not what it should be.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, StoreSettingsError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let both = |[first, second]: Pair| match (set(first.0), set(second.0)) {
            (Some(one), Some(other)) => Ok(Some(vec![(first.1, one), (second.1, other)])),
            (Some(_), None) => Err(StoreSettingsError::Half { set: first.0, missing: second.0 }),
            (None, Some(_)) => Err(StoreSettingsError::Half { set: second.0, missing: first.0 }),
            (None, None) => Ok(None),
        };
        let mut options = match both(KEYS)? {
            Some(mut keys) => {
                keys.extend(set("AWS_SESSION_TOKEN").map(|token| (AmazonS3ConfigKey::Token, token)));
                keys
            }
            None => both(IDENTITY)?.ok_or(StoreSettingsError::NoCredentials)?,
        };
        let endpoint = set("AWS_ENDPOINT_URL_S3").or_else(|| set("AWS_ENDPOINT_URL"));
        let endpoint = endpoint.map(|text| base(&text)).transpose()?;
        match set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")) {
            Some(region) => options.push((AmazonS3ConfigKey::Region, region)),
            None if endpoint.is_none() => return Err(StoreSettingsError::NoRegion),
            None => {}
        }
        let may_be_plain = match set("AWS_ALLOW_HTTP").map(|word| word.to_ascii_lowercase()).as_deref() {
            None | Some("0" | "false" | "no" | "off") => false,
            Some("1" | "true" | "yes" | "on") => true,
            Some(_) => return Err(StoreSettingsError::AllowHttp),
        };
        if let Some(url) = &endpoint {
            if !url.username().is_empty() || url.password().is_some() {
                return Err(StoreSettingsError::Credentials);
            }
            if url.scheme() == "http" && !may_be_plain {
                return Err(StoreSettingsError::Plain);
            }
            options.push((AmazonS3ConfigKey::Endpoint, url.as_str().trim_end_matches('/').to_owned()));
        }
        // Only an endpoint that says so is talked to in the open.
        let plain = endpoint.as_ref().is_some_and(|url| url.scheme() == "http");
        let backoff = BackoffConfig { init_backoff: PAUSE, max_backoff: LONGEST_PAUSE, base: 3.0 };
        let retry = RetryConfig { backoff, max_retries: TRIES, retry_timeout: RETRY };
        Ok(Self { options, endpoint, plain, retry })
    }

    /// A bucket of this store, which need not be there.
    pub(super) fn bucket(self, name: &str) -> Result<AmazonS3, StoreSettingsError> {
        let builder = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_checksum_algorithm(Checksum::SHA256)
            // Not every store knows how to delete many objects at once.
            .with_disable_bulk_delete(true)
            .with_retry(self.retry)
            .with_client_options(ClientOptions::new().with_allow_http(self.plain))
            .with_http_connector(Connector { endpoint: self.endpoint });
        let builder =
            self.options.into_iter().fold(builder, |builder, (key, value)| builder.with_config(key, value));
        builder.build().map_err(|error| StoreSettingsError::Refused(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "K"), ("AWS_SECRET_ACCESS_KEY", "S")];

    fn read(variables: &[(&str, &str)]) -> Result<StoreSettings, StoreSettingsError> {
        StoreSettings::read(|wanted| {
            variables.iter().rev().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_store_is_named_by_the_environment() {
        let region = ("AWS_REGION", "eu-west-1");
        let found = |more: &[(&str, &str)]| read(&[&KEYS[..], more].concat()).unwrap();
        assert!(!found(&[region]).plain);
        assert_eq!(found(&[region]).endpoint, None);
        assert_eq!(found(&[("AWS_DEFAULT_REGION", "a"), region]).options.last().unwrap().1, "eu-west-1");
        let token = found(&[region, ("AWS_SESSION_TOKEN", "T")]);
        assert!(token.options.contains(&(AmazonS3ConfigKey::Token, "T".into())));
        let own = found(&[("AWS_ENDPOINT_URL", "https://store.example:9000/")]);
        assert!(own.options.contains(&(AmazonS3ConfigKey::Endpoint, "https://store.example:9000".into())));
        let plain = ("AWS_ALLOW_HTTP", "true");
        assert!(found(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"), plain]).plain);
        assert!(found(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"), ("AWS_ALLOW_HTTP", "Yes")]).plain);
        assert!(
            !found(&[("AWS_ENDPOINT_URL", "https://store.example"), plain]).plain,
            "only what says http://"
        );
        assert!(!found(&[region, plain]).plain);
        let both = found(&[("AWS_ENDPOINT_URL", "https://a"), ("AWS_ENDPOINT_URL_S3", "https://b")]);
        assert_eq!(both.endpoint.unwrap().as_str(), "https://b/");
        let identity =
            [("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"), ("AWS_ROLE_ARN", "arn:aws:iam::1:role/a"), region];
        assert!(read(&identity).unwrap().bucket("shop").is_ok());
    }

    #[test]
    fn settings_that_cannot_be_used_are_told_without_their_values() {
        let region = ("AWS_REGION", "eu-west-1");
        let half = |set, missing| StoreSettingsError::Half { set, missing };
        for (variables, wrong) in [
            (&[region][..], StoreSettingsError::NoCredentials),
            (&[KEYS[0], region], half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
            (&[KEYS[1], region], half("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")),
            (&[KEYS[0], ("AWS_SECRET_ACCESS_KEY", "")], half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
            (&[("AWS_ROLE_ARN", "a"), region], half("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE")),
            (&[KEYS[0], KEYS[1]], StoreSettingsError::NoRegion),
            (&[KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", "")], StoreSettingsError::NoRegion),
            (
                &[KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", "a:1")],
                StoreSettingsError::Endpoint(AddressError::Scheme),
            ),
            (&[KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", "https://a:b@c")], StoreSettingsError::Credentials),
            (&[KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", "http://a")], StoreSettingsError::Plain),
            (
                &[KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", "http://a"), ("AWS_ALLOW_HTTP", "false")],
                StoreSettingsError::Plain,
            ),
            (&[KEYS[0], KEYS[1], region, ("AWS_ALLOW_HTTP", "maybe")], StoreSettingsError::AllowHttp),
        ] {
            assert_eq!(read(variables).unwrap_err(), wrong, "{variables:?}");
        }
    }
}
