"""What dhcpd promises machines that SMD lists, one entry a promise: DESIGN.md's decision table, RFC 2131 and its family.

    promise(source, "what is promised", message, check, check ...)

`silent` in place of checks: no answer at all. The checks are in judge.py.
"""

from judge import (
    absent, broadcast, echoes_agent, field, framed, gives, has, lie, longest, not_before, order, parts, promise, shortest,
    silent, terminated, to_relay, unicast,
)
from scene import (
    BOTH, BROADCAST, FAR, IGNORED, INFINIBAND, NODE, NODES, NOWHERE, RELAY, SERVER, Message, agent, octets, stranger,
)
from scapy.layers.dhcp import DHCP

CIRCUIT = b"\x01\x06ge-0/1\x02\x03abc\x01\x01z"  # sub-options unordered and repeated: what must come back verbatim
GUID = b"\0" + bytes(range(16))
PXE = [("vendor_class_id", b"PXEClient:Arch:00007:UNDI:003016"), (97, GUID)]
ARCH = {"bios": 0, "uefi": 7, "http": 16, "arm": 11}
IPXE = (77, b"iPXE")
SCRIPT = f"http://{SERVER}:8081/boot/v1/bootscript?mac="


def arch(*names):
    return (93, b"".join(ARCH[name].to_bytes(2, "big") for name in names))


def discover(machine=NODE, **more):
    return Message("discover", machine, **more)


def request(machine=NODE, **more):
    return Message("request", machine, **more)


def relayed(kind="discover", machine=FAR, **more):
    return Message(kind, machine, way="relayed", **more)


def moved():
    """An address that NODE does not have."""
    return "172.16.0.99"


# ---- the decision table: known machines ---------------------------------------------------------------------------------

promise("DESIGN, RFC 2131 §4.3.1", "DISCOVER is answered with an OFFER of the machine's own address",
        discover(), gives("offer", NODE), has(server_id=SERVER, lease_time=3600, subnet_mask="255.255.255.0"))
promise("RFC 2131 §4.3.1", "a DISCOVER that asks for another address is offered its own",
        discover(requested=moved()), gives("offer", NODE))
promise("RFC 2131 §4.3.2", "SELECTING: REQUEST naming us is answered with an ACK",
        request(requested=NODE.ip, server=SERVER), gives("ack", NODE), has(server_id=SERVER, lease_time=3600))
promise("RFC 2131 §4.3.2", "SELECTING another server: silence",
        request(requested=NODE.ip, server="172.16.0.77"), silent)
promise("DESIGN", "SELECTING us with an address that is not its own: NAK",
        request(requested=moved(), server=SERVER), gives("nak"))
promise("RFC 2131 §4.3.2", "INIT-REBOOT with its address: ACK",
        request(requested=NODE.ip), gives("ack", NODE))
promise("RFC 2131 §4.3.2", "INIT-REBOOT with a stale address: NAK, broadcast",
        request(requested=moved()), gives("nak"), broadcast)
promise("RFC 2131 §4.3.2", "INIT-REBOOT with an address of another network: NAK, broadcast",
        request(requested="192.168.7.7"), gives("nak"), broadcast)
promise("RFC 2131 §4.3.2", "RENEWING (unicast, ciaddr): ACK to the address, ciaddr copied",
        request(way="unicast", ciaddr=NODE.ip), gives("ack", NODE), field(ciaddr=NODE.ip), unicast(NODE.ip))
promise("RFC 2131 §4.3.2", "RENEWING with an address that moved: NAK, broadcast although the client has an address",
        request(way="unicast", ciaddr=moved()), gives("nak"), broadcast)
promise("RFC 2131 §4.3.2", "REBINDING (broadcast, ciaddr): ACK to the address",
        request(way="rebind", ciaddr=NODE.ip), gives("ack", NODE), field(ciaddr=NODE.ip), unicast(NODE.ip))
promise("RFC 2131 §4.3.2", "REBINDING with an address that moved: NAK, broadcast",
        request(way="rebind", ciaddr=moved()), gives("nak"), broadcast)
