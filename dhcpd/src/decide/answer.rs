//! What stands in OFFER, ACK and NAK.

use super::{
    Decision, Note, Outcome, Place, Question, Reply, Silent,
    destination::{destination, own_address, server_id},
    listed::Listed,
};
use crate::{
    boot::{BootFile, Machine},
    config::{Unknown, Values},
    wire::{BROADCAST_FLAG, LONGEST_PART, Message, MessageType, OptionCode, Options, Packet, limit},
};
use inventory::{Address, Interface};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;
use values::Mac;

/// RFC 2131 §3.3: a lease without end.
const FOR_EVER: u32 = u32::MAX;
/// RFC 2563 §2.3: the client may not give itself an address.
const DO_NOT_AUTO_CONFIGURE: [u8; 1] = [0];

/// An OFFER or ACK in the making.
pub(super) struct Answer<'q, 'a> {
    pub(super) question: &'q Question<'a>,
    pub(super) interface: &'a Interface,
    /// Given, or, for an INFORM, the one whose values hold.
    pub(super) given: Option<(Ipv4Addr, &'a Address)>,
    /// It is a guest of a pool.
    pub(super) unknown: Option<&'a Unknown>,
}

/// What an answer is from.
struct Server {
    /// Source address.
    source: Ipv4Addr,
    /// Option 54.
    id: Ipv4Addr,
    /// siaddr where nothing else is said.
    default_next: Ipv4Addr,
}

impl Server {
    fn of(question: &Question<'_>, client: Ipv4Addr) -> Option<Server> {
        let own = own_address(question, client);
        let configured = question.config.server_id;
        // Not the relay's (RFC 5107): nothing can be sent from an address that is not ours.
        let source = own.or(configured)?;
        let id = server_id(question, own)?;
        Some(Server { source, id, default_next: configured.unwrap_or(source) })
    }
}

impl Answer<'_, '_> {
    /// OFFER or ACK.
    pub(super) fn grant(&self, kind: MessageType) -> Decision {
        let Question { config, message, .. } = self.question;
        let is_inform = self.question.kind == MessageType::Inform;
        let address = self.given.map(|(address, _)| address);
        let client = address.unwrap_or(message.ciaddr);
        let Some(server) = Server::of(self.question, client) else {
            return Decision::silent(Silent::NoServerId);
        };
        let policy = self.given.map(|(_, entry)| &entry.policy);
        let boot_file = self.given.and_then(|(_, address)| {
            let machine = Machine { interface: self.interface, address };
            match self.unknown {
                Some(unknown) => BootFile::of_guest(&config.boot, unknown, message, &machine),
                None => BootFile::choose(&config.boot, message, &machine),
            }
        });
        let next_server = boot_file
            .as_ref()
            .and_then(BootFile::server)
            .or_else(|| policy.and_then(|policy| policy.next_server))
            .or(config.boot.tftp_server)
            .unwrap_or(server.default_next);

        let mut packet = packet(message, kind, server.id);
        let yiaddr = address.filter(|_| !is_inform).unwrap_or(Ipv4Addr::UNSPECIFIED);
        packet.yiaddr = yiaddr;
        packet.siaddr = next_server;
        packet.file = boot_file.as_ref().and_then(|file| file.file_field().map(str::to_owned));
        if kind == MessageType::Ack {
            packet.ciaddr = message.ciaddr;
        }
        if is_inform && message.is_relayed() && message.ciaddr.is_unspecified() {
            packet.flags |= BROADCAST_FLAG; // the relay has no address to bring it to
        }
        self.put_options(&mut packet.options, boot_file.as_ref(), next_server, client, is_inform);

        let left_out = packet.left_out();
        let note = (!left_out.is_empty()).then_some(Note::LeftOut { codes: left_out });
        reply(kind, self.question, yiaddr, server.source, packet)
            .with(note)
            .with(missing_loader(message, boot_file.as_ref()))
    }

    /// By rank: see [`Packet`].
    fn put_options(
        &self,
        options: &mut Options,
        boot_file: Option<&BootFile>,
        next_server: Ipv4Addr,
        client: Ipv4Addr,
        is_inform: bool,
    ) {
        let Question { config, message, .. } = self.question;
        let values = config.values(client);
        let policy = self.given.map(|(_, entry)| &entry.policy);
        let listed = Listed::new(policy, values);
        let lease_time = match self.unknown {
            Some(unknown) => unknown.lease_time,
            None => listed.lease_time().unwrap_or(values.lease_time),
        };
        if !is_inform {
            options.number(OptionCode::AddressLeaseTime, lease_time);
        }
        if let Some(length) = self.prefix_length(values, client) {
            options.addresses(OptionCode::SubnetMask, &[mask(length)]);
        }
        let routers = policy.map(|policy| &policy.routers).filter(|routers| !routers.is_empty());
        let routes = listed.routes(message);
        if routes.is_none() || message.asks_for(OptionCode::Router) {
            options.addresses(OptionCode::Router, routers.unwrap_or(&values.router));
        }
        if let Some(routes) = routes {
            options.put(OptionCode::ClasslessStaticRoute, routes);
        }
        if let Some(file) = boot_file {
            file.put(options, message, next_server);
        }
        echo(options, message, OptionCode::ClientMachineIdentifier); // RFC 4578 §2.1
        echo(options, message, OptionCode::ClientIdentifier); // RFC 6842
        if let Some((_, entry)) = self.given {
            options.text(OptionCode::Hostname, &entry.fqdn);
            options.text(OptionCode::DomainName, &entry.domain);
        }
        if message.asks_for(OptionCode::DomainNameServer) || boot_file.is_some_and(BootFile::needs_dns) {
            match listed.name_servers() {
                Some([]) => {}
                Some(servers) => options.put(OptionCode::DomainNameServer, servers),
                None => options.addresses(OptionCode::DomainNameServer, &values.dns),
            }
        }
        listed.put_asked(options, message);
        options.text(OptionCode::RootPath, &next_server.to_string());
        if !is_inform && lease_time != FOR_EVER {
            let (renew, rebind) = times(lease_time, self.interface.mac);
            options.number(OptionCode::Renewal, renew);
            options.number(OptionCode::Rebinding, rebind);
        }
        if Place::of_stranger(self.question).honours_subnet_selection(self.question) {
            echo(options, message, OptionCode::SubnetSelection);
        }
        listed.put_others(options, (!is_inform).then_some(lease_time));
    }

