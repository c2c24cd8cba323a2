//! Validates log filters.

use std::str::FromStr;

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// A valid log filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

/// A filter that would be silent, or would not do what its author means.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidFilter {
    /// A word that is not a level.
    #[error(
        "{0:?} is no level: write off, error, warn, info, debug or trace, or TARGET=LEVEL for a part of the program"
    )]
    Level(String),
    /// It has no directive.
    #[error("it is empty: write a level such as info")]
    Empty,
    /// Any other error.
    #[error("{0}")]
    Malformed(String),
}

impl Default for Filter {
    /// `info`.
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for Filter {
    type Err = InvalidFilter;

    /// Parses directives with commas between: a level for everything, or `TARGET=LEVEL`. A name alone would
    /// be taken for a target and exclude everything else, so a misspelt level would mean silence.
    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        let parts = parts(text)?;
        let directives: Vec<&str> =
            parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect();
        if directives.is_empty() {
            return Err(InvalidFilter::Empty);
        }
        let text = directives.into_iter().map(directive).collect::<Result<Vec<_>, _>>()?.join(",");
        match EnvFilter::try_new(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(InvalidFilter::Malformed(error.to_string())),
        }
    }
}

/// Splits at commas, except those in the brackets of spans and their fields.
fn parts(text: &str) -> Result<Vec<&str>, InvalidFilter> {
    let unbalanced = || InvalidFilter::Malformed(format!("{text:?} has a bracket without its counterpart"));
    let (mut open, mut start, mut parts) = (Vec::new(), 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '[' => open.push(']'),
            '{' => open.push('}'),
            ']' | '}' if open.pop() != Some(c) => return Err(unbalanced()),
            ',' if open.is_empty() => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    if open.is_empty() { Ok(parts) } else { Err(unbalanced()) }
}

/// A level, or a level for a target, for a span in brackets, or for both.
fn directive(text: &str) -> Result<String, InvalidFilter> {
    // Fields of spans may contain this sign, too.
    let spans = text.rfind(']').map_or(0, |end| end + 1);
    let (target, level) = match text[spans..].find('=').map(|sign| text.split_at(spans + sign)) {
        Some((target, level)) => (Some(target.trim()), level[1..].trim()),
        None if spans > 0 => return Err(InvalidFilter::Level(text.to_owned())),
        None => (None, text),
    };
    let level = if level.eq_ignore_ascii_case("warning") { "warn" } else { level };
    if level.is_empty() || level.parse::<LevelFilter>().is_err() {
        return Err(InvalidFilter::Level(level.to_owned()));
    }
    let Some(target) = target else { return Ok(level.to_owned()) };
    let names = target.split('[').next().unwrap_or_default();
    let behind = target.rfind(']').map_or("", |end| &target[end + 1..]);
    if target.is_empty() || names.contains(char::is_whitespace) || !behind.is_empty() {
        return Err(InvalidFilter::Malformed(format!("{text:?} names no target")));
    }
    Ok(format!("{target}={level}"))
}

impl Filter {
    pub(super) fn build(&self) -> EnvFilter {
        // It was validated when it was parsed.
        EnvFilter::try_new(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_silence_everything_is_refused() {
        for text in [
            "loud",
            "debgu",
            "warnings",
            "kbnt_kafka",
            "info,loud",
            "kbnt_kafka=loud",
            "x=",
            "=info",
            "[foo]",
            "kbnt[foo]",
            "infoo,[a]=debug",
            "debgu,[a]=info",
            "info,[a]=loud",
            "[a]debug",
            "[a]x=debug",
            "[a=debug",
            "a]=debug",
            "[{a]}=debug",
            "kbnt infra=debug",
            "kbnt infra[a]=debug",
            "info,[a{b=1,c=2}]=debug",
        ] {
            assert!(text.parse::<Filter>().is_err(), "{text}");
        }
        for text in ["", " ", ","] {
            assert_eq!(text.parse::<Filter>(), Err(InvalidFilter::Empty));
        }
    }

    #[test]
    fn levels_and_targets_are_taken_as_people_write_them() {
        for (text, means) in [
            ("info", "info"),
            ("warning", "warn"),
            ("WARNING", "warn"),
            ("off", "off"),
            ("warn, kbnt_kafka=debug,", "warn,kbnt_kafka=debug"),
            ("hyper=Warning", "hyper=warn"),
            ("info,[service{service=audit-service}]=debug", "info,[service{service=audit-service}]=debug"),
            ("warning, kbnt[a{b=1}] = Warning", "warn,kbnt[a{b=1}]=warn"),
        ] {
            assert_eq!(text.parse::<Filter>(), Ok(Filter(means.to_owned())), "{text}");
        }
    }
}