promise("DESIGN", "a REQUEST with neither option 50 nor ciaddr means what is its own",
        request(), gives("ack", NODE))
promise("RFC 2131 §4.3.5", "INFORM: ACK to ciaddr, with neither address nor times",
        Message("inform", NODE, way="unicast", ciaddr=NODE.ip), gives("ack"), unicast(NODE.ip),
        field(yiaddr=NOWHERE, ciaddr=NODE.ip), absent("lease_time", "renewal_time", "rebinding_time"),
        has(subnet_mask="255.255.255.0", router="172.16.0.254"))
promise("RFC 2131 §4.3.5", "INFORM by broadcast is answered the same",
        Message("inform", NODE, way="rebind", ciaddr=NODE.ip), gives("ack"), unicast(NODE.ip), absent("lease_time"))
promise("RFC 2131 §4.3.4", "RELEASE is not answered",
        Message("release", NODES[0], way="unicast", ciaddr=NODES[0].ip, server=SERVER), silent)
promise("DESIGN", "a machine that released its address is offered it again",
        discover(NODES[0]), gives("offer", NODES[0]))
promise("RFC 2131 §4.3.3", "DECLINE is not answered",
        Message("decline", NODES[1], requested=NODES[1].ip, server=SERVER), silent)
promise("DESIGN", "a machine that declined its address is offered no other",
        discover(NODES[1]), gives("offer", NODES[1]))
promise("DESIGN", "policy ignore: DISCOVER is not answered", discover(IGNORED), silent)
promise("DESIGN", "policy ignore: REQUEST is not answered", request(IGNORED, requested=moved()), silent)
promise("DESIGN", "policy ignore: INFORM is not answered",
        Message("inform", IGNORED, way="unicast", ciaddr=IGNORED.ip), silent)
promise("RFC 2131 §4.3", "OFFER, ACK and NAK sent to us by somebody are not answered", Message("offer", NODE), silent)
promise("protocols A1.1", "BOOTP (no option 53) is not answered", Message(None, NODE), silent)

# ---- which subnet -------------------------------------------------------------------------------------------------------

promise("RFC 2131 §4.3.1", "relayed: an address of the relay's subnet, with its router, to the relay's port 67",
        relayed(), gives("offer", FAR), to_relay(67), has(router=RELAY), field(giaddr=RELAY))
promise("RFC 2131 §4.3.1", "a machine with two addresses gets that of the relay's subnet",
        relayed(machine=BOTH), gives("offer", ip="10.40.1.13"))
promise("DESIGN", "... and directly that of the segment", discover(BOTH), gives("offer", BOTH))
promise("DESIGN", "relayed from a subnet where it has no address: DISCOVER is not answered", relayed(machine=NODE), silent)
promise("DESIGN", "relayed from a subnet where it has no address: REQUEST gets a NAK with the broadcast flag",
        relayed("request", NODE, requested=NODE.ip), gives("nak"), to_relay(67), field(flags=BROADCAST))
promise("RFC 3527 §3", "link-selection (82.5) counts, not giaddr; the reply goes to giaddr",
        relayed(machine=BOTH, agent=agent(link="172.16.0.1")), gives("offer", BOTH), to_relay(67), echoes_agent)
promise("RFC 3011 §2", "subnet selection (118) counts, and is returned",
        relayed(machine=BOTH, options=[(118, octets("172.16.0.0"))]), gives("offer", BOTH), has(**{"subnet-selection": "172.16.0.0"}))
promise("RFC 3011 §2", "subnet selection counts unrelayed, too",
        discover(BOTH, options=[(118, octets("10.40.1.0"))]), gives("offer", ip="10.40.1.13"))
promise("RFC 3527 §3", "link-selection counts more than subnet selection",
        relayed(machine=BOTH, agent=agent(link="172.16.0.1"), options=[(118, octets("10.40.1.0"))]), gives("offer", BOTH))