    /// Rule, subnet, global; where none of them says, the network that the address lies in.
    fn prefix_length(&self, values: &Values, client: Ipv4Addr) -> Option<u8> {
        let policy = self.given.and_then(|(_, entry)| entry.policy.prefix_length);
        policy
            .or(values.netmask)
            .or_else(|| self.question.network(client).map(|network| network.prefix_len()))
    }
}

/// NAK: nothing but who says so (RFC 2131 table 3).
pub(super) fn refuse(question: &Question<'_>) -> Decision {
    let Question { message, .. } = question;
    let client = if message.is_relayed() { message.giaddr } else { message.ciaddr };
    let Some(server) = Server::of(question, client) else {
        return Decision::silent(Silent::NoServerId);
    };
    let mut packet = packet(message, MessageType::Nak, server.id);
    // A longer one would need option 52, which a NAK must not have.
    if message.option(OptionCode::ClientIdentifier).is_some_and(|id| id.len() <= LONGEST_PART) {
        echo(&mut packet.options, message, OptionCode::ClientIdentifier);
    }
    if message.is_relayed() {
        packet.flags |= BROADCAST_FLAG; // the client may have no address to be reached at (RFC 2131 §4.3.2)
    }
    reply(MessageType::Nak, question, Ipv4Addr::UNSPECIFIED, server.source, packet)
}

/// An OFFER without an address, for who asks whether it may give itself one, and may not (RFC 2563).
pub(super) fn forbid_auto_configure(question: &Question<'_>, link: Ipv4Addr) -> Decision {
    let Some(server) = Server::of(question, link) else {
        return Decision::silent(Silent::NoServerId);
    };
    let mut packet = packet(question.message, MessageType::Offer, server.id);
    packet.options.put(OptionCode::DisableSLAAC, &DO_NOT_AUTO_CONFIGURE);
    echo(&mut packet.options, question.message, OptionCode::ClientIdentifier);
    reply(MessageType::Offer, question, Ipv4Addr::UNSPECIFIED, server.source, packet)
}

/// What every reply copies.
fn packet(message: &Message, kind: MessageType, server_id: Ipv4Addr) -> Packet {
    let mut options = Options::new();
    options.message_type(kind);
    options.addresses(OptionCode::ServerIdentifier, &[server_id]);
    let relay_agent = message.option(OptionCode::RelayAgentInformation);
    let accepts = message.option(OptionCode::MaxMessageSize).and_then(|size| size.try_into().ok());
    Packet {
        htype: message.htype,
        hlen: message.hlen,
        xid: message.xid,
        flags: message.flags,
        ciaddr: Ipv4Addr::UNSPECIFIED,
        yiaddr: Ipv4Addr::UNSPECIFIED,
        siaddr: Ipv4Addr::UNSPECIFIED,
        giaddr: message.giaddr,
        chaddr: message.chaddr,
        file: None,
        options,
        relay_agent: relay_agent.map(<[u8]>::to_vec),
        limit: limit(accepts.map(u16::from_be_bytes), relay_agent),
    }
}

fn reply(
    kind: MessageType,
    question: &Question<'_>,
    given: Ipv4Addr,
    source: Ipv4Addr,
    packet: Packet,
) -> Decision {
    let destination = destination(question, kind, given);
    let reply = Reply { message_type: kind, destination, source, packet };
    Decision { outcome: Outcome::Reply(Box::new(reply)), notes: Vec::new(), updates: Vec::new() }
}

/// Returns an option as it came.
fn echo(options: &mut Options, message: &Message, code: OptionCode) {
    if let Some(value) = message.option(code) {
        options.put(code, value);
    }
}

/// T1 and T2 (RFC 2131 §4.4.5): half and seven eighths. T1 is up to a sixteenth of the lease earlier, differently for
/// each MAC, so that a cluster that booted at once does not renew at once.
fn times(lease: u32, mac: Mac) -> (u32, u32) {
    let [.., a, b, c, d] = mac.0;
    let spread = u32::from_be_bytes([a, b, c, d]).wrapping_mul(0x9e37_79b1) >> 16; // Knuth's multiplicative hash
    let earlier = ((lease / 16) as u64 * spread as u64) >> 16;
    (lease / 2 - earlier as u32, lease - lease / 8)
}

fn mask(prefix_length: u8) -> Ipv4Addr {
    Ipv4Net::new(Ipv4Addr::UNSPECIFIED, prefix_length.min(32)).expect("at most 32").netmask()
}

/// A client that names an architecture and gets no file.
fn missing_loader(message: &Message, boot_file: Option<&BootFile>) -> Option<Note> {
    let architecture = message.architectures().next()?;
    boot_file.is_none().then_some(Note::NoLoader { architecture })
}
