//! Query and path parameters: only known ones, each at most once. Errors name the parameter.

use std::str::FromStr;
use std::time::Duration;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::problem::{Code, FieldError, Problem};

/// The longest time that a request may ask to wait.
pub(super) const WAIT_MOST: Duration = Duration::from_mins(1);

/// The query's parameters by name, not parsed yet.
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
    /// Refuses parameters that are not in `known`, or are repeated.
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

    /// The cursor of a list. An empty one means the first page, so that a client need not omit it.
    pub(super) fn cursor<T: FromStr<Err: ToString>>(&self) -> Result<Option<T>, Problem> {
        if self.text("cursor") == Some("") { Ok(None) } else { self.get("cursor") }
    }

    /// The parameter as a `T`.
    pub(super) fn get<T: FromStr<Err: ToString>>(&self, name: &str) -> Result<Option<T>, Problem> {
        self.text(name)
            .map(|text| text.parse().map_err(|error: T::Err| Problem::field(name, error.to_string())))
            .transpose()
    }

    /// The number `name`, at most `most`, or `default`.
    pub(super) fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, Problem> {
        match self.text(name).map(digits_only) {
            None => Ok(default),
            Some(Some(number)) if (1..=most).contains(&number) => Ok(number),
            Some(_) => Err(Problem::field(name, format!("a number from 1 to {most}"))),
        }
    }

    /// How long to wait: `wait`, such as `10s` or `500ms`, at most a minute.
    pub(super) fn wait(&self) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.text("wait") else { return Ok(None) };
        match wait(text) {
            Some(wait) => Ok(Some(wait)),
            None => Err(Problem::field("wait", "a time such as 10s or 500ms, at most 60s")),
        }
    }
}

/// Parses `500ms`, `10s` or `1m`: one whole number and its unit, as in the API's description.
fn wait(text: &str) -> Option<Duration> {
    if text == "1m" {
        return Some(WAIT_MOST);
    }
    let (digits, unit, free) = match text.strip_suffix("ms") {
        // Up to this many digits are free; more must not begin with 0.
        Some(digits) => (digits, Duration::from_millis(1), 4),
        None => (text.strip_suffix('s')?, Duration::from_secs(1), 1),
    };
    let spare = digits.len() > free && digits.starts_with('0') || digits.len() > free + 1;
    let count: u32 = digits_only(digits).filter(|_| !spare)?;
    Some(unit * count).filter(|wait| *wait <= WAIT_MOST)
}

/// Accepts digits only: Rust would also accept `+5`.
fn digits_only<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// An id that is a UUID in the hyphenated form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hyphenated<T>(pub(super) T);

/// The length of that form; every other form of a UUID is shorter or longer.
const HYPHENATED: usize = 36;

impl<T: FromStr<Err: ToString>> FromStr for Hyphenated<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() != HYPHENATED {
            return Err("a UUID such as a20b627e-395e-5afd-9e03-592b347bd70f".to_owned());
        }
        text.parse().map(Self).map_err(|error: T::Err| error.to_string())
    }
}

/// The only path parameter, as a `T`.
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

/// The header `name` as a `T`; refused if it is repeated or malformed.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_one_number_and_its_unit() {
        for (text, millis) in
            [("0s", 0), ("10s", 10_000), ("60s", 60_000), ("1m", 60_000), ("500ms", 500), ("60000ms", 60_000)]
        {
            assert_eq!(wait(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "1",
            "s",
            "ms",
            "1 s",
            "1.5s",
            "1min",
            "1s1s",
            "10000000000ns",
            "61s",
            "60001ms",
            "2m",
            "+1s",
            "-1s",
            "01s",
            "00042ms",
            "1S",
            "1h",
            "\u{661}s",
        ] {
            assert_eq!(wait(text), None, "{text}");
        }
    }
}
