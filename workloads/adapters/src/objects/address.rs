//! How people name a place for objects.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Where a place for objects is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A directory.
    Directory(PathBuf),
    /// A part of a bucket of an object store.
    Bucket(BucketAddress),
}

/// A part of a bucket: all objects whose name begins with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketAddress {
    pub(super) bucket: String,
    /// Without `/` at either end; empty for the whole bucket.
    pub(super) prefix: String,
}

/// What is wrong with an address. None of them repeats it: it may have a secret that should not be there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlaceAddressError {
    /// Nothing.
    #[error("a place is a directory, or s3://BUCKET/PREFIX")]
    Empty,
    /// Another kind of store.
    #[error("a place is a directory, or s3://BUCKET/PREFIX; other stores are not supported")]
    Scheme,
    /// Meant as a bucket, perhaps.
    #[error("write s3://BUCKET/PREFIX for a bucket, and ./s3:... for a directory of such a name")]
    Slashes,
    /// A user or a password.
    #[error(
        "a place has no '@': credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
    )]
    Credentials,
    /// An endpoint, perhaps.
    #[error("a bucket has no port: the address of the store is AWS_ENDPOINT_URL in the environment")]
    Port,
    /// No name that a bucket can have.
    #[error(
        "a bucket has a name of 3 to 63 lower-case letters, digits, '-' and '.', which begins and ends with a letter or digit"
    )]
    Bucket,
    /// What an address of the web may have.
    #[error("a place has neither '?' nor '#'")]
    Query,
    /// No name that an object should have.
    #[error(
        "a prefix consists of names with '/' between them, of letters, digits and any of !-_.'()= , none of them '.' or '..'"
    )]
    Prefix,
    /// There must be room for the names of objects.
    #[error("a prefix has at most {LONGEST} characters")]
    Long,
}

/// The longest prefix: a store takes names of 1,024 bytes.
const LONGEST: usize = 512;

impl Address {
    /// The one rule by which places are read: what begins with `s3://` is in a bucket, what has no `://` is a directory.
    pub fn parse(text: &OsStr) -> Result<Self, PlaceAddressError> {
        let Some(plain) = text.to_str() else { return Ok(Self::Directory(text.into())) };
        if plain.is_empty() {
            return Err(PlaceAddressError::Empty);
        }
        let is_s3 = |scheme: &str| scheme.eq_ignore_ascii_case("s3");
        match plain.split_once("://") {
            Some((scheme, rest)) if is_s3(scheme) => bucket(rest).map(Self::Bucket),
            // A directory may have any name behind its first slash.
            Some((scheme, _)) if !scheme.contains('/') => Err(PlaceAddressError::Scheme),
            _ if plain.split_once(':').is_some_and(|(scheme, _)| is_s3(scheme)) => {
                Err(PlaceAddressError::Slashes)
            }
            _ => Ok(Self::Directory(text.into())),
        }
    }
}

