//! Response rate limiting: how many answers of a kind a network gets over UDP, where anybody can claim to be anybody.
//!
//! A flood of queries with the address of a victim makes a server send the victim what it did not ask for. Above the rate most
//! answers are left out; every second one (`slip`) says "truncated" in their place, so that a real client in that network asks again over
//! TCP and is served. No I/O and no clock: time comes in as milliseconds.
//!
//! ```text
//! network and kind ─hash▶ one of 65,536 buckets of 8 bytes: who used it last, credit, when
//! ```
//! Memory is bounded because buckets are shared by those whose hashes meet: they get less together, and TCP if it is too little. All threads
//! use the same buckets without locks; two that meet in one may let an answer through too many.

use crate::wire::Rcode;
use config::RateLimit;
use ipnet::IpNet;
use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Half a megabyte. A guess: many more networks than a cluster has.
const BUCKETS: usize = 65_536;

/// Bits of the credit. A second's worth fills them, so that a small rate grows in steps of a millisecond, too, and there are a hundred
/// steps in an answer at the highest rate that the configuration takes.
const CREDIT_BITS: u32 = 24;
/// Bits of the time in milliseconds; it begins again after 4.6 hours, when a bucket may look fuller or emptier than it is, for a second.
const TIME_BITS: u32 = 24;

/// What kind of answer it is; each has a rate of its own, so that a flood of nonsense leaves room for what is asked in earnest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// NOERROR.
    Answer,
    /// NXDOMAIN.
    Absent,
    /// Everything else.
    Failure,
}

impl From<Rcode> for Kind {
    fn from(rcode: Rcode) -> Kind {
        match rcode {
            Rcode::NoError => Kind::Answer,
            Rcode::NxDomain => Kind::Absent,
            _ => Kind::Failure,
        }
    }
}

/// What is done with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent.
    Send,
    /// In its place the client is told to use TCP.
    Slip,
    /// Nothing is sent.
    Drop,
}

/// The buckets.
pub struct Limiter {
    limit: RateLimit,
    buckets: Box<[AtomicU64]>,
    /// What an answer costs.
    price: u64,
    /// Nobody who chooses addresses can make them meet.
    seed: u64,
}

impl Limiter {
    /// All of them full.
    pub fn new(limit: RateLimit) -> Limiter {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        let price = mask(CREDIT_BITS) / u64::from(limit.responses_per_second).max(1);
        Limiter { limit, buckets, price, seed: fastrand::u64(..) }
    }

    /// What it was made of.
    pub fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Takes an answer of this kind to this client out of its bucket. `now`: milliseconds since any fixed moment.
    pub fn verdict(&self, client: IpAddr, kind: Kind, now: u64) -> Verdict {
        if self.limit.exempt.iter().any(|network: &IpNet| network.contains(&client)) {
            return Verdict::Send;
        }
        let hash = self.hash(client, kind);
        let bucket = &self.buckets[hash as usize % BUCKETS];
        let (credit, since) = self.filled(bucket.load(Relaxed), hash, now);
        let (left, verdict) = match credit.checked_sub(self.price) {
            Some(left) => (left, Verdict::Send),
            None => (credit, self.over()),
        };
        bucket.store(tag(hash) << (CREDIT_BITS + TIME_BITS) | left << TIME_BITS | since, Relaxed);
        verdict
    }

    /// Credit of a bucket at this time, and since when it counts.
    fn filled(&self, bucket: u64, hash: u64, now: u64) -> (u64, u64) {
        let most = u64::from(self.limit.responses_per_second) * self.price;
        let now = now & mask(TIME_BITS);
        let since = bucket & mask(TIME_BITS);
        let passed = now.wrapping_sub(since) & mask(TIME_BITS);
        let is_others = bucket >> (CREDIT_BITS + TIME_BITS) != tag(hash);
        // Whoever used it before has been quiet for a second: then nothing is owed.
        if bucket == 0 || is_others && passed >= 1000 {
            return (most, now);
        }
        match passed * most / 1000 {
            0 => (bucket >> TIME_BITS & mask(CREDIT_BITS), since),
            more => ((bucket >> TIME_BITS & mask(CREDIT_BITS)).saturating_add(more).min(most), now),
        }
    }

