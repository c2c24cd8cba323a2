//! Which lines are written.

use std::str::FromStr;

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// A filter that lets through what its writer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

/// A filter that would say nothing, or something else than its writer means.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidFilter {
    /// A word that is no level.
    #[error(
        "{0:?} is no level: write off, error, warn, info, debug or trace, or TARGET=LEVEL for a part of the program"
    )]
    Level(String),
    /// No directive at all.
    #[error("it is empty: write a level such as info")]
    Empty,
    /// Something else.
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

    /// Reads directives with commas between: a level for everything, or `TARGET=LEVEL`. A name alone would be taken for a
    /// target and let through nothing else, so a level that is misspelt would be silence.
    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        let directives: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if directives.is_empty() {
            return Err(InvalidFilter::Empty);
        }
        // Fields of spans may have commas of their own.
        let text = if text.contains('[') {
            text.to_owned()
        } else {
            directives.into_iter().map(directive).collect::<Result<Vec<_>, _>>()?.join(",")
        };
        match EnvFilter::try_new(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(InvalidFilter::Malformed(error.to_string())),
        }
    }
}

fn directive(text: &str) -> Result<String, InvalidFilter> {
    let (target, level) = match text.split_once('=') {
        Some((target, level)) => (Some(target.trim()), level.trim()),
        None => (None, text),
    };
    let level = if level.eq_ignore_ascii_case("warning") { "warn" } else { level };
    if level.is_empty() || level.parse::<LevelFilter>().is_err() {
        return Err(InvalidFilter::Level(level.to_owned()));
    }
    match target {
        Some("") => Err(InvalidFilter::Malformed(format!("{text:?} names no target"))),
        Some(target) => Ok(format!("{target}={level}")),
        None => Ok(level.to_owned()),
    }
}

impl Filter {
    pub(super) fn build(&self) -> EnvFilter {
        // It was tried when it was read.
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
            "kbnt_infrastructure",
            "info,loud",
            "kbnt_infrastructure=loud",
            "x=",
            "=info",
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
            ("warn, kbnt_infrastructure=debug,", "warn,kbnt_infrastructure=debug"),
            ("hyper=Warning", "hyper=warn"),
            ("info,[service{service=audit-service}]=debug", "info,[service{service=audit-service}]=debug"),
        ] {
            assert_eq!(text.parse::<Filter>(), Ok(Filter(means.to_owned())), "{text}");
        }
    }
}
