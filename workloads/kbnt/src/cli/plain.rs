//! Errors about a command line with characters that could control the terminal.

use clap::error::{ContextKind, ContextValue};

use crate::output::{is_plain, plain};

/// The error in plain characters and without colours; `None` if nothing needs escaping.
pub(super) fn of(error: &mut clap::Error) -> Option<String> {
    let named: Vec<(ContextKind, ContextValue)> = error.context().filter_map(escaped).collect();
    let reason = std::error::Error::source(error).map(ToString::to_string);
    if named.is_empty() && reason.is_none_or(|reason| is_harmless(&reason)) {
        return None;
    }
    for (kind, value) in named {
        error.insert(kind, value);
    }
    let said = error.render().to_string();
    Some(said.lines().map(|line| plain(line) + "\n").collect())
}

/// The given value, if it has to be escaped.
fn escaped((kind, value): (ContextKind, &ContextValue)) -> Option<(ContextKind, ContextValue)> {
    let value = match value {
        ContextValue::String(text) if !is_harmless(text) => ContextValue::String(plain(text)),
        ContextValue::Strings(texts) if !texts.iter().all(|text| is_harmless(text)) => {
            ContextValue::Strings(texts.iter().map(|text| plain(text)).collect())
        }
        _ => return None,
    };
    Some((kind, value))
}

fn is_harmless(text: &str) -> bool {
    text.chars().all(is_plain)
}
