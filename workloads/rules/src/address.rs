//! What addresses of services of others may be, as they stand in resources.
//!
//! Stricter than the library that calls them: what is right here, it takes. Whether what follows `xn--` is Punycode cannot be
//! said in CEL, so no name may have it.

/// An address in CEL, with what may follow the host and port.
macro_rules! url {
    ($rest:literal) => {
        concat!(
            "self.matches('^https?://([A-Za-z0-9._~!$&()*+,;=:%-]+@)?",
            "(([A-Za-z0-9_][A-Za-z0-9_-]{0,62}[.])*[A-Za-z][A-Za-z0-9_-]{0,62}[.]?|((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])|[[](([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}|[0-9A-Fa-f]{1,4}:(:[0-9A-Fa-f]{1,4}){1,6}|:(:[0-9A-Fa-f]{1,4}){1,7}|::)[]])",
            "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?",
            $rest,
            "$') && !self.matches('^https?://([^/?#@]*@)?([^/?#@]*[.])?[Xx][Nn]--[^/?#@]*([/?#]|$)')"
        )
    };
}

/// CEL: an address to which paths are added.
pub const BASE_URL: &str = url!("(/[^\\\\s\\\\p{Z}\\\\p{Cc}?#]*)?");
/// What [`BASE_URL`] asks for.
pub const BASE_URL_ADVICE: &str = "url must be an absolute URL that starts with http:// or https://, with a host and a port that can be (no part of the host begins with xn--), and without query and fragment, as paths are added to it";
/// CEL: the whole address of what is called.
pub const URL: &str = url!("([/?][^\\\\s\\\\p{Z}\\\\p{Cc}#]*)?");
/// What [`URL`] asks for.
pub const URL_ADVICE: &str = "url must be an absolute URL that starts with http:// or https://, with a host and a port that can be (no part of the host begins with xn--), and without fragment";
/// CEL: `host:port[,host:port]`.
pub const SERVERS: &str = "self.matches('^[A-Za-z0-9._-]+:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])(,[A-Za-z0-9._-]+:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))*$')";
/// What [`SERVERS`] asks for.
pub const SERVERS_ADVICE: &str = "bootstrapServers must be host:port with a port from 1 to 65535, or several of them with commas between and no blanks";

/// Whether the text is an address to which paths are added.
pub fn is_base_url(text: &str) -> bool {
    split(text).is_some_and(|(authority, rest)| is_authority(authority) && !rest.contains(['?', '#']))
}

/// Whether the text is the whole address of what is called.
pub fn is_url(text: &str) -> bool {
    split(text).is_some_and(|(authority, rest)| is_authority(authority) && !rest.contains('#'))
}

/// Whether the text is `host:port[,host:port]`.
pub fn is_servers(text: &str) -> bool {
    let is_name = |host: &str| {
        !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    text.split(',')
        .all(|server| server.split_once(':').is_some_and(|(host, port)| is_name(host) && is_port(port)))
}

/// Who is called and what follows, if the scheme and the characters of what follows can be.
fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let blank = rest.chars().any(|character| character.is_whitespace() || character.is_control());
    (!blank).then_some((authority, rest))
}

fn is_authority(text: &str) -> bool {
    let (login, host) = text.split_once('@').map_or((None, text), |(login, host)| (Some(login), host));
    let in_login = |byte: u8| byte.is_ascii_alphanumeric() || b"._~!$&()*+,;=:%-".contains(&byte);
    if login.is_some_and(|login| login.is_empty() || !login.bytes().all(in_login)) {
        return false;
    }
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        let dotted = address.contains('.');
        return !dotted
            && address.parse::<core::net::Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    match host.split_once(':') {
        Some((host, port)) => is_host(host) && is_port(port),
        None => is_host(host),
    }
}

/// A name, or an address of IPv4.
fn is_host(text: &str) -> bool {
    if text.parse::<core::net::Ipv4Addr>().is_ok() {
        return true;
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let begins_with_letter = |label: &str| label.starts_with(|first: char| first.is_ascii_alphabetic());
    name.rsplit('.').next().is_some_and(begins_with_letter) && name.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=63).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"))
}

/// A number from 1 to 65535 as people write it, without zeros before it.
fn is_port(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    digits && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port_that_can_be() {
        for url in [
            "http://h",
            "https://pay.shop.svc.cluster.local.:65535/v1/a%20b",
            "http://user:p$a(s)s@10.0.0.1:8080/",
            "http://[fd00::1]:8080/pay",
            "http://[::]",
            "http://a_b.c-d-/x@y\\z",
            "http://3.a/",
            "http://xn--u@h/",
            "http://a.xn--:b@h",
            "http://h/[x]:%",
        ] {
            assert!(is_base_url(url) && is_url(url), "{url}");
        }
        let label = "a".repeat(63);
        assert!(is_url(&std::format!("http://{label}.{label}")) && !is_url(&std::format!("http://{label}a")));
        for url in [
            "",
            "h:80",
            "http:",
            "http://",
            "HTTP://h",
            "ftp://h",
            "http://h:",
            "http://h:0",
            "http://h:080",
            "http://h:65536",
            "http://xn--/",
            "http://xn--a.example/pay",
            "http://a.XN--b",
            "http://u@a.xn--b:80",
            "http://-a/",
            "http://a.-b/",
            "http://a..b/",
            "http://.a/",
            "http://a../",
            "http://a,b/",
            "http://1.2.3.256/",
            "http://1.2.3/",
            "http://0x7f.1/",
            "http://[::1",
            "http://[::1]x",
            "http://[::1:2:3:4:5:6:7:8]/",
            "http://[::ffff:1.2.3.4]/",
            "http://@h/",
            "http://a@b@h/",
            "http://a b/",
            "http://h/a b",
            "http://h/a\u{a0}",
            "http://h\\x",
            "http://h%20",
            "http://h/a#b",
            "http://h#b",
            "http://h/?a#b",
        ] {
            assert!(!is_base_url(url) && !is_url(url), "{url:?}");
        }
        for url in ["http://h?a=b", "http://h/pay?tenant=7", "http://xn.h/?u=http://xn--a"] {
            assert!(is_url(url) && !is_base_url(url), "{url}");
        }
    }

    #[test]
    fn servers_are_hosts_with_ports() {
        for servers in ["a:1", "a:9092,b.c_d-e:65535"] {
            assert!(is_servers(servers), "{servers}");
        }
        for servers in ["", "a", "a:", ":1", "a:0", "a:01", "a:65536", "a:1,", "a:1, b:1", "[::1]:1", "a:1:2"]
        {
            assert!(!is_servers(servers), "{servers:?}");
        }
    }
}
