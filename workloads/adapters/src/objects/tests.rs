//! Places in a store that answers as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use kbnt_application::ports::ErrorClass;
use object_store::{BackoffConfig, RetryConfig};

use super::address::BucketAddress;
use super::place::Created;
use super::{Place, PlaceError, StoreSettings, numbered};
use crate::{backup, checkpoints};

const SECRET: &str = "wJalrXUtnFEMIK7MDENG";
const TOKEN: &str = "FwoGZXIvYXdzEBYaD";

fn variable(endpoint: &str) -> impl Fn(&str) -> Option<String> {
    move |name| {
        let value = match name {
            "AWS_ACCESS_KEY_ID" => "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY" => SECRET,
            "AWS_SESSION_TOKEN" => TOKEN,
            "AWS_REGION" => "eu-west-1",
            "AWS_ENDPOINT_URL" => endpoint,
            "AWS_ALLOW_HTTP" => "true",
            _ => return None,
        };
        Some(value.to_owned())
    }
}

/// A place in the store at this address, which is not waited for.
fn place(endpoint: &str) -> Place {
    let address = BucketAddress { bucket: "shop".into(), prefix: "a/b".into() };
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(2),
        base: 2.0,
    };
    let retry = RetryConfig { backoff, max_retries: 3, retry_timeout: Duration::from_secs(20) };
    let mut settings = StoreSettings::read(variable(endpoint)).unwrap();
    settings.retry = retry;
    Place::in_bucket(&address, settings).unwrap()
}

/// A store that answers every request so; returns its address.
async fn store<R: IntoResponse + 'static>(
    answer: impl Fn(Method, Bytes) -> R + Clone + Send + Sync + 'static,
) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(move |method: Method, body: Bytes| {
        let answer = answer(method, body).into_response();
        async { answer }
    });
    tokio::spawn(async { axum::serve(listener, app).await });
    format!("http://{address}")
}

#[tokio::test]
async fn each_refusal_has_its_words_and_its_class_and_repeats_no_secret() {
    use ErrorClass::{Permanent, Transient, Waiting};
    for (status, code, class, said, requests) in [
        (404, "NoSuchBucket", Waiting, "there is no such bucket", 1),
        (403, "AccessDenied", Permanent, "access is denied", 1),
        (403, "", Permanent, "access is denied", 1),
        (403, "InvalidAccessKeyId", Permanent, "does not take these credentials", 1),
        (404, "InvalidAccessKeyId", Permanent, "does not take these credentials", 1),
        (403, "SignatureDoesNotMatch", Permanent, "does not take these credentials", 1),
        (400, "ExpiredToken", Permanent, "does not take these credentials", 1),
        (401, "", Permanent, "does not take these credentials", 1),
        (403, "RequestTimeTooSkewed", Waiting, "too far apart", 1),
        (301, "PermanentRedirect", Permanent, "another region, eu-central-1:", 1),
        (400, "AuthorizationHeaderMalformed", Permanent, "another region, eu-central-1:", 1),
        (307, "TemporaryRedirect", Permanent, "another region", 1),
        (503, "SlowDown", Transient, "asks for patience (SlowDown)", 4),
        (429, "", Transient, "asks for patience (429)", 4),
        (500, "InternalError", Transient, "the store fails (InternalError)", 4),
        (502, "", Transient, "the store fails (502)", 4),
        (501, "NotImplemented", Permanent, "cannot do what a backup needs", 1),
        (400, "InvalidRequest", Permanent, "the store refuses (InvalidRequest)", 1),
    ] {
        let asked = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asked);
        let endpoint = store(move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            // As AWS answers a wrong signature: with all that was signed, the token included.
            let document = format!(
                "<Error><Code>{code}</Code><CanonicalRequest>x-amz-security-token:{TOKEN} {SECRET}</CanonicalRequest></Error>"
            );
            (StatusCode::from_u16(status).unwrap(), [("x-amz-bucket-region", "eu-central-1")], document)
        })
        .await;
        let place = place(&endpoint);
        let errors = [
            place.list("runs", ".json").await.unwrap_err(),
            place.folders("runs").await.unwrap_err(),
            place.get("backup.json").await.unwrap_err(),
            place.create_object("backup.json", vec![1]).await.unwrap_err(),
        ];
        for error in errors {
            let text = error.to_string();
            assert!(text.contains(said) && text.starts_with("s3://shop/a/b/"), "{status} {code}: {text}");
            assert_eq!(error.class(), class, "{status} {code}: {text}");
            for shown in [text, format!("{error:?} {place:?}")] {
                assert!(!shown.contains(SECRET) && !shown.contains(TOKEN), "{shown}");
            }
        }
        assert_eq!(asked.load(Ordering::SeqCst), 4 * requests, "{status} {code}");
    }
    let settings = StoreSettings::read(variable("http://127.0.0.1:1")).unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains(SECRET) && !shown.contains(TOKEN) && shown.contains("127.0.0.1"), "{shown}");
}

