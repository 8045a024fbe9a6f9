//! A decision as sentences.

use super::{Answer, Heard, Kind, Known, record};
use crate::{
    decide::{Destination, Note, Outcome, Reply, Silent},
    wire::{MessageType, OptionCode},
};
use inventory::{Explanation, Interface, Lookup};
use std::net::Ipv4Addr;

/// `found`, `unknown`, `unavailable`.
pub fn outcome(lookup: &Lookup<Interface>) -> &'static str {
    match lookup {
        Lookup::Found(..) => "found",
        Lookup::Unknown => "unknown",
        Lookup::Unavailable => "unavailable",
    }
}

/// Rules that matched the address, or, where none is given, the machine apart from its addresses.
pub fn rules(lookup: &Lookup<Interface>, given: Option<Ipv4Addr>) -> Vec<String> {
    let Lookup::Found(interface, _) = lookup else { return Vec::new() };
    let of_address = given.and_then(|address| interface.address(address.into())).map(|entry| &entry.policy);
    of_address.unwrap_or(&interface.policy).rules.clone()
}

/// The verdict, what the answer holds, what is odd about it, and what smd-cache says.
pub fn sentences(known: &Known<'_>) -> Vec<String> {
    let Known { mac, asked, heard, lookup, host, decision, lent, explanation } = known;
    let kind = match asked.message {
        Kind::Discover => "a DISCOVER",
        Kind::Request => "a REQUEST",
        Kind::Select => "a REQUEST (for our offer)",
        Kind::Renew => "a REQUEST (to renew)",
        Kind::Rebind => "a REQUEST (to rebind)",
        Kind::Inform => "an INFORM",
    };
    let asks = format!("{kind} of {mac} heard {}", heard.words);
    let problems = explanation.iter().flat_map(Explanation::problem_sentences);
    let mut text = Vec::new();
    match &decision.outcome {
        Outcome::Silent(reason) => {
            text.push(format!("dhcpd stays silent to {asks}: {}.", why_silent(*reason, known)));
            text.extend(problems);
        }
        Outcome::Reply(reply) => {
            let answer = answer(reply, heard);
            text.push(format!("dhcpd answers {asks} with {}.", verdict(reply, &answer)));
            if reply.message_type == MessageType::Nak {
                text.extend(why_refused(known));
            }
            text.extend(problems);
            text.extend(contents(known, &answer));
        }
    }
    text.extend(host.map(|host| of_file(host, lookup)));
    text.extend(lent.iter().cloned());
    text.extend(decision.notes.iter().filter_map(remark));
    let rules = rules(lookup, given(&decision.outcome));
    if !rules.is_empty() {
        text.push(format!("Rules that matched: {}.", rules.join(", ")));
    }
    match explanation {
        Some(explanation) => text.extend(explanation.other_sentences()),
        None => text.push("smd-cache cannot be asked for more: this is what dhcpd holds itself.".into()),
    }
    text
}

/// Why the hosts file counts.
fn of_file(host: &Interface, lookup: &Lookup<Interface>) -> String {
    let has = listed(host.addresses.iter().map(|one| one.address));
    let why = match lookup {
        Lookup::Unavailable => "it cannot be told whether SMD has it",
        Lookup::Unknown => "SMD does not have it",
        Lookup::Found(..) => "SMD has no usable record of it",
    };
    format!("The hosts file (`dhcpd.v4.hosts_file`) has {has} for it, and {why}.")
}

fn given(outcome: &Outcome) -> Option<Ipv4Addr> {
    match outcome {
        Outcome::Reply(reply) => Some(reply.packet.yiaddr).filter(|address| !address.is_unspecified()),
        Outcome::Silent(_) => None,
    }
}

fn verdict(reply: &Reply, answer: &Answer) -> String {
    let lease = answer.lease_time.map(lease).unwrap_or_default();
    match (reply.message_type, answer.address) {
        (MessageType::Offer, Some(address)) => format!("an OFFER of {address}{lease}"),
        (MessageType::Ack, Some(address)) => format!("an ACK: {address}{lease}"),
        (MessageType::Ack, None) => "an ACK without an address: it has one".into(),
        (MessageType::Nak, _) => "a NAK: it has to start anew".into(),
        (other, _) => format!("{other:?}"),
    }
}

