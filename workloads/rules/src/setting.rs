//! What numbers and variables may be that resources hand on to the program.

/// The most units that can be received of one product, and the highest threshold: what JSON readers keep exact.
pub const UNITS_MOST: u64 = 1 << 53;
/// CEL: a threshold below which stock is low.
pub const THRESHOLD: &str = "self >= 0 && self <= 9007199254740992";
/// What [`THRESHOLD`] asks for.
pub const THRESHOLD_ADVICE: &str =
    "lowStockThreshold is a number of units: it cannot be negative, nor above 9,007,199,254,740,992";

/// What [`is_log_filter`] asks for.
pub const LOG_FILTER_ADVICE: &str = "KBNT_LOG must be a level (off, error, warn, info, debug or trace), or levels by part of the program such as warn,kbnt_kafka=debug";
/// How log lines can be written.
pub const LOG_FORMATS: [&str; 3] = ["auto", "json", "text"];
/// What [`LOG_FORMATS`] asks for.
pub const LOG_FORMAT_ADVICE: &str = "KBNT_LOG_FORMAT must be auto, json or text";

/// Whether the text is a filter of log lines: levels with commas between, each for everything or for a part of the program.
/// What is said of spans, in brackets, is not looked at.
pub fn is_log_filter(text: &str) -> bool {
    let in_target = |character: char| character.is_alphanumeric() || matches!(character, '_' | ':' | '-');
    let is_directive = |text: &str| match text.split_once('=') {
        Some((target, level)) => {
            let target = target.trim();
            !target.is_empty() && target.chars().all(in_target) && is_level(level.trim())
        }
        None => is_level(text),
    };
    let mut directives = text.split(',').map(str::trim).filter(|part| !part.is_empty()).peekable();
    directives.peek().is_some() && (text.contains('[') || directives.all(is_directive))
}

fn is_level(text: &str) -> bool {
    let names = ["off", "error", "warn", "warning", "info", "debug", "trace"];
    let is_number = text.len() == 1 && text.bytes().all(|byte| matches!(byte, b'0'..=b'5'));
    is_number || names.iter().any(|name| name.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn the_text_of_a_bound_is_the_bound() {
        assert!(THRESHOLD.ends_with(&UNITS_MOST.to_string()));
        assert!(THRESHOLD_ADVICE.replace(',', "").ends_with(&UNITS_MOST.to_string()));
    }

    #[test]
    fn a_filter_that_would_stop_the_program_is_none() {
        for text in
            ["info", "WARNING", "off", "3", "warn, kbnt_kafka=debug,", "a::b=Warn", "info,[s{a=b}]=debug"]
        {
            assert!(is_log_filter(text), "{text}");
        }
        for text in
            ["", " ", ",", "debgu", "info,loud", "hyper", "x=", "=info", "hyper=loud", "9", "a b=info"]
        {
            assert!(!is_log_filter(text), "{text:?}");
        }
    }
}
