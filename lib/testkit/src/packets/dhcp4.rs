//! A machine that wants an address by DHCPv4, and the relay in front of it.

pub use dhcproto::v4::{Message, MessageType};
use dhcproto::{
    Decodable, Decoder, Encodable,
    v4::{
        Architecture, DhcpOption, Opcode, OptionCode,
        relay::{RelayAgentInformation, RelayCode, RelayInfo, UnknownInfo},
    },
};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};
use values::Mac;

/// RFC 8357: the relay wants replies at the port it sent from.
const RELAY_SOURCE_PORT: u8 = 19;
/// The longest UDP payload.
const LARGEST: usize = 65_507;
/// What firmware and loaders ask for (option 55), in the order of iPXE's list where it has them.
const WANTED: [OptionCode; 10] = [
    OptionCode::SubnetMask,
    OptionCode::Router,
    OptionCode::DomainNameServer,
    OptionCode::Hostname,
    OptionCode::DomainName,
    OptionCode::AddressLeaseTime,
    OptionCode::ServerIdentifier,
    OptionCode::ClassIdentifier,
    OptionCode::TFTPServerName,
    OptionCode::BootfileName,
];

/// Who asks.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its hardware address.
    pub mac: Mac,
    /// Option 93; absent: not a boot client.
    pub architecture: Option<u16>,
    /// Option 60.
    pub vendor_class: Option<String>,
    /// Option 77.
    pub user_class: Option<String>,
    /// Absent: it is heard directly.
    pub relay: Option<Relay>,
}

/// A relay agent.
#[derive(Debug, Clone, Copy)]
pub struct Relay {
    /// giaddr: where replies go.
    pub address: Ipv4Addr,
    /// The link the machine is on, where giaddr is not of it (RFC 3527).
    pub link: Option<Ipv4Addr>,
    /// Replies go to the port the relay sends from, not to 67 (RFC 8357).
    pub source_port: bool,
}

impl Machine {
    /// One that only wants an address.
    pub fn new(mac: Mac) -> Machine {
        Machine { mac, architecture: None, vendor_class: None, user_class: None, relay: None }
    }

    /// The same with UEFI firmware of this architecture.
    pub fn with_firmware(self, architecture: u16) -> Machine {
        let class = format!("PXEClient:Arch:{architecture:05}:UNDI:003016");
        Machine { architecture: Some(architecture), vendor_class: Some(class), ..self }
    }

    /// The same once it runs iPXE.
    pub fn with_ipxe(self) -> Machine {
        Machine { user_class: Some("iPXE".into()), ..self }
    }

    /// The same behind a relay.
    pub fn behind(self, relay: Relay) -> Machine {
        Machine { relay: Some(relay), ..self }
    }

    /// DISCOVER.
    pub fn discover(&self, xid: u32) -> Message {
        self.message(xid, MessageType::Discover, [])
    }

    /// REQUEST for what was offered.
    pub fn request(&self, xid: u32, address: Ipv4Addr, server: Ipv4Addr) -> Message {
        let chosen = [DhcpOption::RequestedIpAddress(address), DhcpOption::ServerIdentifier(server)];
        self.message(xid, MessageType::Request, chosen)
    }

    /// Any other message of this machine.
    pub fn message(
        &self,
        xid: u32,
        kind: MessageType,
        more: impl IntoIterator<Item = DhcpOption>,
    ) -> Message {
        let none = Ipv4Addr::UNSPECIFIED;
        let giaddr = self.relay.map_or(none, |relay| relay.address);
        let mut message = Message::new_with_id(xid, none, none, none, giaddr, &self.mac.0);
        message.set_hops(self.relay.is_some().into());
        let options = message.opts_mut();
        options.insert(DhcpOption::MessageType(kind));
        options.insert(DhcpOption::ParameterRequestList(WANTED.to_vec()));
        more.into_iter().for_each(|option| {
            options.insert(option);
        });
        let machine = [
            self.architecture.map(|number| DhcpOption::ClientSystemArchitecture(Architecture(number))),
            self.vendor_class.as_ref().map(|class| DhcpOption::ClassIdentifier(class.clone().into_bytes())),
            self.user_class.as_ref().map(|class| DhcpOption::UserClass(class.clone().into_bytes())),
            self.relay.map(|relay| DhcpOption::RelayAgentInformation(relay.information())),
        ];
        machine.into_iter().flatten().for_each(|option| {
            options.insert(option);
        });
        message
    }
}

