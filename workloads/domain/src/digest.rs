//! A fast digest of 64 bits that is the same on every machine and in every version: it stands in the log.
//!
//! It tells honest baskets apart; whoever makes two that collide has only fooled himself about his own order.

/// Mixes words by multiplying and folding; what was mixed before is never lost, whatever comes.
#[derive(Default)]
pub(crate) struct Digest(u64);

impl Digest {
    /// A number that is small, mixed with what follows.
    pub(crate) fn number(&mut self, number: u64) {
        self.0 = (self.0 ^ number).rotate_left(17);
    }

    /// A text, told apart from what stands before and after it by its length.
    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        let (pairs, rest) = text.as_bytes().as_chunks::<16>();
        for pair in pairs {
            let (low, high) = ends(pair);
            self.mix(low, high);
        }
        let (low, high) = ends(rest);
        self.mix(low, high);
    }

    pub(crate) fn finish(mut self) -> u64 {
        self.mix(0, 0);
        self.0
    }

    fn mix(&mut self, a: u64, b: u64) {
        // Odd constants without structure: the fractions of the golden ratio and of pi.
        let (a, b) = (a ^ 0x9e37_79b9_7f4a_7c15, b ^ 0x243f_6a88_85a3_08d3 ^ self.0);
        let (low, high) = a.carrying_mul(b, 0);
        self.0 = self.0.rotate_left(23) ^ low ^ high;
    }
}

/// At most 16 bytes in two words, without a loop: the ends, which may overlap.
fn ends(bytes: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)));
    }
    (bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> u64 {
        let mut digest = Digest::default();
        for text in texts {
            digest.text(text);
        }
        digest.finish()
    }

    #[test]
    fn every_byte_of_a_text_of_any_length_counts() {
        let text = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
        let mut seen = std::collections::BTreeSet::new();
        for length in 0..=text.len() {
            assert!(seen.insert(of(&[&text[..length]])), "{length}");
            for at in 0..length {
                let mut changed = text[..length].to_owned();
                changed.replace_range(at..=at, "0");
                assert!(seen.insert(of(&[&changed])), "{length}, {at}");
            }
        }
    }

    #[test]
    fn the_ends_of_texts_count() {
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["abc"]), of(&["abc", ""]));
        assert_ne!(of(&["", "abc"]), of(&["abc", ""]));
    }
}
