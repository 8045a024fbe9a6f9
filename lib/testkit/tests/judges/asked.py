"""The requests that dhcpd and Kea are both asked: each from a machine of its own, so that none depends on another.

Every message type in every combination of what tells REQUESTs apart (RFC 2131 §4.3.2: ciaddr, options 50 and 54) and of how
it travels, by machines with and without a lease; what a client may say besides; and what is malformed.
"""

import dataclasses
import itertools

from scene import BROADCAST, NOWHERE, SERVER, Machine, Message, agent, octets

#: On the segment and behind the relay, in subnets with room for one machine a request.
NEAR, BEYOND = "172.16", "10.40"
#: An address of the segment that nobody has; one of another network; another server.
FREE, ELSEWHERE, OTHER_SERVER = "172.16.200.9", "192.168.7.7", "172.16.0.77"
#: What a client asks for (option 55) that wants everything.
EVERYTHING = bytes([1, 3, 6, 12, 15, 17, 43, 51, 54, 58, 59, 60, 66, 67, 97, 175])
GUID = b"\0" + bytes(range(16))


@dataclasses.dataclass
class Case:
    name: str
    machine: Machine
    message: Message
    is_bound: bool  # it had its lease granted before
    is_known: bool = True
    asks: bool = True  # with option 55


def machine(number, is_far, is_known):
    network, third = (BEYOND, 2) if is_far else (NEAR, 1)
    ip = f"{network}.{third + number // 250}.{number % 250 + 1}"
    mac = f"02:{72 if is_known else 73}:00:00:{number >> 8:02x}:{number & 255:02x}"
    return Machine(mac, ip, number + 1, f"x2000c{number // 250}s{number % 250}b0n0")


def shapes():
    """(kind, what is in ciaddr, option 50 and option 54), as words."""
    none, own, free, elsewhere = "none", "own", "free", "elsewhere"
    yield from (("discover", none, fifty, server) for fifty in (none, own, free, elsewhere) for server in (none, "other"))
    yield from itertools.product(["request"], (none, own, free), (none, own, free, elsewhere), (none, "us", "other"))
    yield from itertools.product(["inform"], (none, own, free), [none], (none, "us"))
    yield from itertools.product(["release"], (own, free), [none], (none, "us", "other"))
    yield from itertools.product(["decline"], [none], (own, free), (none, "us", "other"))
    yield ("offer", none, none, none)
    yield (None, none, none, none)


def filled(owner, word):
    return {"none": None, "own": owner.ip, "free": FREE, "elsewhere": ELSEWHERE, "us": SERVER, "other": OTHER_SERVER}[word]