    fn over(&self) -> Verdict {
        let slips = match self.limit.slip {
            0 => false,
            every => fastrand::u32(..every) == 0,
        };
        if slips { Verdict::Slip } else { Verdict::Drop }
    }

    /// Of the /24 or /56, as other servers do: a site has as many addresses.
    fn hash(&self, client: IpAddr, kind: Kind) -> u64 {
        let network = match client {
            IpAddr::V4(address) => u64::from(address.to_bits() >> 8),
            IpAddr::V6(address) => 1 << 63 | (address.to_bits() >> 72) as u64,
        };
        xxh3_64_with_seed(&[&network.to_ne_bytes()[..], &[kind as u8]].concat(), self.seed)
    }
}

fn tag(hash: u64) -> u64 {
    // Never 0: that is a bucket nobody has used.
    hash >> (CREDIT_BITS + TIME_BITS) | 1
}

fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(responses_per_second: u32, slip: u32) -> Limiter {
        Limiter::new(RateLimit { responses_per_second, slip, exempt: vec!["10.0.0.0/8".parse().unwrap()] })
    }

    fn client(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of so many answers at one moment are sent.
    fn sent(limiter: &Limiter, who: &str, kind: Kind, count: usize, now: u64) -> usize {
        (0..count).filter(|_| limiter.verdict(client(who), kind, now) == Verdict::Send).count()
    }

    #[test]
    fn a_network_gets_its_rate_and_no_more() {
        for rate in [1, 5, 200, 100_000] {
            let limiter = limiter(rate, 0);
            let rate = rate as usize;
            assert_eq!(
                sent(&limiter, "192.0.2.1", Kind::Answer, rate * 2, 5000),
                rate,
                "a second's worth at once"
            );
            let later: usize = (5001..=15_000)
                .map(|now| sent(&limiter, "192.0.2.200", Kind::Answer, rate / 500 + 1, now))
                .sum();
            let wanted = rate * 10;
            assert!(later <= wanted && later * 100 >= wanted * 90, "ten seconds: {later} of {wanted}");
        }
    }

    #[test]
    fn other_networks_other_kinds_and_who_is_exempt_are_not_touched() {
        let limiter = limiter(10, 0);
        assert_eq!(sent(&limiter, "192.0.2.1", Kind::Absent, 1000, 1), 10);
        assert_eq!(sent(&limiter, "192.0.2.1", Kind::Answer, 1000, 1), 10);
        assert_eq!(sent(&limiter, "192.0.3.1", Kind::Absent, 1000, 1), 10);
        assert_eq!(sent(&limiter, "2001:db8::1", Kind::Absent, 1000, 1), 10);
        assert_eq!(sent(&limiter, "2001:db8:0:ff::1", Kind::Absent, 1000, 1), 0, "the same /56");
        assert_eq!(sent(&limiter, "10.1.2.3", Kind::Absent, 1000, 1), 1000);
    }

    #[test]
    fn what_is_over_the_rate_slips_as_often_as_it_should() {
        for (slip, least, most) in [(0, 0, 0), (1, 10_000, 10_000), (2, 4_500, 5_500)] {
            let limiter = limiter(1, slip);
            sent(&limiter, "192.0.2.1", Kind::Answer, 1, 7);
            let slips = (0..10_000)
                .filter(|_| limiter.verdict(client("192.0.2.1"), Kind::Answer, 7) == Verdict::Slip);
            let slips = slips.count();
            assert!((least..=most).contains(&slips), "{slip}: {slips}");
        }
    }

    #[test]
    fn a_flood_from_everywhere_grows_nothing_and_a_quiet_second_forgives() {
        let limiter = limiter(10, 0);
        for number in 0..1_000_000u32 {
            limiter.verdict(IpAddr::V4((number << 8).into()), Kind::Answer, 1000);
        }
        assert_eq!(limiter.buckets.len(), BUCKETS);
        assert_eq!(sent(&limiter, "203.0.113.1", Kind::Answer, 100, 2000), 10);
    }

    #[test]
    fn time_that_begins_again_stops_nobody_for_good() {
        let limiter = limiter(10, 0);
        let end = 1 << TIME_BITS;
        assert_eq!(sent(&limiter, "192.0.2.1", Kind::Answer, 20, end - 10), 10);
        assert_eq!(sent(&limiter, "192.0.2.1", Kind::Answer, 20, end + 990), 10);
    }
}
