//! What is said where a store cannot be used.

use crate::output;
use crate::program::kbnt;
use crate::store::{BUCKET, KEY, Store};

/// A token as a service that hands out credentials gives it.
const TOKEN: &str = "the-token-of-the-tests";

/// A place, what is set for it, and what is said.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

#[tokio::test]
#[ignore = "starts an object store"]
async fn a_store_that_cannot_be_used_is_told_with_the_reason_and_without_secrets() {
    let (store, directory) = (Store::start(), tempfile::tempdir().unwrap());
    let log = directory.path().join("log");
    drop(kbnt_embedded::EmbeddedLog::open(&log).unwrap());
    let whole = format!("s3://{BUCKET}/place");
    let nobody = "http://127.0.0.1:1";
    let table: [Row<'_>; 10] = [
        (&whole, &[("AWS_ACCESS_KEY_ID", "somebody-else")], "the store refuses (XAdminUserNotFound)"),
        (&whole, &[("AWS_SECRET_ACCESS_KEY", "another-secret")], "does not take these credentials"),
        (&whole, &[("AWS_SESSION_TOKEN", TOKEN)], "does not take these credentials"),
        (
            &whole,
            &[("AWS_SECRET_ACCESS_KEY", "")],
            "AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not",
        ),
        (&whole, &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")], "no credentials for the store"),
        (&whole, &[("AWS_ALLOW_HTTP", "")], "only with AWS_ALLOW_HTTP=true"),
        (&whole, &[("AWS_REGION", "eu-west-7")], "in another region"),
        (&whole, &[("AWS_ENDPOINT_URL", nobody)], "cannot be reached"),
        (&whole, &[("AWS_ENDPOINT_URL", "")], "AWS_REGION is not set"),
        ("s3://no-such-bucket/place", &[], "there is no such bucket"),
    ];
    let tried = table.into_iter().map(|(place, variables, why)| {
        let commands = [
            kbnt(&["backup", "--to", place, "--data-dir", log.to_str().unwrap()]),
            kbnt(&["restore", "--from", place, "--dry-run"]),
        ];
        let variables = store
            .variables()
            .into_iter()
            .chain(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let variables: Vec<(&str, String)> = variables.collect();
        async move {
            for mut command in commands {
                command.envs(variables.iter().map(|(name, value)| (name, value)));
                let output = output(command).await;
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert_eq!(output.status.code(), Some(1), "{said}");
                assert!(said.contains(why), "{said}");
                for secret in [TOKEN, "another-secret", KEY] {
                    assert!(!said.contains(secret), "{said}");
                }
            }
        }
    });
    // Together, as one of them waits whether the store comes back.
    futures::future::join_all(tried).await;
    assert!(store.objects("").is_empty(), "nothing was written");
}

#[tokio::test]
#[ignore = "starts an object store"]
async fn a_bucket_without_a_backup_is_told() {
    let store = Store::start();
    let mut command = kbnt(&["restore", "--from", &format!("s3://{BUCKET}/nothing"), "--dry-run"]);
    command.envs(store.variables());
    let output = output(command).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1) && said.contains("there is no complete backup in s3://"),
        "{said}"
    );
}
