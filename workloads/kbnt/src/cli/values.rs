//! Parsers of values that people write.

use std::ops::RangeInclusive;
use std::time::Duration;

use kbnt_application::Topic;
use kbnt_domain::{Currency, Money, Span};

/// How many of something, at least 1.
pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("{error}")),
    }
}

/// How many records a log in memory keeps: far more than those of the orders in hand, which a service may still have to read.
pub(super) fn memory_records(text: &str) -> Result<usize, String> {
    match count(text)? {
        records @ 100_000.. => Ok(records),
        _ => Err("at least 100000".to_owned()),
    }
}

/// The longest duration: calculations with it stay within the range of clocks.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// A length of time such as `90s`, `15m` or `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = |error: String| format!("{error}; write a time such as 90s, 15m or 1h30m");
    match humantime::parse_duration(text) {
        Ok(time) if time > LONGEST => Err(wrong("at most 100 years".to_owned())),
        Ok(time) => Ok(time),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// The same, with a minimum of one second, for durations that do only harm below it.
pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < Duration::from_secs(1) { Err("at least 1s".to_owned()) } else { Ok(time) }
}

/// A duration within these bounds, which are said as `from ... to ...`.
fn within(text: &str, bounds: RangeInclusive<Duration>, said: &str) -> Result<Span, String> {
    let time = duration(text)?;
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if bounds.contains(&time) { Ok(Span::from_millis(millis)) } else { Err(said.to_owned()) }
}

/// How long a reservation may hold: 1 s to 24 h.
pub(super) fn reservation_ttl(text: &str) -> Result<Span, String> {
    within(text, Duration::from_secs(1)..=Duration::from_hours(24), "from 1s to 24h")
}

/// How long ended orders may be remembered: at least as long as other services do, and at most a year.
pub(super) fn closed_order_window(text: &str) -> Result<Span, String> {
    within(text, Duration::from_hours(24)..=Duration::from_hours(8_760), "from 24h to 8760h")
}

/// How far a clock may be set: 1 s to 1 h, as commands from further ahead are refused.
pub(super) fn clock_jump_limit(text: &str) -> Result<Duration, String> {
    let limit = duration(text)?;
    if (Duration::from_secs(1)..=Duration::from_hours(1)).contains(&limit) {
        Ok(limit)
    } else {
        Err("from 1s to 1h".to_owned())
    }
}

/// An amount such as `10000.00`, in BRL.
pub(super) fn money(text: &str) -> Result<Money, String> {
    Money::parse(text, Currency::BRL).map_err(|error| error.to_string())
}

/// A topic by its name.
pub(super) fn topic(name: &str) -> Result<Topic, String> {
    let known = || Topic::ALL.map(Topic::name).join(", ");
    Topic::from_name(name).ok_or_else(|| format!("no such topic; there are {}", known()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_be_set_by_a_second_to_an_hour() {
        for (text, secs) in [("1s", 1), ("5m", 300), ("1h", 3_600)] {
            assert_eq!(clock_jump_limit(text), Ok(Duration::from_secs(secs)));
        }
        for text in ["0s", "999ms", "1h1s", "25h", "5", "-5m", ""] {
            assert!(clock_jump_limit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_log_in_memory_keeps_a_hundred_thousand_records_at_least() {
        assert_eq!(memory_records("100000"), Ok(100_000));
        for (text, said) in [("99999", "at least 100000"), ("0", "at least 1"), ("many", "invalid digit")] {
            assert!(memory_records(text).unwrap_err().contains(said), "{text}");
        }
    }

    #[test]
    fn some_time_is_at_least_a_second_and_no_time_is_without_end() {
        assert_eq!(some_time("1s"), Ok(Duration::from_secs(1)));
        for text in ["0s", "999ms", "101years", "500000000000years"] {
            assert!(some_time(text).is_err(), "{text}");
        }
        assert!(duration("500000000000years").is_err());
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn a_reservation_holds_from_a_second_to_a_day() {
        for (text, millis) in
            [("1s", 1_000), ("90s", 90_000), ("15m", 900_000), ("1h30m", 5_400_000), ("24h", 86_400_000)]
        {
            assert_eq!(reservation_ttl(text), Ok(Span::from_millis(millis)), "{text}");
        }
        for text in ["", "15", "0s", "999ms", "25h", "-1s", "1x"] {
            assert!(reservation_ttl(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ended_orders_are_remembered_for_a_day_to_a_year() {
        for (text, hours) in [("24h", 24), ("7days", 168), ("168h", 168), ("8760h", 8_760)] {
            assert_eq!(closed_order_window(text), Ok(Span::from_minutes(hours * 60)), "{text}");
        }
        for text in ["", "24", "0s", "23h59m59s", "8760h1s", "-1s"] {
            assert!(closed_order_window(text).is_err(), "{text}");
        }
    }
}
