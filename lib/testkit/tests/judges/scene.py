"""Who is who: the machines that SMD lists, the addresses of the wire, and how a message is put on it."""

import dataclasses
import itertools

import wire

SERVER = "172.16.0.253"
#: The relay agent's address towards its clients.
RELAY = "10.40.1.1"
NOWHERE = "0.0.0.0"
BROADCAST = 0x8000
DOMAIN = "openchami.cluster"

KINDS = {"discover": 1, "offer": 2, "request": 3, "decline": 4, "ack": 5, "nak": 6, "release": 7, "inform": 8}


@dataclasses.dataclass(frozen=True)
class Machine:
    mac: str
    ip: str
    nid: int = 0
    id: str = ""
    more: tuple = ()  # further addresses

    @property
    def fqdn(self):
        return f"nid{self.nid:04}.{DOMAIN}"


def node(nid, ip, *more):
    return Machine(f"02:70:00:00:{nid >> 8:02x}:{nid & 255:02x}", ip, nid, f"x1000c0s{nid}b0n0", more)


def stranger(number):
    """A machine that SMD does not list."""
    return Machine(f"02:71:00:00:{number >> 8:02x}:{number & 255:02x}", NOWHERE)


#: On the server's segment.
NODE = node(1, "172.16.0.11")
#: Behind the relay.
FAR = node(2, "10.40.1.12")
#: Cabled to both.
BOTH = node(3, "172.16.0.13", "10.40.1.13")
#: A rule says `ignore`.
IGNORED = node(4, "172.16.0.14")
#: InfiniBand: its MAC travels in option 61.
INFINIBAND = node(5, "172.16.0.15")
#: Others on the server's segment, for what changes state.
NODES = [node(nid, f"172.16.0.{nid + 10}") for nid in range(6, 20)]
#: Has an address inside a pool of pools.yaml.
IN_POOL = Machine("02:70:00:00:01:00", "172.16.0.160", 256, "x1000c1s0b0n0")
ALL = [NODE, FAR, BOTH, IGNORED, INFINIBAND, *NODES]


def inventory(machines):
    """SMD's records, in the form of `smd-sim --file`."""
    return {
        "EthernetInterfaces": [
            {
                "ID": machine.mac.replace(":", ""),
                "MACAddress": machine.mac,
                "ComponentID": machine.id,
                "Type": "Node",
                "IPAddresses": [{"IPAddress": address} for address in (machine.ip, *machine.more)],
            }
            for machine in machines
        ],
        "Components": [
            {"ID": machine.id, "Type": "Node", "NID": machine.nid, "Role": "Compute", "State": "On", "Enabled": True}
            for machine in machines
        ],
    }


_xids = itertools.count(0x5C000001)


@dataclasses.dataclass
class Message:
    """A message of a client and how it travels."""

    kind: str | None  # None: no option 53, BOOTP
    machine: Machine
    way: str = "direct"  # direct · rebind (broadcast with an address) · unicast · relayed
    requested: str | None = None  # option 50
    server: str | None = None  # option 54
    ciaddr: str = NOWHERE
    giaddr: str = RELAY  # where relayed
    agent: bytes | None = None  # option 82
    options: list = dataclasses.field(default_factory=list)
    flags: int = 0
    port: int = 67  # the relay's
    fields: dict = dataclasses.field(default_factory=dict)  # of the header, in place of the usual
    raw: bytes | None = None  # everything behind the cookie, in place of all options
    cookie: bytes = b"\x63\x82\x53\x63"  # where there is `raw`
    xid: int = dataclasses.field(default_factory=lambda: next(_xids))

    def all_options(self):
        chosen = [] if self.kind is None else [("message-type", KINDS[self.kind])]
        if self.requested:
            chosen.append(("requested_addr", self.requested))
        if self.server:
            chosen.append(("server_id", self.server))
        chosen += self.options
        if self.agent is not None:
            chosen += [(82, part) for part in split(self.agent)]
        return chosen

    def frame(self, places):
        """`places` knows MACs: of the server, and of the relay."""
        relayed = self.way == "relayed"
        header = {
            "xid": self.xid,
            "chaddr": wire.hardware(self.machine.mac),
            "flags": self.flags,
            "ciaddr": self.ciaddr,
            "giaddr": self.giaddr if relayed else NOWHERE,
            "hops": 1 if relayed else 0,
        } | self.fields
        message = wire.payload(header, self.all_options(), self.raw, self.cookie)
        if relayed:
            return wire.datagram((places.relay, self.giaddr), (places.server, SERVER), (self.port, 67), message)
        if self.way == "unicast":
            source = (self.machine.mac, self.ciaddr)
            return wire.datagram(source, (places.server, SERVER), (68, 67), message)
        source = (self.machine.mac, self.ciaddr if self.way == "rebind" else NOWHERE)
        return wire.datagram(source, (wire.EVERYBODY, "255.255.255.255"), (68, 67), message)


def split(value):
    """An option's value in parts that fit (RFC 3396)."""
    return [value[at : at + 255] for at in range(0, len(value), 255)] or [b""]


def agent(**suboptions):
    """Option 82: `link`, `override` and `selected` are addresses, anything else is bytes by `s<number>`."""
    known = {"link": 5, "override": 11}
    value = b""
    for name, content in suboptions.items():
        code = known.get(name) or int(name[1:])
        content = bytes(map(int, content.split("."))) if isinstance(content, str) else content
        value += bytes([code, len(content)]) + content
    return value


def octets(address):
    return bytes(map(int, address.split(".")))


class Places:
    """The two ports that messages are sent from, and the MACs of whom they go to."""

    def __init__(self, client, relay):
        self.client = wire.Port(client, "eth0")
        self.up = wire.Port(relay, "up0")
        self.relay = self.up.mac
        self.server = self.up.find(SERVER, "172.16.0.2")

    def port(self, message):
        return self.up if message.way == "relayed" else self.client

    def expect(self, message):
        """Whoever is sent an answer by address must be found, also where that is wrong."""
        if message.ciaddr != NOWHERE:
            self.client.holds[message.ciaddr] = message.machine.mac
        if message.way != "relayed":
            self.client.holds.setdefault(message.machine.ip, message.machine.mac)

    def send(self, message):
        self.expect(message)
        self.port(message).send(message.frame(self))

    def exchange(self, message, seconds=wire.ANSWER):
        """The frame that answers, or None."""
        self.send(message)
        found = self.port(message).answers({message.xid}, seconds)
        return found[message.xid][0] if found else None
