//! Query and path parameters: only known ones, each at most once, with the name told where one is wrong.

use std::str::FromStr;
use std::time::Duration;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::problem::{Code, FieldError, Problem};

/// The longest time that a request may ask to wait.
pub(super) const WAIT_MOST: Duration = Duration::from_mins(1);

/// The query's parameters by name, undecided what they mean.
#[derive(Clone, Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }
}

impl Params {
    /// Refuses parameters that are not among `known`, or stand twice.
    pub(super) fn only(self, known: &[&str]) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        for (index, (name, _)) in self.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let message = format!("unknown parameter; known here: {}", known.join(", "));
                errors.push(FieldError::new(name, message));
            } else if self.0[..index].iter().any(|(earlier, _)| earlier == name) {
                errors.push(FieldError::new(name, "given twice"));
            }
        }
        if errors.is_empty() { Ok(self) } else { Err(Problem::fields(errors)) }
    }

    /// The parameter as it was given.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The cursor of a list; an empty one begins with the first page, so that a client need not leave it out.
    pub(super) fn cursor<T: FromStr<Err: ToString>>(&self) -> Result<Option<T>, Problem> {
        if self.text("cursor") == Some("") { Ok(None) } else { self.get("cursor") }
    }

    /// The parameter as a `T`.
    pub(super) fn get<T: FromStr<Err: ToString>>(&self, name: &str) -> Result<Option<T>, Problem> {
        self.text(name)
            .map(|text| text.parse().map_err(|error: T::Err| Problem::field(name, error.to_string())))
            .transpose()
    }

    /// The number `name` in `range`, or `default`.
    pub(super) fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, Problem> {
        match self.text(name).map(str::parse) {
            None => Ok(default),
            Some(Ok(number)) if (1..=most).contains(&number) => Ok(number),
            Some(_) => Err(Problem::field(name, format!("a number from 1 to {most}"))),
        }
    }

    /// How long to wait: `wait`, such as `10s` or `500ms`, at most a minute.
    pub(super) fn wait(&self) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.text("wait") else { return Ok(None) };
        // A bare 0 would be taken for a time.
        let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
        match humantime::parse_duration(text) {
            Ok(wait) if wait <= WAIT_MOST && has_unit => Ok(Some(wait)),
            _ => Err(Problem::field("wait", "a time such as 10s or 500ms, at most 60s")),
        }
    }
}

/// The one parameter of the path, as a `T`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Id<T>(pub(super) T);

impl<S, T> FromRequestParts<S> for Id<T>
where
    S: Send + Sync,
    T: FromStr<Err: ToString>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::field("path", "the path is not valid UTF-8"))?;
        let Some((name, text)) = params.iter().next() else {
            return Err(Problem::new(Code::NotFound, "the path names nothing"));
        };
        text.parse().map(Self).map_err(|error: T::Err| Problem::field(name, error.to_string()))
    }
}

/// The header `name` as a `T`; given twice or malformed it is refused.
pub(super) fn header<T: FromStr<Err: ToString>>(
    headers: &HeaderMap,
    name: &str,
) -> Result<Option<T>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::field(name, "given twice"));
    }
    let text = value.to_str().map_err(|_| Problem::field(name, "not plain text"))?;
    text.parse().map(Some).map_err(|error: T::Err| Problem::field(name, error.to_string()))
}