promise("RFC 3011 §2", "a subnet selection that cannot be honoured is not returned",
        discover(options=[(118, octets("192.168.9.0"))]), gives("offer", NODE), absent("subnet-selection"))

# ---- option 82 ----------------------------------------------------------------------------------------------------------

for kind, message in {
    "OFFER": relayed(agent=CIRCUIT),
    "ACK": relayed("request", requested=FAR.ip, server=SERVER, agent=CIRCUIT),
    "NAK": relayed("request", requested="10.40.1.99", agent=CIRCUIT),
}.items():
    promise("RFC 3046 §2.2", f"option 82 comes back verbatim and last in {kind}",
            message, gives(kind.lower(), FAR), echoes_agent, to_relay(67))
promise("RFC 3396", "an option 82 of more than 255 bytes comes back whole",
        relayed(agent=agent(s1=b"c" * 200, s2=b"r" * 120)), gives("offer", FAR), echoes_agent)
promise("RFC 3046 §2.2", "a malformed option 82 comes back as it was", relayed(agent=b"\x01\x20abc"), gives("offer", FAR), echoes_agent)
promise("RFC 5107 §4", "server identifier override (82.11) is option 54",
        relayed(agent=agent(override=RELAY)), gives("offer", FAR), has(server_id=RELAY), echoes_agent)
promise("RFC 5107 §4", "a REQUEST that names the override is for us",
        relayed("request", requested=FAR.ip, server=RELAY, agent=agent(override=RELAY)), gives("ack", FAR), has(server_id=RELAY))
promise("RFC 5107 §4", "without the override the relay's address is another server",
        relayed("request", requested=FAR.ip, server=RELAY), silent)
promise("RFC 8357 §5", "relay source port (82.19): the reply goes to the port it came from",
        relayed(agent=agent(s19=b""), port=6767), gives("offer", FAR), to_relay(6767), echoes_agent)
promise("RFC 2131 §4.1", "without it, to port 67 whatever it came from", relayed(port=6767), gives("offer", FAR), to_relay(67))
promise("RFC 3046 §2.1", "an option 82 from an unrelayed client harms nothing", discover(agent=CIRCUIT), gives("offer", NODE))

# ---- where to -----------------------------------------------------------------------------------------------------------

promise("RFC 2131 §4.1", "no address, no broadcast flag: a frame to the hardware address, a packet to yiaddr:68",
        discover(), gives("offer", NODE), framed(NODE.mac, NODE.ip))
promise("RFC 2131 §4.1", "the broadcast flag: to everybody, flags copied",
        discover(flags=BROADCAST), gives("offer", NODE), broadcast, field(flags=BROADCAST))
promise("RFC 2131 §4.1", "ACK in INIT-REBOOT with the broadcast flag: to everybody",
        request(requested=NODE.ip, flags=BROADCAST), gives("ack", NODE), broadcast)
promise("RFC 4390 §2", "InfiniBand (htype 32, hlen 0, MAC in option 61): to everybody, hlen stays 0",
        discover(INFINIBAND, flags=BROADCAST, fields={"htype": 32, "hlen": 0, "chaddr": bytes(16)},
                 options=[(61, b"\x01" + octets("2.112.0.0") + b"\x00\x05")]),
        gives("offer", ip=INFINIBAND.ip), broadcast, field(htype=32, hlen=0), has(client_id=b"\x01\x02\x70\0\0\0\x05"))
promise("RFC 4390 §2", "InfiniBand without the broadcast flag: to everybody all the same",
        discover(INFINIBAND, fields={"htype": 32, "hlen": 0, "chaddr": bytes(16)},
                 options=[(61, b"\x01" + octets("2.112.0.0") + b"\x00\x05")]),
        gives("offer", ip=INFINIBAND.ip), broadcast)
promise("protocols A1.3", "firmware with its UUID in chaddr (hlen 16) is known by option 61",
        discover(INFINIBAND, fields={"hlen": 16, "chaddr": bytes(range(1, 17))},
                 options=[(61, b"\x01" + octets("2.112.0.0") + b"\x00\x05")]),
        gives("offer", ip=INFINIBAND.ip), broadcast, field(hlen=16))

