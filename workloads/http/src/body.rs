//! Request bodies: JSON of at most 1 MiB. Errors name the field.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::problem::{Code, Problem};

/// The largest body that is read, in bytes.
pub const BODY_MOST: usize = 1 << 20;

/// How long a body may take to arrive.
pub(super) const BODY_WAIT: Duration = Duration::from_secs(20);

/// A JSON body of type `T`.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        check_plain(request.headers())?;
        if !is_json(request.headers()) {
            let detail = "send the body with content-type: application/json";
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        check_length(request.headers())?;
        let limited = Limited::new(request.into_body(), BODY_MOST);
        let bytes = tokio::time::timeout(BODY_WAIT, limited.collect())
            .await
            .map_err(|_| late())?
            .map_err(|error| {
                if error.is::<LengthLimitError>() {
                    too_large()
                } else {
                    Problem::field("body", "the body broke off")
                }
            })?
            .to_bytes();
        parse(&bytes).map(Self)
    }
}

pub(super) fn late() -> Problem {
    Problem::new(Code::RequestTimeout, "the body did not arrive within 20 s")
}

fn too_large() -> Problem {
    Problem::new(Code::BodyTooLarge, format!("a body has at most {BODY_MOST} bytes"))
}

/// Refuses a body whose declared length is too large before reading any of it: a client that waits for a
/// `100 Continue` need not send it.
pub(super) fn check_length(headers: &HeaderMap) -> Result<(), Problem> {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > BODY_MOST as u64) { Err(too_large()) } else { Ok(()) }
}

/// Refuses a compressed body: decompression would need a limit of its own.
fn check_plain(headers: &HeaderMap) -> Result<(), Problem> {
    let identity = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().all(identity) {
        return Ok(());
    }
    Err(Problem::new(Code::UnsupportedMediaType, "send the body as it is, without a content-encoding"))
}

/// Whether the body is declared as JSON, `application/json` or `application/*+json`, in UTF-8.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Ok(value) = value.to_str() else { return false };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let json =
        essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json");
    json && parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let charset = value.trim().trim_matches('"').trim();
            charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
        }
        _ => true,
    })
}

/// The byte order mark that some programs put before UTF-8; RFC 8259 lets a reader ignore it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads `bytes`, which must be one JSON document and nothing else.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, message) = (error.path().to_string(), error.inner().to_string());
        let field = match (path.as_str(), named_field(&message)) {
            // The document is incomplete, or not JSON: no field is at fault.
            _ if !error.inner().is_data() => "body".to_owned(),
            (".", Some(Named::Unknown(name) | Named::Within(name))) => name,
            (".", None) => "body".to_owned(),
            (path, Some(Named::Within(name))) => format!("{path}.{name}"),
            // The path of an unknown field already ends with its name.
            (path, Some(Named::Unknown(_)) | None) => path.to_owned(),
        };
        Problem::field(field, message)
    })?;
    json.end().map_err(|error| Problem::field("body", error.to_string()))?;
    Ok(value)
}

/// A field that serde's message names.
enum Named {
    /// An unknown field.
    Unknown(String),
    /// A field of the object at the path that is missing, or given twice.
    Within(String),
}

/// The field that serde's message names, if any.
fn named_field(message: &str) -> Option<Named> {
    let name = |prefix| Some(message.strip_prefix(prefix)?.split_once('`')?.0.to_owned());
    let within = || name("missing field `").or_else(|| name("duplicate field `")).map(Named::Within);
    name("unknown field `").map(Named::Unknown).or_else(within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Outer {
        name: String,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Inner {
        count: u64,
    }

    fn field_of(json: &str) -> String {
        let problem = parse::<Outer>(json.as_bytes()).expect_err(json);
        problem.errors()[0].field.clone()
    }

    #[test]
    fn the_wrong_field_is_named() {
        for (json, field) in [
            ("", "body"),
            ("[", "body"),
            (r#"{"name":"a""#, "body"),
            (r#"{"name":"a","#, "body"),
            (r#"{"name":"a","inner":[{"count":1"#, "body"),
            (r#"{"name":"a","inner":[{"count":}]}"#, "body"),
            ("{}", "name"),
            (r#"{"name":1}"#, "name"),
            (r#"{"name":"a","name":"b"}"#, "name"),
            (r#"{"name":"a","colour":1}"#, "colour"),
            (r#"{"name":"a","inner":[{"count":1},{"count":-1}]}"#, "inner[1].count"),
            (r#"{"name":"a","inner":[{"count":1,"x":2}]}"#, "inner[0].x"),
            (r#"{"name":"a","inner":[{}]}"#, "inner[0].count"),
            (r#"{"name":"a","inner":[{"count":1,"count":1}]}"#, "inner[0].count"),
            (r#"{"name":"a"} {}"#, "body"),
        ] {
            assert_eq!(field_of(json), field, "{json}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_once() {
        assert!(parse::<Outer>(b"\xef\xbb\xbf{\"name\":\"a\"}").is_ok());
        assert_eq!(field_of("\u{feff}\u{feff}{\"name\":\"a\"}"), "body");
    }

    #[test]
    fn only_json_in_utf_8_is_json() {
        for (value, json) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/vnd.kbnt+json", true),
            ("application/json; charset=utf8", true),
            ("application/json;charset=\"UTF8\"", true),
            ("application/json; charset=latin1", false),
            ("application/json; charset = latin1", false),
            ("application/json ; charset = utf-8", true),
            ("application/json; charset =\t\"latin1\"", false),
            ("text/json", false),
            ("application/x-www-form-urlencoded", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(is_json(&headers), json, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
        for second in ["text/plain", "application/json"] {
            let mut headers = HeaderMap::new();
            headers.append(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.append(header::CONTENT_TYPE, HeaderValue::from_static(second));
            assert!(!is_json(&headers), "{second}");
        }
    }
}
