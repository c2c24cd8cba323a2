//! What ids, names and addresses of users and products may be: stated once, for the program and for the API server.
//!
//! Each rule is a function, by which the program decides, and a text in CEL beside it, which the definitions of the resources
//! carry. The operator's tests compare the two on a real API server over generated values. Nothing here does I/O or depends on
//! anything, so that the domain and the API types can both use it.

#![no_std]

mod address;
mod bucket;
mod setting;

pub use address::{
    BASE_URL, BASE_URL_ADVICE, SERVERS, SERVERS_ADVICE, URL, URL_ADVICE, is_base_url, is_servers, is_url,
};
pub use bucket::{BUCKET_URL, BUCKET_URL_ADVICE, is_bucket_url};
pub use setting::{
    LOG_FILTER_ADVICE, LOG_FORMAT_ADVICE, LOG_FORMATS, THRESHOLD, THRESHOLD_ADVICE, UNITS_MOST, is_log_filter,
};

/// CEL: an id of a user.
pub const USER_ID: &str = "self.matches('^[A-Za-z0-9._-]{1,64}$') && !(self in ['.', '..'])";
/// What [`USER_ID`] asks for.
pub const USER_ID_ADVICE: &str =
    "id must be 1 to 64 letters, digits, '-', '_' and '.', and neither '.' nor '..'";
/// CEL: an id of a product.
pub const PRODUCT_ID: &str = "self.matches('^[A-Za-z0-9._-]{1,64}$') && !(self in ['.', '..', 'summary'])";
/// What [`PRODUCT_ID`] asks for.
pub const PRODUCT_ID_ADVICE: &str = "id must be 1 to 64 letters, digits, '-', '_' and '.', and neither '.', '..' nor 'summary', which are addresses of the API";
/// CEL: a name of a user or a product.
pub const NAME: &str =
    "size(self) <= 200 && self.matches('[^\\\\s\\\\p{Z}\\\\p{Cc}]') && !self.matches('\\\\p{Cc}')";
/// What [`NAME`] asks for.
pub const NAME_ADVICE: &str = "name must be 1 to 200 characters, not only blanks, and none of them a control character such as a tab or a line break";
/// CEL: an address for notifications.
pub const EMAIL: &str = "size(bytes(self)) <= 254 && \
                         self.matches('^[^@\\\\s\\\\p{Z}\\\\p{Cc}]+@[^@\\\\s\\\\p{Z}\\\\p{Cc}]+$')";
/// What [`EMAIL`] asks for.
pub const EMAIL_ADVICE: &str =
    "email must be an address such as ana@example.com, without blanks and of at most 254 bytes in UTF-8";

/// Whether the text is an id: 1 to 64 letters, digits, `-`, `_` and `.`.
pub fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// Whether the text is an id that a new user may have: clients take `.` and `..` out of an address.
pub fn is_user_id(text: &str) -> bool {
    is_id(text) && !matches!(text, "." | "..")
}

/// Whether the text is an id that a new product may have: one that no other address of the API has.
pub fn is_product_id(text: &str) -> bool {
    is_id(text) && !matches!(text, "." | ".." | "summary")
}

/// Whether the text is a name: 1 to 200 characters, not only blanks, none of them a control character.
pub fn is_name(text: &str) -> bool {
    text.chars().count() <= 200 && !text.trim().is_empty() && !text.chars().any(char::is_control)
}

/// Whether the text is an address for notifications: at most 254 bytes, one `@` inside, no blank and no control character.
pub fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    let address =
        parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    address && text.len() <= 254 && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// What is wrong with a user, first of all: advice. Nothing if it can be.
pub fn user_objection(id: &str, name: &str, email: &str) -> Option<&'static str> {
    first_wrong(&[
        (is_user_id(id), USER_ID_ADVICE),
        (is_name(name), NAME_ADVICE),
        (is_email(email), EMAIL_ADVICE),
    ])
}

/// What is wrong with a product, first of all: advice. Nothing if it can be.
pub fn product_objection(id: &str, name: &str) -> Option<&'static str> {
    first_wrong(&[(is_product_id(id), PRODUCT_ID_ADVICE), (is_name(name), NAME_ADVICE)])
}

fn first_wrong(rules: &[(bool, &'static str)]) -> Option<&'static str> {
    rules.iter().find(|(right, _)| !right).map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn ids_keep_to_their_alphabet_and_out_of_the_way_of_addresses() {
        for id in ["a", "PROD-001", "a.B_c-9", "...", "Summary", "summary-1"] {
            assert!(is_product_id(id) && is_user_id(id), "{id}");
        }
        assert!(is_user_id("summary"));
        for id in ["", ".", "..", "a b", "a/b", "é", "a\n", "a\t"] {
            assert!(!is_product_id(id) && !is_user_id(id), "{id:?}");
        }
        assert!(!is_product_id("summary"));
        let long = std::string::String::from("a").repeat(65);
        assert!(!is_product_id(&long) && is_product_id(&long[1..]));
    }

    #[test]
    fn names_and_addresses_have_no_control_characters() {
        assert!(is_name("Ana Maria") && is_name(&"ü".repeat(200)));
        for name in
            ["", " ", "\u{a0}", "Ana Maria\n", "a\tb", "\u{1}", "a\u{7f}", "a\u{85}", &"x".repeat(201)]
        {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(is_email("ana@example.com") && is_email("ü@b"));
        let long = std::format!("{}@x", "ü".repeat(127));
        for email in ["", "ana", "@x", "ana@", "a@b@c", "a b@c", "a\u{a0}@b", "a@b\n", &long] {
            assert!(!is_email(email), "{email:?}");
        }
    }
}