#[tokio::test]
async fn a_store_that_is_away_is_waited_for() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = place(&format!("http://{free}")).get("backup.json").await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
    assert!(error.to_string().contains("the store cannot be reached: "), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_store_that_knows_no_condition_is_refused() {
    let endpoint = store(|method, _| match method {
        Method::PUT => ([("etag", "\"1\"")], "").into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
    .await;
    let refused = place(&endpoint).prepare(&backup::MARK).await.unwrap_err();
    assert!(matches!(refused, PlaceError::Overwrites(_)), "{refused}");
    assert_eq!(refused.class(), ErrorClass::Permanent);
}

#[tokio::test]
async fn an_object_whose_answer_was_lost_counts_as_written() {
    // The first request is carried out, and its answer lost; so the second finds the object of the first.
    for (there, created) in [("mine", Created::Before), ("another's", Created::Other)] {
        let endpoint = store(move |method, _| match method {
            Method::GET => ([("etag", "\"1\""), ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")], there)
                .into_response(),
            _ => (StatusCode::PRECONDITION_FAILED, "").into_response(),
        })
        .await;
        assert_eq!(place(&endpoint).create_object("a", b"mine".to_vec()).await.unwrap(), created);
    }
    // Somebody else is writing it, and may not finish.
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let endpoint = store(move |method, _| match (method, counted.fetch_add(1, Ordering::SeqCst)) {
        (Method::GET, _) => (StatusCode::NOT_FOUND, "<Code>NoSuchKey</Code>").into_response(),
        (_, 0) => (StatusCode::CONFLICT, "<Code>ConditionalRequestConflict</Code>").into_response(),
        _ => ([("etag", "\"1\"")], "").into_response(),
    })
    .await;
    assert_eq!(place(&endpoint).create_object("a", b"mine".to_vec()).await.unwrap(), Created::Yes);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_long_list_is_read_page_by_page() {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let endpoint = store(move |_, _| {
        let page = counted.fetch_add(1, Ordering::SeqCst);
        let object = format!(
            "<Contents><Key>a/b/runs/{page}.json</Key><Size>1</Size><ETag>1</ETag>\
             <LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        );
        let more = if page < 3 { "<NextContinuationToken>next</NextContinuationToken>" } else { "" };
        format!("<ListBucketResult>{object}{more}</ListBucketResult>")
    })
    .await;
    let listed = place(&endpoint).list("runs", ".json").await.unwrap();
    assert_eq!(listed, ["0", "1", "2", "3"].map(|name| (name.to_owned(), 1)));
}

#[tokio::test]
async fn the_newest_are_found_in_the_last_folders_that_have_one() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::create(directory.path()).unwrap();
    assert!(place.newest_numbers("runs", 1).await.unwrap().is_empty());
    let mut all = Vec::new();
    for number in [1, 2, 999, 1_000, 1_001, 2_345_678] {
        place.create_object(&numbered("runs", number), Vec::new()).await.unwrap();
        all.insert(0, number);
        assert_eq!(place.newest_numbers("runs", 1).await.unwrap(), [number]);
        assert_eq!(place.newest_numbers("runs", 9).await.unwrap(), all);
    }
    assert!(directory.path().join("runs/000002345/000002345678.json").exists());
    std::fs::create_dir(directory.path().join("runs/000009999")).unwrap();
    std::fs::create_dir(directory.path().join("runs/of somebody else")).unwrap();
    std::fs::write(directory.path().join("runs/000002345/9.json"), "").unwrap();
    std::fs::write(directory.path().join("runs/000002345/000009999999.json"), "").unwrap();
    assert_eq!(place.newest_numbers("runs", 3).await.unwrap(), [2_345_678, 1_001, 1_000]);
}

#[tokio::test]
async fn a_place_of_one_kind_is_none_of_another() {
    for (mine, other) in [(&backup::MARK, &checkpoints::MARK), (&checkpoints::MARK, &backup::MARK)] {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::create(directory.path()).unwrap();
        assert!(place.is_marked(mine).await.unwrap_err().is_missing());
        for _ in 0..2 {
            place.prepare(mine).await.unwrap();
            place.is_marked(mine).await.unwrap();
        }
        let refused = [place.prepare(other).await, place.is_marked(other).await];
        for refused in refused.map(Result::unwrap_err) {
            let (found, wanted) = (mine.of, other.of);
            let says = format!("is a place of {found}, and cannot be one of {wanted}, too: take another one");
            assert!(refused.to_string().ends_with(&says), "{refused}");
            assert_eq!(refused.class(), ErrorClass::Permanent);
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing was written");
        std::fs::write(directory.path().join(mine.object), "{}").unwrap();
        let refused = place.prepare(mine).await.unwrap_err().to_string();
        assert!(refused.ends_with(&format!("is damaged: it is not that of {}", mine.of)), "{refused}");
    }
}

#[tokio::test]
async fn what_a_killed_writer_left_is_removed_once_it_is_stale() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::create(directory.path()).unwrap();
    place.sweep("a", |_| true).unwrap();
    std::fs::create_dir(directory.path().join("a")).unwrap();
    for name in ["1", "1#1", "1#22", "2#1", "1#x", "#"] {
        std::fs::write(directory.path().join("a").join(name), "").unwrap();
    }
    place.sweep("a", |object| object == "1").unwrap();
    let entries = std::fs::read_dir(directory.path().join("a")).unwrap();
    let mut left: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["#", "1", "1#x", "2#1"]);
}

#[tokio::test]
async fn an_object_is_deleted_once_and_can_be_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::create(directory.path()).unwrap();
    assert_eq!(place.create_object("a/b", b"one".to_vec()).await.unwrap(), Created::Yes);
    assert!(place.has("a/b", &b"one".to_vec().into()).await.unwrap());
    for other in ["on", "onf", "ones"] {
        assert!(!place.has("a/b", &other.into()).await.unwrap(), "{other}");
    }
    assert!(place.get_up_to("a/b", 2).await.unwrap_err().to_string().contains("3 bytes are more than any"));
    for _ in 0..2 {
        place.delete("a/b").await.unwrap();
    }
    assert!(place.get("a/b").await.unwrap_err().is_missing());
    assert_eq!(place.create_object("a/b", b"two".to_vec()).await.unwrap(), Created::Yes);
}