# ---- what stands in a reply ---------------------------------------------------------------------------------------------

promise("RFC 2131 table 3", "OFFER: xid, htype, hlen, chaddr copied, hops and secs zero, ciaddr zero",
        discover(fields={"secs": 77, "hops": 0}), gives("offer", NODE), field(htype=1, hlen=6, hops=0, secs=0, ciaddr=NOWHERE))
promise("RFC 2131 table 3", "OFFER and ACK bear neither 50 nor 55 nor 57",
        discover(requested=NODE.ip, options=[(55, b"\x01\x03\x32\x37\x39"), ("max_dhcp_size", 1400)]),
        gives("offer", NODE), absent("requested_addr", "param_req_list", "max_dhcp_size"))
promise("RFC 2131 table 3", "NAK bears nothing but 53, 54, 61 and 82",
        relayed("request", requested="10.40.1.99", agent=CIRCUIT, options=[(61, b"\xffxyz"), (55, b"\x01\x03")]),
        gives("nak"), order("message-type", "server_id", "client_id", "relay_agent_information"),
        field(ciaddr=NOWHERE, yiaddr=NOWHERE, siaddr=NOWHERE))
promise("RFC 2132 §9.6", "option 53 is the first", discover(options=PXE), gives("offer", NODE), not_before("message-type"))
promise("RFC 6842 §3", "the client identifier comes back", discover(options=[(61, b"\xff\1\2\3")]), gives("offer", NODE), has(client_id=b"\xff\1\2\3"))
promise("RFC 6842 §3", "... and is absent where there was none", discover(), gives("offer", NODE), absent("client_id"))
promise("DESIGN", "another client identifier is the same machine: chaddr counts",
        request(requested=NODE.ip, options=[(61, b"\0other")]), gives("ack", NODE))
promise("RFC 2131 §4.4.5", "the times are there already in the OFFER, T1 below T2 below the lease",
        discover(), gives("offer", NODE), has(rebinding_time=3150, renewal_time=lambda t1: 1575 <= t1 <= 1800))
promise("DESIGN", "names, router and name server of the machine",
        discover(), gives("offer", NODE), has(hostname=NODE.fqdn.encode(), domain=b"openchami.cluster",
                                               router="172.16.0.254", name_server=SERVER))
promise("RFC 1542 §2.1", "no reply is shorter than 300 bytes", request(requested=moved()), gives("nak"), shortest(300))

# ---- sizes --------------------------------------------------------------------------------------------------------------

promise("RFC 2131 §2", "without option 57 a datagram has at most 576 bytes; what does not fit overloads file and sname",
        discover(options=[(61, b"i" * 250)]), gives("offer", NODE), longest(576), has(**{"dhcp-option-overload": lambda o: o in (1, 2, 3)}),
        has(server_id=SERVER), parts("client_id", b"i" * 250))
promise("RFC 2132 §9.3", "file is not overloaded where it names the boot file",
        discover(options=[(61, b"i" * 250), *PXE, arch("uefi")]), gives("offer", NODE), longest(576),
        field(file=b"ipxe-x86_64.efi"), has(**{"dhcp-option-overload": 2}))
promise("RFC 2132 §9.10", "a larger option 57 makes overload needless",
        discover(options=[("max_dhcp_size", 1400), (61, b"i" * 250)]), gives("offer", NODE), absent("dhcp-option-overload"), has(client_id=b"i" * 250))
promise("RFC 2132 §9.10", "an option 57 below 576 counts as 576",
        discover(options=[("max_dhcp_size", 300)]), gives("offer", NODE), has(hostname=NODE.fqdn.encode()))
promise("protocols A1.15", "nothing is longer than one Ethernet frame, whatever option 57 says",
        discover(options=[("max_dhcp_size", 9000), *[(61, part) for part in (b"i" * 255, b"i" * 255, b"i" * 255, b"i" * 255, b"i" * 100)]]),
        gives("offer", NODE), longest(1500))
