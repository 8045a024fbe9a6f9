//! Options that a site lists, by key or by number: what its rules say of a machine counts more than its subnet, and that
//! more than what holds everywhere.
//!
//! Those that have a key of their own go to who asks for them, in the order of [`ASKED`]; all others to everybody,
//! in place of what we would say ourselves.

use crate::{
    config::Values,
    wire::{Message, Options},
};
use inventory::{DhcpOption, Policy};

/// Sent where asked for, the most important ones first: MTU, search list, IPv6-only, NTP, log and time servers.
const ASKED: [u8; 6] = [26, 119, IPV6_ONLY, 42, 7, 4];
/// RFC 8925 §3.3: never unless listed.
const IPV6_ONLY: u8 = 108;
/// RFC 3442.
const STATIC_ROUTES: u8 = 121;
const NAME_SERVERS: u8 = 6;
const LEASE_TIME: u8 = 51;
/// T1 and T2.
const TIMES: [u8; 2] = [58, 59];
/// Known of the machine itself, which is nearer than its subnet: its names, and what it boots. Only a rule replaces these.
const OF_THE_MACHINE: [u8; 6] = [12, 15, 43, 60, 66, 67];
/// Set by the protocol, never by a site: padding, request, overload, type, server, list, text, size, client, rapid
/// commit, relay, identifier, auto-configuration, subnet selection, end.
const OURS_ALONE: [u8; 15] = [0, 50, 52, 53, 54, 55, 56, 57, 61, 80, 82, 97, 116, 118, 255];

/// What is listed for one answer.
pub(super) struct Listed<'a> {
    rules: &'a [DhcpOption],
    values: &'a [(u8, Vec<u8>)],
}

impl<'a> Listed<'a> {
    pub(super) fn new(policy: Option<&'a Policy>, values: &'a Values) -> Listed<'a> {
        Listed { rules: policy.map_or(&[], |policy| &policy.options), values: &values.options }
    }

    /// The nearest value; an empty one says: none.
    fn nearest(&self, code: u8) -> Option<&'a [u8]> {
        let of_rules = self.rules.iter().find(|option| option.code == code).map(|option| &option.value);
        let of_place = || self.values.iter().find(|(held, _)| *held == code).map(|(_, value)| value);
        of_rules.or_else(of_place).map(Vec::as_slice)
    }

    /// What a rule says of the lease time, in seconds.
    pub(super) fn lease_time(&self) -> Option<u32> {
        self.nearest(LEASE_TIME)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// The name servers of a rule; an empty list of them: none.
    pub(super) fn name_servers(&self) -> Option<&'a [u8]> {
        self.nearest(NAME_SERVERS)
    }

    /// Where the client asks for routes, they stand in for the router (RFC 3442).
    pub(super) fn routes(&self, message: &Message) -> Option<&'a [u8]> {
        self.nearest(STATIC_ROUTES).filter(|routes| !routes.is_empty() && message.asks_for(STATIC_ROUTES))
    }

    /// What the client asks for.
    pub(super) fn put_asked(&self, options: &mut Options, message: &Message) {
        for code in ASKED {
            let is_asked = match code {
                IPV6_ONLY => message.lists(code),
                _ => message.asks_for(code),
            };
            if let Some(value) = self.nearest(code).filter(|value| is_asked && !value.is_empty()) {
                options.put(code, value);
            }
        }
    }

    /// All that has no key of its own: instead of ours, in its place; an empty one takes ours out. T1 and T2 only where they
    /// come before the lease's end (RFC 2131 §4.4.5): they may be listed for longer leases than a guest's.
    pub(super) fn put_others(&self, options: &mut Options, lease_time: Option<u32>) {
        if self.rules.is_empty() && self.values.is_empty() {
            return; // as for most machines, and packets
        }
        let has_place = |code: &u8| {
            let elsewhere = [STATIC_ROUTES, NAME_SERVERS, LEASE_TIME];
            ASKED.contains(code) || OURS_ALONE.contains(code) || elsewhere.contains(code)
        };
        let of_rules = self.rules.iter().map(|option| (option.code, &option.value));
        let by_rules = |code: u8| self.rules.iter().any(|option| option.code == code);
        let of_place = self.values.iter().map(|(code, value)| (*code, value));
        let comes_late = |time: &[u8]| {
            let time = time.try_into().ok().map(u32::from_be_bytes);
            lease_time.is_none_or(|end| time.is_some_and(|time| time >= end))
        };
        let is_known = OF_THE_MACHINE.map(|code| options.value(code).is_some());
        let known =
            |code: u8| OF_THE_MACHINE.iter().zip(is_known).any(|(held, known)| known && *held == code);
        let of_place = of_place.filter(|(code, _)| !by_rules(*code) && !known(*code));
        for (code, value) in of_rules.chain(of_place) {
            if has_place(&code) || (TIMES.contains(&code) && comes_late(value)) {
                continue;
            }
            match value.is_empty() {
                true => options.remove(code),
                false => options.set(code, value),
            }
        }
    }
}
