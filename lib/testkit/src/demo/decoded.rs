//! DHCP messages as names and values that a person reads.

use crate::packets::dhcp4::{Message, value};
use std::net::Ipv4Addr;

/// What a fact about a message looks like: its name, with the number of the option it stands in, and its value.
type Fact = (String, String);

/// How the value of an option is read.
#[derive(Clone, Copy)]
enum Kind {
    Addresses,
    Seconds,
    Text,
    Architecture,
    Relay,
    Pxe,
    Ipxe,
}

/// What matters of what a client sends, in telling order.
const OF_CLIENTS: [(u8, &str, Kind); 6] = [
    (50, "wanted address", Kind::Addresses),
    (54, "chosen server", Kind::Addresses),
    (60, "vendor class", Kind::Text),
    (77, "user class", Kind::Text),
    (93, "architecture", Kind::Architecture),
    (82, "relay agent", Kind::Relay),
];

/// What matters of a reply.
const OF_SERVERS: [(u8, &str, Kind); 11] = [
    (1, "netmask", Kind::Addresses),
    (3, "router", Kind::Addresses),
    (6, "name server", Kind::Addresses),
    (12, "host name", Kind::Text),
    (15, "domain", Kind::Text),
    (51, "lease time", Kind::Seconds),
    (54, "server", Kind::Addresses),
    (67, "boot file", Kind::Text),
    (43, "for PXE firmware", Kind::Pxe),
    (175, "for iPXE", Kind::Ipxe),
    (82, "relay agent", Kind::Relay),
];

/// The facts of a client's message that an earlier one did not state in the same words.
pub(super) fn of_client(message: &Message, before: Option<&Message>) -> Vec<Fact> {
    let known = before.map(|before| facts(before, &OF_CLIENTS)).unwrap_or_default();
    facts(message, &OF_CLIENTS).into_iter().filter(|fact| !known.contains(fact)).collect()
}

/// The facts of a reply that an earlier one did not state in the same words.
pub(super) fn of_server(message: &Message, before: Option<&Message>) -> Vec<Fact> {
    let known = before.map(reply).unwrap_or_default();
    reply(message).into_iter().filter(|fact| !known.contains(fact)).collect()
}

fn reply(message: &Message) -> Vec<Fact> {
    let mut facts = facts(message, &OF_SERVERS);
    facts.insert(0, ("your address (yiaddr)".into(), message.yiaddr().to_string()));
    let file = facts.iter().position(|(name, _)| name == "boot file (67)");
    if let Some(at) = file.filter(|_| !message.siaddr().is_unspecified()) {
        facts.insert(at + 1, ("boot server (siaddr)".into(), message.siaddr().to_string()));
    }
    facts
}

/// An option as text, without the NUL that old ROMs want behind it.
pub(super) fn text(message: &Message, code: u8) -> Option<String> {
    let bytes = value(message, code)?;
    Some(String::from_utf8_lossy(bytes.strip_suffix(&[0]).unwrap_or(&bytes)).into_owned())
}

fn facts(message: &Message, table: &[(u8, &str, Kind)]) -> Vec<Fact> {
    let fact = |(code, name, kind): &(u8, &str, Kind)| {
        let bytes = value(message, *code)?;
        let told = match kind {
            Kind::Text => text(message, *code),
            kind => kind.tell(&bytes),
        };
        Some((format!("{name} ({code})"), told.unwrap_or_else(|| hexadecimal(&bytes))))
    };
    table.iter().filter_map(fact).collect()
}

impl Kind {
    /// `None`: not what it should be.
    fn tell(self, bytes: &[u8]) -> Option<String> {
        match self {
            Kind::Addresses => addresses(bytes),
            Kind::Seconds => Some(format!("{} s", u32::from_be_bytes(bytes.try_into().ok()?))),
            Kind::Architecture => {
                let number = u16::from_be_bytes(bytes.first_chunk().copied()?);
                Some(format!("{number}, {}", architecture(number)))
            }
            Kind::Relay => relay(bytes),
            Kind::Pxe => {
                (bytes.starts_with(&[6, 1, 8])).then(|| "take the boot file, look for no other server".into())
            }
            Kind::Ipxe => (bytes == [176, 1, 1]).then(|| "176=1: do not wait for a proxy DHCP server".into()),
            Kind::Text => None,
        }
    }
}

fn addresses(bytes: &[u8]) -> Option<String> {
    let (fours, []) = bytes.as_chunks::<4>() else { return None };
    let texts: Vec<String> = fours.iter().map(|four| Ipv4Addr::from(*four).to_string()).collect();
    Some(texts.join(", "))
}

fn relay(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes;
    let mut told = Vec::new();
    while let [code, length, after @ ..] = rest {
        let value = after.get(..*length as usize)?;
        told.push(match code {
            5 => format!("the machine is on the link of {}", addresses(value)?),
            19 => "answer to the port I send from".to_owned(),
            other => format!("{other}={}", hexadecimal(value)),
        });
        rest = &after[value.len()..];
    }
    Some(told.join("; "))
}

fn architecture(number: u16) -> &'static str {
    match number {
        0 => "PC with BIOS",
        7 | 9 => "UEFI, 64 bit",
        11 => "UEFI on ARM, 64 bit",
        _ => "see IANA's processor architecture types",
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::dhcp4::{Machine, Relay};
    use values::Mac;

    #[test]
    fn options_by_name_and_meaning() {
        let relay = Relay {
            address: Ipv4Addr::LOCALHOST,
            link: Some(Ipv4Addr::new(172, 16, 0, 1)),
            source_port: true,
        };
        let machine = Machine::new(Mac([2, 0, 0, 0, 0, 1])).with_firmware(7).with_ipxe().behind(relay);
        let request = machine.request(1, Ipv4Addr::new(172, 16, 0, 10), Ipv4Addr::LOCALHOST);
        let lines = |told: Vec<Fact>| -> Vec<String> {
            told.iter().map(|(name, value)| format!("{name}: {value}")).collect()
        };
        assert_eq!(
            lines(of_client(&request, None)),
            [
                "wanted address (50): 172.16.0.10",
                "chosen server (54): 127.0.0.1",
                "vendor class (60): PXEClient:Arch:00007:UNDI:003016",
                "user class (77): iPXE",
                "architecture (93): 7, UEFI, 64 bit",
                "relay agent (82): the machine is on the link of 172.16.0.1; answer to the port I send from",
            ]
        );
        let news = of_client(&request, Some(&machine.discover(1)));
        assert_eq!(lines(news), ["wanted address (50): 172.16.0.10", "chosen server (54): 127.0.0.1"]);
    }

    #[test]
    fn what_is_not_as_it_should_be_is_shown_in_hexadecimal() {
        assert_eq!(Kind::Addresses.tell(&[1, 2, 3]), None);
        assert_eq!(Kind::Relay.tell(&[5, 9, 1]), None);
        assert_eq!(Kind::Seconds.tell(&[1]), None);
        assert_eq!(hexadecimal(&[1, 0xab]), "01ab");
    }
}