impl Relay {
    fn information(&self) -> RelayAgentInformation {
        let mut information = RelayAgentInformation::default();
        if let Some(link) = self.link {
            information.insert(RelayInfo::LinkSelection(link));
        }
        if self.source_port {
            let code = RelayCode::from(RELAY_SOURCE_PORT);
            information.insert(RelayInfo::Unknown(UnknownInfo::new(code, Vec::new())));
        }
        information
    }
}

/// Sends a message and waits for the reply to it (by xid); `None`: there was none within `limit`.
///
/// # Errors
/// Those of the socket.
pub async fn exchange(
    socket: &UdpSocket,
    server: SocketAddr,
    message: &Message,
    limit: Duration,
) -> io::Result<Option<Message>> {
    let bytes = message.to_vec().map_err(io::Error::other)?;
    socket.send_to(&bytes, server).await?;
    let end = Instant::now() + limit;
    let mut buffer = vec![0; LARGEST];
    while let Ok(received) = timeout_at(end, socket.recv_from(&mut buffer)).await {
        let (length, from) = received?;
        let reply = decode(&buffer[..length]).filter(|reply| reply.xid() == message.xid());
        if from == server && reply.is_some() {
            return Ok(reply);
        }
    }
    Ok(None)
}

/// A server's message.
pub fn decode(bytes: &[u8]) -> Option<Message> {
    let message = Message::decode(&mut Decoder::new(bytes)).ok();
    message.filter(|message| message.opcode() == Opcode::BootReply)
}

/// The value of an option as it goes on the wire.
pub fn value(message: &Message, code: impl Into<OptionCode>) -> Option<Vec<u8>> {
    let bytes = message.opts().get(code.into())?.to_vec().ok()?;
    // Code and length come before it; no reply of ours has an option of more than 255 bytes.
    bytes.get(2..).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcpd::wire::parse;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn what_a_machine_sends_is_read_as_it_was_meant() {
        let (address, server) = (Ipv4Addr::new(172, 16, 0, 10), Ipv4Addr::LOCALHOST);
        let relay = Relay { address: server, link: Some(Ipv4Addr::new(172, 16, 0, 1)), source_port: true };
        let machine = Machine::new(MAC).with_firmware(7).with_ipxe().behind(relay);
        let message = parse(&machine.request(0x1234, address, server).to_vec().unwrap()).unwrap();
        assert_eq!((message.xid, message.mac(), message.giaddr), (0x1234, Some(MAC), server));
        assert_eq!(message.message_type(), Some(MessageType::Request));
        assert_eq!(message.architectures().collect::<Vec<_>>(), [7]);
        assert_eq!(message.vendor_class().unwrap(), "PXEClient:Arch:00007:UNDI:003016");
        assert!(message.has_user_class(b"iPXE"));
        assert_eq!(message.address(OptionCode::RequestedIpAddress), Some(address));
        assert_eq!(message.relay_address(5), relay.link);
        assert_eq!(message.relay_suboption(RELAY_SOURCE_PORT), Some(&[][..]));
    }

    #[test]
    fn a_machine_that_is_heard_directly_has_no_relay() {
        let message = parse(&Machine::new(MAC).discover(1).to_vec().unwrap()).unwrap();
        assert!(!message.is_relayed());
        assert_eq!(message.option(OptionCode::RelayAgentInformation), None);
        assert_eq!(message.architectures().count(), 0);
    }

    #[test]
    fn values_are_those_on_the_wire() {
        let message = Machine::new(MAC).with_firmware(7).discover(1);
        assert_eq!(value(&message, 93), Some(vec![0, 7]));
        assert_eq!(value(&message, OptionCode::UserClass), None);
    }
}
