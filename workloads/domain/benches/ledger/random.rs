//! Random numbers, the same in each run.

use kbnt_domain::OrderId;
use uuid::Uuid;

/// Random numbers, the same in each run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, most: usize) -> usize {
        usize::try_from(((self.next() >> 32) * most as u64) >> 32).unwrap()
    }

    pub fn order(&mut self) -> OrderId {
        OrderId::from_uuid(uuid::Builder::from_sha1_bytes(self.next_bytes()).into_uuid())
    }

    fn next_bytes(&mut self) -> [u8; 16] {
        Uuid::from_u64_pair(self.next(), self.next()).into_bytes()
    }
}