fn lease(seconds: u32) -> String {
    match seconds {
        u32::MAX => " for ever".into(),
        seconds if seconds % 3600 == 0 => format!(" for {} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!(" for {} min", seconds / 60),
        seconds => format!(" for {seconds} s"),
    }
}

fn contents(known: &Known<'_>, answer: &Answer) -> Vec<String> {
    let mut text = vec![format!("It goes {}.", answer.destination)];
    if answer.kind == "nak" {
        return text;
    }
    if let Some(name) = &answer.name {
        text.push(format!("It is called {name}."));
    }
    let network = [
        answer.netmask.map(|mask| format!("netmask {mask}")),
        (!answer.routers.is_empty()).then(|| format!("router {}", listed(&answer.routers))),
        (!answer.dns.is_empty()).then(|| format!("name server {}", listed(&answer.dns))),
    ];
    let network: Vec<String> = network.into_iter().flatten().collect();
    if !network.is_empty() {
        text.push(format!("Its network: {}.", network.join(", ")));
    }
    text.push(match (&answer.boot_file, known.asked.arch, &known.asked.user_class) {
        (Some(file), ..) if file.contains("://") => format!("It boots {file}."),
        (Some(file), ..) => {
            let from = answer.next_server.map(|server| format!(" from {server}")).unwrap_or_default();
            format!("It boots {file}{from} (TFTP).")
        }
        (None, None, None) => {
            "It boots nothing from us, as it names no architecture; --arch 7 is UEFI on x86-64, --user-class iPXE the loader.".into()
        }
        (None, ..) => "It boots nothing from us: the configuration has no file for it.".into(),
    });
    text
}

/// What `decide` could not say in one word.
fn why_silent(reason: Silent, known: &Known<'_>) -> String {
    let interface = known.host.or_else(|| record(known.lookup));
    match reason {
        Silent::Unknown => match interface {
            None => "SMD does not have it".into(),
            Some(interface) if interface.component.is_none() => match &interface.component_id {
                Some(id) => format!("SMD ties it to {id}, which SMD does not have: it counts as unknown"),
                None => "SMD ties it to no component: it counts as unknown".into(),
            },
            Some(_) => "SMD has no IPv4 address for it: it counts as unknown".into(),
        },
        Silent::Unavailable if matches!(known.lookup, Lookup::Unknown) => {
            "SMD does not have it, but not all of SMD is known here, so it cannot be told which addresses of the pool are free".into()
        }
        Silent::Unavailable => {
            "it cannot be told whether SMD has it, and who cannot tell says nothing".into()
        }
        Silent::Ignored => {
            let rule = interface.and_then(|interface| ignored_by(interface));
            format!("{} says ignore", rule.map_or("a rule".into(), |rule| format!("rule {rule}")))
        }
        Silent::NoAddress => {
            let has = interface.map(|interface| listed(interface.addresses.iter().map(|one| one.address)));
            format!("none of its addresses ({}) is of the subnet it asks from", has.unwrap_or_default())
        }
        Silent::NotForUs => "it is not sent to an address of ours".into(),
        Silent::Bootp => "it has no message type".into(),
        Silent::MessageType => "clients do not send such a message".into(),
        Silent::NoIdentity => "it is all zeros or a group address, which no machine can have".into(),
        Silent::OtherServer => "it names another server".into(),
        Silent::Release | Silent::Decline => "that is never answered".into(),
        Silent::NoServerId => {
            "the interface has no address that could be our identifier; set `dhcpd.v4.server_id`".into()
        }
        Silent::RelayAgent => "its option 82 is too long to be returned, or its giaddr is no relay's".into(),
        Silent::PoolExhausted => "no address is free in the pool of its subnet".into(),
        Silent::Leased => "another machine has its address from a pool".into(),
        Silent::LeaseStore => "leases cannot be written, so none is promised (see `/ready`)".into(),
    }
}

/// Nothing where what is said of leases says it.
fn why_refused(known: &Known<'_>) -> Option<String> {
    let wanted =
        known.asked.requested.map_or_else(|| "What it asks for".to_owned(), |address| address.to_string());
    Some(match known.lookup {
        _ if known.host.is_some() => format!("{wanted} is not its address where it asks."),
        Lookup::Found(interface, _) if !interface.addresses.is_empty() => {
            let has = listed(interface.addresses.iter().map(|one| one.address));
            format!("{wanted} is not its address where it asks; SMD has {has} for it.")
        }
        _ if !known.lent.is_empty() => return None,
        _ => format!("{wanted} is not of the link where it asks."),
    })
}

/// The rule that says so: of the machine, else of its addresses.
fn ignored_by(interface: &Interface) -> Option<&str> {
    let addresses = interface.addresses.iter().map(|entry| &entry.policy);
    let ignoring = std::iter::once(&interface.policy).chain(addresses).find(|policy| policy.ignore);
    ignoring?.rules.last().map(String::as_str)
}

/// Notes that are not the verdict over again.
fn remark(note: &Note) -> Option<String> {
    Some(match note {
        Note::UnknownMac(_) => return None,
        Note::UnconfiguredSubnet { link } => format!(
            "No subnet of the configuration contains {link}, so its first address is given; see `dhcpd.v4.subnets`."
        ),
        Note::OffLink { address } => format!(
            "{address} is in no network of that interface, and is given only because there is none that is; if it is behind a relay, say --relay ADDRESS."
        ),
        Note::NoAddressThere { link } => {
            format!("SMD would have to have an address for it in the subnet of {link}.")
        }
        Note::NoLoader { architecture } => {
            format!("There is no boot loader for architecture {architecture}; see `boot.loaders`.")
        }
        Note::PoolExhausted { subnet } => {
            format!("The pool of {subnet} is exhausted; `dhcpd leases list` says by whom.")
        }
        Note::Leased { address, holder } => format!(
            "{holder} has {address} from a pool until it asks again, and is refused it then; `dhcpd leases release {holder}` frees it now."
        ),
        Note::LeftOut { codes } => format!("There is no room in the answer for the options {codes:?}."),
        Note::Conflict { .. } | Note::Released { .. } => note.to_string(),
    })
}

/// What an operator looks for in a reply.
pub fn answer(reply: &Reply, heard: &Heard) -> Answer {
    let packet = &reply.packet;
    let some = |address: Ipv4Addr| Some(address).filter(|address| !address.is_unspecified());
    let text = |code: OptionCode| {
        let value = packet.options.value(code)?;
        Some(String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned())
    };
    let addresses = |code: OptionCode| -> Vec<Ipv4Addr> {
        let (all, _) = packet.options.value(code).unwrap_or_default().as_chunks::<4>();
        all.iter().map(|octets| Ipv4Addr::from(*octets)).collect()
    };
    let number = |code: OptionCode| packet.options.value(code)?.try_into().ok().map(u32::from_be_bytes);
    Answer {
        kind: format!("{:?}", reply.message_type).to_lowercase(),
        address: some(packet.yiaddr),
        lease_time: number(OptionCode::AddressLeaseTime),
        name: text(OptionCode::Hostname),
        domain: text(OptionCode::DomainName),
        boot_file: text(OptionCode::BootfileName).or_else(|| packet.file.clone()),
        next_server: some(packet.siaddr),
        routers: addresses(OptionCode::Router),
        netmask: addresses(OptionCode::SubnetMask).first().copied(),
        dns: addresses(OptionCode::DomainNameServer),
        destination: destination(reply, heard),
        line: reply.to_string(),
    }
}

fn destination(reply: &Reply, heard: &Heard) -> String {
    let on = |index: u32| {
        let known = heard.interfaces.iter().find(|(known, _)| *known == index);
        known.map_or_else(|| format!("interface {index}"), |(_, name)| name.clone())
    };
    let way = match &reply.destination {
        Destination::Unicast(to) => format!("by unicast to {to}"),
        Destination::Broadcast { interface, port } => {
            format!("as a broadcast on {} to port {port}", on(*interface))
        }
        Destination::Link { mac, interface, .. } => format!("in a frame to {mac} on {}", on(*interface)),
    };
    format!("{way}, from {}", reply.source)
}

fn listed(things: impl IntoIterator<Item = impl ToString>) -> String {
    let all: Vec<String> = things.into_iter().map(|thing| thing.to_string()).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}
