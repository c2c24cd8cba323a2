//! Validates addresses of other services: an address that could not be called later is refused at once.

use reqwest::Url;
use thiserror::Error;

/// What is wrong with an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Another scheme, or only `host:port`.
    #[error("an address begins with http:// or https://, such as http://gateway:8080")]
    Scheme,
    /// It cannot be parsed.
    #[error("no address: {0}")]
    Malformed(String),
    /// Nothing listens on port 0.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// Paths are appended to it, so it must have no query.
    #[error("paths are added behind this address, so it must not have a query (?{0})")]
    Query(String),
    /// A fragment would never be sent.
    #[error("an address has no fragment (#{0}): it would never be sent")]
    Fragment(String),
    /// It contains blanks or similar, which would be dropped or encoded.
    #[error("an address has no blanks or control characters")]
    Blank,
    /// Its host cannot be a DNS name.
    #[error(
        "{0:?} is no host: one name, of labels of 1 to 63 letters, digits, '-' and '_' that do not begin with '-'"
    )]
    Host(String),
    /// It is not a list of servers.
    #[error("{0:?} is no host:port; write host:port[,host:port], with ports from 1 to 65535")]
    Server(String),
}

/// The complete URL of an endpoint, by HTTP or HTTPS.
pub fn endpoint(text: &str) -> Result<Url, AddressError> {
    let has_scheme = |scheme: &str| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            && !text[scheme.len()..].starts_with(['/', '\\', '?', '#'])
    };
    if !(has_scheme("http://") || has_scheme("https://")) {
        return Err(AddressError::Scheme);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(AddressError::Blank);
    }
    let url: Url = text.parse().map_err(|error| match error {
        url::ParseError::InvalidPort => AddressError::Port,
        error => AddressError::Malformed(error.to_string()),
    })?;
    if let Some(url::Host::Domain(name)) = url.host()
        && !is_name(name)
    {
        return Err(AddressError::Host(name.to_owned()));
    }
    // The parser drops a colon without a number.
    if url.port() == Some(0) || authority(text).ends_with(':') {
        return Err(AddressError::Port);
    }
    match url.fragment() {
        Some(fragment) => Err(AddressError::Fragment(fragment.to_owned())),
        None => Ok(url),
    }
}

/// The part between the scheme and the path.
fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '\\', '?', '#']).next().unwrap_or_default()
}

/// The longest name of a host, and the longest label of it.
const NAME_MOST: (usize, usize) = (253, 63);

/// Whether this is a valid host name. A dot at its end makes it absolute.
fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= NAME_MOST.0 && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=NAME_MOST.1).contains(&label.len())
        && !label.starts_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The base URL to which paths are appended.
pub fn base(text: &str) -> Result<Url, AddressError> {
    let url = endpoint(text)?;
    match url.query() {
        Some(query) => Err(AddressError::Query(query.to_owned())),
        None => Ok(url),
    }
}

/// Kafka's bootstrap servers: `host:port[,host:port]`, with a host that contains colons in brackets.
pub fn servers(text: &str) -> Result<String, AddressError> {
    for server in text.split(',') {
        let refused = || AddressError::Server(server.to_owned());
        let (host, port) = server.rsplit_once(':').ok_or_else(refused)?;
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse::<u16>().ok().filter(|port| is_number && *port > 0);
        if !is_host(host) || port.is_none() {
            return Err(refused());
        }
    }
    Ok(text.to_owned())
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    is_name(host)
}

/// Whether it is this machine itself. No proxy can reach it.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
        }
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|address| address.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_called_is_refused_with_what_is_wrong() {
        for (text, wrong) in [
            ("gateway:8080", AddressError::Scheme),
            ("gateway", AddressError::Scheme),
            ("", AddressError::Scheme),
            ("ftp://x", AddressError::Scheme),
            ("file:///etc/passwd", AddressError::Scheme),
            ("http:/gateway", AddressError::Scheme),
            ("http:///gateway", AddressError::Scheme),
            ("http://", AddressError::Malformed("empty host".into())),
            ("http://:8080", AddressError::Malformed("empty host".into())),
            ("http://gateway:99999/", AddressError::Port),
            ("http://gateway:0/", AddressError::Port),
            ("http://gateway:port/", AddressError::Port),
            ("http://gateway/ pay", AddressError::Blank),
            ("http://gateway\n", AddressError::Blank),
            ("http://h/pay#x", AddressError::Fragment("x".into())),
        ] {
            assert_eq!(endpoint(text), Err(wrong), "{text:?}");
        }
        let long = format!("http://{}", "a".repeat(64));
        for text in [
            "http://h,http://g",
            "http://h,g/",
            "http://.",
            "http://h..h",
            "http://.h",
            "http://h..",
            "http://-h",
            "http://a.-h:8080/pay",
            "http://h!",
            "http://a*b",
            &long,
            &format!("http://{}a", "a23456789.".repeat(26)),
        ] {
            assert!(matches!(endpoint(text), Err(AddressError::Host(_))), "{text:?}: {:?}", endpoint(text));
        }
        for text in ["http://h:", "http://h:/pay", "http://[::1]:", "https://user:@h:?x"] {
            assert_eq!(endpoint(text), Err(AddressError::Port), "{text:?}");
        }
        for text in ["http://xn--a", "http://xn--", "http://a.xn--0.b", "http://xn--999999999"] {
            assert!(endpoint(text).is_err(), "{text:?}: {:?}", endpoint(text));
        }
        for text in [
            "http://h.",
            "http://b\u{fc}cher.example",
            "http://xn--bcher-kva.example",
            "http://_a-b.c_d:1/x,y",
        ] {
            assert!(endpoint(text).is_ok(), "{text:?}: {:?}", endpoint(text));
        }
        assert_eq!(base("http://h/pay?tenant=7"), Err(AddressError::Query("tenant=7".into())));
        assert_eq!(base("http://h/pay?"), Err(AddressError::Query(String::new())));
        assert!(endpoint("https://hooks.example.com/in?token=7").is_ok());
        for text in
            ["http://h", "HTTPS://h/", "http://h:1/pay/", "http://[::1]:65535", "http://pay.shop.svc:8080/v1"]
        {
            assert!(base(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn servers_are_hosts_with_ports() {
        for text in ["localhost:9092", "a:1,b-c.d_e:65535", "[::1]:9092,127.0.0.1:9092"] {
            assert_eq!(servers(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            "localhost",
            "localhost:",
            ":9092",
            "a:0",
            "a:65536",
            "a:9092,",
            "a:9092, b:9092",
            "a b:1",
            "a:+1",
            "a:1 ",
            "http://a:9092",
            "::1:9092",
            "[::1:9092",
            "a:9092;b:9092",
            ".:9092",
            "-a:9092",
            "a..b:9092",
        ] {
            assert!(matches!(servers(text), Err(AddressError::Server(_))), "{text:?}");
        }
    }

    #[test]
    fn loopback_has_many_names() {
        for text in [
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "http://[::1]",
            "http://LocalHost.",
            "http://a.localhost",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(&text.parse().unwrap()), "{text}");
        }
        for text in [
            "http://localhost.example.com",
            "http://10.0.0.1",
            "http://[fd00::1]",
            "http://1270.0.0.1.example",
        ] {
            assert!(!is_loopback(&text.parse().unwrap()), "{text}");
        }
    }
}