promise("RFC 3396 §7", "a long option is put together from its parts and comes back in parts",
        discover(options=[("max_dhcp_size", 1400), (61, b"a" * 255), (61, b"b" * 45)]), gives("offer", NODE), parts("client_id", b"a" * 255 + b"b" * 45))
promise("RFC 3396 §5", "parts of an option with others between them",
        request(options=[(50, octets(NODE.ip)[:2]), (54, octets(SERVER)[:1]), (50, octets(NODE.ip)[2:]), (54, octets(SERVER)[1:])]),
        gives("ack", NODE))
promise("RFC 2132 §9.3", "options are read in file (52: 1)",
        request(options=[(52, b"\1")], fields={"file": bytes(DHCP(options=[("requested_addr", moved()), "end"]))}), gives("nak"))
promise("RFC 2132 §9.3", "options are read in sname (52: 2)",
        request(options=[(52, b"\2")], fields={"sname": bytes(DHCP(options=[("requested_addr", moved()), "end"]))}), gives("nak"))
promise("RFC 2132 §9.3", "... and not where option 52 does not say so",
        request(fields={"sname": bytes(DHCP(options=[("requested_addr", moved()), "end"]))}), gives("ack", NODE))
promise("RFC 3396 §5", "one option over options, file and sname, in that order",
        request(options=[(52, b"\3"), (50, octets(NODE.ip)[:1])],
                fields={"file": b"\x32\x01" + octets(NODE.ip)[1:2] + b"\xff", "sname": b"\x32\x02" + octets(NODE.ip)[2:] + b"\xff"}),
        gives("ack", NODE))

# ---- what is malformed --------------------------------------------------------------------------------------------------

promise("protocols C1", "hlen above 16 is no message", discover(fields={"hlen": 17}), silent)
promise("RFC 2131 §2", "op 2 is no request", discover(fields={"op": 2}), silent)
promise("RFC 2131 §3", "another cookie is no DHCP", discover(cookie=b"\x63\x82\x53\x64", raw=b"\x35\x01\x01\xff"), silent)
promise("protocols C2", "one bad option hides none of the later ones",
        request(options=[(12, b"\xff\xfe"), (81, b"x"), (116, b"\x07"), (150, bytes(8)), (94, b"\1"), (1, b"\1"),
                         (93, b"\0"), (61, b"\xffid"), (50, octets(moved()))]), gives("nak"), has(client_id=b"\xffid"))
promise("protocols A1", "a missing End harms nothing", discover(raw=b"\x35\x01\x01\x32\x04" + octets(moved())), gives("offer", NODE))
promise("protocols A1", "an option that runs over the end is left out, those before it count",
        request(raw=b"\x35\x01\x03\x32\x04" + octets(NODE.ip) + b"\x3d\x40abc"), gives("ack", NODE), absent("client_id"))
promise("RFC 2132 §2", "padding between options", request(raw=b"\0\0\x35\x01\x03\0\0\0\x32\x04" + octets(moved()) + b"\0\xff"), gives("nak"))
promise("protocols A1", "an option 50 of three bytes counts as absent", request(options=[(50, b"\1\2\3")]), gives("ack", NODE))
promise("protocols A1.3", "a MAC that nobody can have is not answered", discover(fields={"chaddr": bytes(16)}), silent)

# ---- booting ------------------------------------------------------------------------------------------------------------

for name, loader in {"bios": "undionly.kpxe", "uefi": "ipxe-x86_64.efi", "arm": "ipxe-arm64.efi"}.items():
    promise("protocols A3", f"PXE ({name}): its loader in file and option 67 (NUL at the end), from siaddr; 60 with 43 {{6: 8}}; 97 returned",
            discover(options=[*PXE, arch(name)]), gives("offer", NODE), field(file=loader.encode(), siaddr=SERVER),
            terminated("boot-file-name", loader), has(vendor_class_id=b"PXEClient", vendor_specific=b"\x06\x01\x08\xff",
                                                     pxe_client_machine_identifier=GUID))
