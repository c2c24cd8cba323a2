//! What a place in a bucket may be, as it stands in resources.
//!
//! Stricter than the program that reads it: what is right here, it takes. So the scheme is in lower case, and an address ends with
//! one `/` at most.

/// The longest prefix.
const LONGEST: usize = 512;

/// CEL: `s3://BUCKET/PREFIX`.
pub const BUCKET_URL: &str = "self.matches('^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/([A-Za-z0-9!_.()=\\'-]+/)*([A-Za-z0-9!_.()=\\'-]+)?)?$') && self.matches('^s3://[^/]+(/.{0,512}/?)?$') && !self.matches('^s3://[^/]*[.][.]|[^/]/[.][.]?(/|$)')";
/// What [`BUCKET_URL`] asks for.
pub const BUCKET_URL_ADVICE: &str = "url must be s3://BUCKET/PREFIX: a bucket has a name of 3 to 63 lower-case letters, digits, '-' and '.', which begins and ends with a letter or digit; a prefix of at most 512 characters has names with '/' between them, of letters, digits and any of !-_.'()= , none of them '.' or '..'. Credentials and the address of the store come from the Secret";

/// Whether the text is `s3://BUCKET/PREFIX`.
pub fn is_bucket_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("s3://") else { return false };
    match rest.split_once('/') {
        None => is_bucket(rest),
        Some((bucket, "")) => is_bucket(bucket),
        Some((bucket, prefix)) => is_bucket(bucket) && is_prefix(prefix.strip_suffix('/').unwrap_or(prefix)),
    }
}

fn is_bucket(text: &str) -> bool {
    let is_end =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        && is_end(bytes.first())
        && is_end(bytes.last())
        && !text.contains("..")
}

fn is_prefix(text: &str) -> bool {
    let is_name = |name: &str| {
        !matches!(name, "" | "." | "..")
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!-_.'()=".contains(&byte))
    };
    text.len() <= LONGEST && text.split('/').all(is_name)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;

    use super::*;

    #[test]
    fn a_place_in_a_bucket_has_names_that_every_store_takes() {
        let most = format!("s3://{}/{}", "a".repeat(63), "b".repeat(512));
        for url in [
            "s3://shop",
            "s3://shop/",
            "s3://shop/a/",
            "s3://shop.backup-1/main/2026",
            "s3://123/day=1/a_b.c!(d)'-",
            "s3://shop/..a/b..",
            "s3://shop/...",
            &most,
            &format!("{most}/"),
        ] {
            assert!(is_bucket_url(url), "{url}");
        }
        for url in [
            "",
            "shop",
            "/checkpoints",
            "s3:/shop",
            "S3://shop",
            "gs://shop/a",
            "s3://",
            "s3:///a",
            "s3://ab",
            "s3://Shop",
            "s3://-shop",
            "s3://shop.",
            "s3://shop..a",
            "s3://localhost:9000/shop",
            "s3://key:secret@shop/a",
            "s3://shop/a@b",
            "s3://shop/a?b=c",
            "s3://shop#a",
            "s3://shop//",
            "s3://shop//a",
            "s3://shop/a//",
            "s3://shop/./a",
            "s3://shop/..",
            "s3://shop/a b",
            "s3://shop/a%2Fb",
            "s3://shop/é",
            "s3://shop/a\n",
            &format!("s3://{}", "a".repeat(64)),
            &format!("{most}b"),
            &format!("{most}//"),
        ] {
            assert!(!is_bucket_url(url), "{url:?}");
        }
    }
}