fn bucket(text: &str) -> Result<BucketAddress, PlaceAddressError> {
    if text.contains('@') {
        return Err(PlaceAddressError::Credentials);
    }
    if text.contains(['?', '#']) {
        return Err(PlaceAddressError::Query);
    }
    let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
    if bucket.contains(':') {
        return Err(PlaceAddressError::Port);
    }
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = bucket.as_bytes();
    let is_bucket = (3..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        && is_end(bytes.first())
        && is_end(bytes.last())
        && !bucket.contains("..");
    if !is_bucket {
        return Err(PlaceAddressError::Bucket);
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let is_name = |name: &str| {
        !matches!(name, "" | "." | "..")
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!-_.'()=".contains(&byte))
    };
    if !prefix.is_empty() && !prefix.split('/').all(is_name) {
        return Err(PlaceAddressError::Prefix);
    }
    if prefix.len() > LONGEST {
        return Err(PlaceAddressError::Long);
    }
    Ok(BucketAddress { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

impl fmt::Display for BucketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

impl fmt::Display for Address {
    /// For people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => write!(f, "{}", directory.display()),
            Self::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, PlaceAddressError> {
        Address::parse(OsStr::new(text))
    }

    #[test]
    fn a_place_is_a_directory_or_a_part_of_a_bucket() {
        for (text, bucket, prefix) in [
            ("s3://shop", "shop", ""),
            ("s3://shop/", "shop", ""),
            ("S3://shop/a", "shop", "a"),
            ("s3://shop.backup-1/main/2026/", "shop.backup-1", "main/2026"),
            ("s3://123/day=1/a_b.c!(d)'-", "123", "day=1/a_b.c!(d)'-"),
        ] {
            let expected = BucketAddress { bucket: bucket.into(), prefix: prefix.into() };
            assert_eq!(parse(text), Ok(Address::Bucket(expected)), "{text}");
        }
        for text in ["backup", "/backup/shop", "./s3:x", "./a://b", "C:", "a@b", "what?#", "s3", "s3/x", "é"]
        {
            assert_eq!(parse(text), Ok(Address::Directory(text.into())), "{text}");
        }
        for text in ["s3://shop/a/b", "s3://shop", "/backup"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn each_way_to_get_it_wrong_is_told() {
        let long = format!("s3://shop/{}", "a/".repeat(257));
        let name = format!("s3://{}/a", "a".repeat(64));
        for (text, wrong) in [
            ("", PlaceAddressError::Empty),
            ("gs://shop/a", PlaceAddressError::Scheme),
            ("az://shop/a", PlaceAddressError::Scheme),
            ("s3a://shop/a", PlaceAddressError::Scheme),
            ("https://store.example/shop", PlaceAddressError::Scheme),
            ("file:///backup", PlaceAddressError::Scheme),
            ("://shop", PlaceAddressError::Scheme),
            ("s3:shop/a", PlaceAddressError::Slashes),
            ("S3:/shop/a", PlaceAddressError::Slashes),
            ("s3:", PlaceAddressError::Slashes),
            ("s3://key:h7Dk2@shop/a", PlaceAddressError::Credentials),
            ("s3://shop/a@b", PlaceAddressError::Credentials),
            ("s3://localhost:9000/shop", PlaceAddressError::Port),
            ("s3://shop:/a", PlaceAddressError::Port),
            ("s3://", PlaceAddressError::Bucket),
            ("s3:///a", PlaceAddressError::Bucket),
            ("s3://ab", PlaceAddressError::Bucket),
            ("s3://Shop/a", PlaceAddressError::Bucket),
            ("s3://-shop", PlaceAddressError::Bucket),
            ("s3://shop.", PlaceAddressError::Bucket),
            ("s3://shop..a", PlaceAddressError::Bucket),
            ("s3://my_shop/a", PlaceAddressError::Bucket),
            ("s3://sh op", PlaceAddressError::Bucket),
            (&name, PlaceAddressError::Bucket),
            ("s3://shop/a?versionId=7", PlaceAddressError::Query),
            ("s3://shop#a", PlaceAddressError::Query),
            ("s3://shop//a", PlaceAddressError::Prefix),
            ("s3://shop/a//b", PlaceAddressError::Prefix),
            ("s3://shop/a//", PlaceAddressError::Prefix),
            ("s3://shop/../a", PlaceAddressError::Prefix),
            ("s3://shop/./a", PlaceAddressError::Prefix),
            ("s3://shop/a b", PlaceAddressError::Prefix),
            ("s3://shop/a*", PlaceAddressError::Prefix),
            ("s3://shop/a%2Fb", PlaceAddressError::Prefix),
            ("s3://shop/é", PlaceAddressError::Prefix),
            ("s3://shop/a\\b", PlaceAddressError::Prefix),
            ("s3://shop/a\n", PlaceAddressError::Prefix),
            (&long, PlaceAddressError::Long),
        ] {
            assert_eq!(parse(text), Err(wrong), "{text:?}");
        }
        let said = parse("s3://key:h7Dk2@shop/a").unwrap_err().to_string();
        assert!(!said.contains("h7Dk2") && said.contains("environment"), "{said}");
    }

    #[test]
    fn a_place_that_the_api_server_admits_is_in_a_bucket() {
        let pieces = [
            "", "a", "Z", "9", ".", "..", "-", "_", "/", "//", "@", ":", "?", "#", "%2F", "\\", " ", "\n",
            "é", "'", "()", "=", "!",
        ];
        let lengths =
            [2, 3, 63, 64].into_iter().flat_map(|length| [511, 512, 513].map(|more| (length, more)));
        let mut texts: Vec<_> = lengths
            .map(|(length, more)| format!("s3://{}/{}", "a".repeat(length), "b".repeat(more)))
            .collect();
        for (one, other) in pieces.into_iter().flat_map(|one| pieces.map(|other| (one, other))) {
            texts.extend([
                format!("s3:/{one}/{other}shop"),
                format!("s3://sh{one}{other}op"),
                format!("s3://{one}shop{other}/a"),
                format!("s3://shop/{one}/{other}"),
                format!("s3://shop/a{one}{other}/b"),
            ]);
        }
        let admitted: Vec<_> = texts.iter().filter(|text| kbnt_rules::is_bucket_url(text)).collect();
        assert!(admitted.len() > 100 && admitted.len() < texts.len() / 2, "{}", admitted.len());
        for text in admitted {
            assert!(matches!(parse(text), Ok(Address::Bucket(_))), "{text:?}");
        }
    }
}