promise("RFC 4578 §2.1", "the second architecture counts where the first has no loader",
        discover(options=[*PXE, (93, b"\x00\x63\x00\x0b")]), gives("offer", NODE), terminated("boot-file-name", "ipxe-arm64.efi"))
promise("protocols A3", "firmware without option 93, or half of one, is known by its vendor class",
        discover(options=[*PXE, (93, b"\0")]), gives("offer", NODE), terminated("boot-file-name", "ipxe-x86_64.efi"))
promise("protocols A3", "half an option 93 and no vendor class: no boot file and no harm",
        discover(options=[(93, b"\0")]), gives("offer", NODE), absent("boot-file-name"))
promise("protocols A3", "66 where it is asked for, with its NUL",
        discover(options=[*PXE, arch("bios"), (55, b"\x42\x43")]), gives("offer", NODE), terminated("tftp_server_name", SERVER))
promise("protocols A3", "UEFI HTTP boot: 60 HTTPClient, the URL in 67, nothing in file",
        discover(options=[("vendor_class_id", b"HTTPClient:Arch:00016:UNDI:003001"), arch("http"), (97, GUID)]), gives("offer", NODE),
        has(vendor_class_id=b"HTTPClient", pxe_client_machine_identifier=GUID), field(file=b""),
        terminated("boot-file-name", f"http://{SERVER}:8080/loaders/ipxe-x86_64.efi"), absent("vendor_specific"))
promise("protocols A3", "iPXE: the script's URL in 67, 175 {176: 1} so that it waits for nobody",
        discover(options=[*PXE, arch("uefi"), IPXE]), gives("offer", NODE),
        terminated("boot-file-name", SCRIPT + NODE.mac), has(**{"175": b"\xb0\x01\x01"}), absent("vendor_specific"))
promise("RFC 3004 §4", "iPXE as one of several counted user classes", discover(options=[*PXE, arch("uefi"), (77, b"\x03abc\x04iPXE")]),
        gives("offer", NODE), terminated("boot-file-name", SCRIPT + NODE.mac))
promise("protocols A3", "a malformed user class is no iPXE and no harm", discover(options=[*PXE, arch("uefi"), (77, b"\x30iP")]),
        gives("offer", NODE), terminated("boot-file-name", "ipxe-x86_64.efi"))
promise("protocols A3", "a machine that boots nothing gets no boot file",
        discover(), gives("offer", NODE), absent("boot-file-name", "vendor_class_id"), field(file=b""))
promise("protocols A3", "the ACK says the same as the OFFER", request(requested=NODE.ip, server=SERVER, options=[*PXE, arch("uefi")]),
        gives("ack", NODE), field(file=b"ipxe-x86_64.efi", siaddr=SERVER), has(vendor_class_id=b"PXEClient"))

# ---- unknown machines where there is no pool ----------------------------------------------------------------------------

promise("DESIGN", "unknown: DISCOVER is not answered", discover(stranger(1)), silent)
promise("DESIGN", "unknown: REQUEST for an address of the link is not answered", request(stranger(1), requested=moved()), silent)
promise("DESIGN", "unknown: REQUEST for an address of another link gets a NAK", request(stranger(1), requested="192.168.7.7"), gives("nak"), broadcast)
promise("DESIGN", "unknown: INFORM is not answered", Message("inform", stranger(1), way="unicast", ciaddr=moved()), silent)

# ---- what dhcpd does not do: a judge that believes one of these is no judge -----------------------------------------------

lie(discover(), gives("offer", ip=moved()))
lie(discover(), silent)
lie(discover(stranger(2)), gives("offer"))
lie(discover(), broadcast)
lie(discover(), has(lease_time=60))
lie(discover(), absent("lease_time"))
lie(relayed(agent=CIRCUIT[:-3]), gives("offer", FAR), order("message-type", "server_id"))
lie(discover(flags=BROADCAST), framed(NODE.mac, NODE.ip))