#: What a client may say besides, and what is malformed: name -> changes to a message.
BESIDES = {
    "the broadcast flag": {"flags": BROADCAST},
    "no option 55": {"options": []},
    "an empty option 55": {"options": [(55, b"")]},
    "only the router asked for": {"options": [(55, b"\x03")]},
    "a client identifier": {"options": [(55, EVERYTHING), (61, b"\xff\0\1\2\3")]},
    "a client identifier of its MAC": {"options": [(55, EVERYTHING), (61, b"\x01\x02\x72\0\0\0\1")]},
    "a host name": {"options": [(55, EVERYTHING), ("hostname", b"mine")]},
    "an FQDN (81)": {"options": [(55, EVERYTHING), (81, b"\0\0\0mine")]},
    "a maximum size of 576": {"options": [(55, EVERYTHING), ("max_dhcp_size", 576)]},
    "a maximum size of 1500": {"options": [(55, EVERYTHING), ("max_dhcp_size", 1500)]},
    "a lease time": {"options": [(55, EVERYTHING), ("lease_time", 60)]},
    "a long client identifier": {"options": [(55, EVERYTHING), (61, b"\0" + b"i" * 200)]},
    "PXE, UEFI": {"options": [(55, EVERYTHING), (60, b"PXEClient:Arch:00007:UNDI:003016"), (93, b"\0\7"), (97, GUID)]},
    "PXE, BIOS": {"options": [(55, EVERYTHING), (60, b"PXEClient:Arch:00000:UNDI:002001"), (93, b"\0\0"), (97, GUID)]},
    "iPXE": {"options": [(55, EVERYTHING), (60, b"PXEClient:Arch:00007:UNDI:003016"), (93, b"\0\7"), (77, b"iPXE"), (97, GUID)]},
    "UEFI HTTP": {"options": [(55, EVERYTHING), (60, b"HTTPClient:Arch:00016:UNDI:003001"), (93, b"\0\x10"), (97, GUID)]},
    "secs and hops": {"fields": {"secs": 300, "hops": 3}},
    "a server identifier of zero": {"options": [(55, EVERYTHING), ("server_id", NOWHERE)]},
    "rapid commit": {"options": [(55, EVERYTHING), (80, b"")]},
    "an option nobody knows": {"options": [(55, EVERYTHING), (231, b"xyz")]},
    "padding": {"options": ["pad", (55, EVERYTHING), "pad", "pad"]},
    "a cut option 50": {"options": [(55, EVERYTHING), (50, b"\1\2")]},
    "a cut option 57": {"options": [(55, EVERYTHING), (57, b"\1")]},
    "an empty option 61": {"options": [(55, EVERYTHING), (61, b"")]},
    "an option 61 of one byte": {"options": [(55, EVERYTHING), (61, b"\1")]},
    "an option 12 that is no text": {"options": [(55, EVERYTHING), (12, b"\xff\xfe\0")]},
    "an empty option 12": {"options": [(55, EVERYTHING), (12, b"")]},
    "a cut option 93": {"options": [(55, EVERYTHING), (93, b"\0")]},
    "an option 116 of 7": {"options": [(55, EVERYTHING), (116, b"\7")]},
    "an option 81 of one byte": {"options": [(55, EVERYTHING), (81, b"\0")]},
    "a subnet selection of nowhere": {"options": [(55, EVERYTHING), (118, octets("192.168.7.0"))]},
    "hlen 17": {"fields": {"hlen": 17}},
    "op 2": {"fields": {"op": 2}},
}
#: The same through a relay.
AGENTS = {
    "option 82": {"agent": b"\1\4port\2\3abc"},
    "option 82 unordered": {"agent": b"\2\3abc\1\4port\1\1z"},
    "link selection of the same subnet": {"agent": agent(link="10.40.9.1")},
    "link selection of nowhere": {"agent": agent(link="192.168.7.1")},
    "server override": {"agent": agent(override="10.40.1.1")},
    "relay source port": {"agent": agent(s19=b""), "port": 6767},
    "an empty option 82": {"agent": b""},
    "a malformed option 82": {"agent": b"\1\x20ab"},
}


def cases():
    numbers = itertools.count()
    ways = ("direct", "relayed", "unicast")
    for shape, way, is_bound in itertools.product(shapes(), ways, (True, False)):
        kind, ciaddr, fifty, server = shape
        if way == "unicast" and ciaddr == "none":
            continue
        yield one(next(numbers), way, is_bound, True, shape)
    for shape, way in itertools.product(shapes(), ways):
        if shape[0] in ("discover", "request", "inform") and (way != "unicast" or shape[1] != "none"):
            yield one(next(numbers), way, False, False, shape)
    for way, table in (("direct", BESIDES), ("relayed", BESIDES | AGENTS)):
        for (name, changes), kind in itertools.product(table.items(), ("discover", "request")):
            case = one(next(numbers), way, True, True, (kind, "none", "own" if kind == "request" else "none", "none"))
            case.message = dataclasses.replace(case.message, **changes)
            case.name += f" with {name}"
            case.asks = name not in ("no option 55", "an empty option 55", "only the router asked for")
            yield case


def one(number, way, is_bound, is_known, shape):
    kind, ciaddr, fifty, server = shape
    owner = machine(number, way == "relayed", is_known)
    message = Message(
        kind, owner,
        way="rebind" if way == "direct" and ciaddr != "none" else way,
        ciaddr=filled(owner, ciaddr) or NOWHERE,
        requested=filled(owner, fifty), server=filled(owner, server),
        options=[(55, EVERYTHING)] if kind else [],
        xid=0x6B000000 + number,
    )
    who = "known" if is_known else "unknown"
    state = ", bound" if is_bound else ""
    words = [f"{kind or 'BOOTP'} {way}"]
    words += [f"{what}={word}" for what, word in (("ciaddr", ciaddr), ("50", fifty), ("54", server)) if word != "none"]
    return Case(f"{who}{state}: {' '.join(words)}", owner, message, is_bound, is_known)
