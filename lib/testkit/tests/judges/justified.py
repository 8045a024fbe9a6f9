"""Where dhcpd answers differently from Kea, and why. The first entry that covers a difference explains it; one that covers none
is as wrong as a difference without an entry. `docs/kea.md` holds the same as a table; the test compares.
"""

import dataclasses
import re
from collections.abc import Callable


@dataclasses.dataclass
class Difference:
    name: str
    ours: str
    kea: str
    why: str
    covers: Callable  # (case, field, dhcpd's, Kea's)


TABLE = []


def difference(name, ours, kea, why, covers):
    TABLE.append(Difference(name, ours, kea, why, covers))


def kinds(ours, kea, pattern):
    """One answers with this kind of message and the other with that, to requests whose name is like the pattern."""

    def covers(case, field, mine, other):
        return field == "kind" and mine in ours.split() and other in kea.split() and re.search(pattern, case.name)

    return covers


def values(fields, pattern, ours=None, kea=None):
    """The same kind of answer with other contents; `ours` and `kea` where only that is meant ("absent": not there)."""

    def covers(case, field, mine, other):
        said = [(ours, mine), (kea, other)]
        fits = all(wanted is None or (got or "absent") == wanted for wanted, got in said)
        return field in fields.split() and fits and re.search(pattern, case.name)

    return covers


def table():
    lines = ["| difference | dhcpd | Kea 2.2 | why |", "|---|---|---|---|"]
    lines += [f"| {one.name} | {one.ours} | {one.kea} | {one.why} |" for one in TABLE]
    return "\n".join(lines)


# ---- known machines: which message ---------------------------------------------------------------------------------------

difference(
    "INIT-REBOOT of a machine without a lease", "ACK of its address, NAK of another", "silence",
    "The inventory is the lease database: a known machine always has its lease (DESIGN, decision table)",
    kinds("ack nak", "silence", r"^known: request \w+ .*50=(own|free|elsewhere)$"),
)
difference(
    "a REQUEST that names us, for an address that is not the machine's", "NAK", "silence",
    "RFC 2131 §4.3.2: it could never have it, and would wait for its timers",
    kinds("nak", "silence", r"^known, bound: request \w+ (ciaddr=\w+ )?(50=(free|elsewhere) )?54=us$"),
)
difference(
    "RENEWING or REBINDING with an address that is not the machine's", "NAK", "silence",
    "RFC 2131 §4.3.2; the address moved in the inventory",
    kinds("nak", "silence", r"^known, bound: request \w+ ciaddr=free$"),
)
difference(
    "a DISCOVER with a server identifier", "OFFER", "silence",
    "RFC 2131 table 5: it must not be there; the inventory's answer is the same, whatever stands in it",
    kinds("offer", "silence", r"^known.*discover .*(54=other|a server identifier of zero)$"),
)
difference(
    "a REQUEST with the server identifier 0.0.0.0", "silence", "ACK",
    "RFC 2131 §4.3.2: it names a server, and that is not us",
    kinds("silence", "ack", r"request .* a server identifier of zero$"),
)
difference(
    "INFORM without ciaddr, not relayed", "ACK by broadcast", "silence",
    "RFC 2131 §4.3.5 wants ciaddr; nothing in the answer depends on it, and firmware leaves it out",
    kinds("ack", "silence", r"^known.*inform direct( 54=us)?$"),
)

# ---- unknown machines ----------------------------------------------------------------------------------------------------

difference(
    "unknown: a REQUEST with neither option 50 nor ciaddr", "silence", "NAK",
    "It claims nothing that could be wrong, and another server may know it (DESIGN)",
    kinds("silence", "nak", r"^unknown: request \w+( 54=us)?$"),
)
difference(
    "unknown: a REQUEST for an address that is not of the link", "NAK", "silence (not authoritative)",
    "RFC 2131 §4.3.2: on the wrong network it is to be refused, whoever it is",
    kinds("nak", "silence", r"^unknown: request .*(50=elsewhere|relayed .*=free)"),
)
difference(
    "unknown: INFORM", "silence", "ACK",
    "DESIGN, decision table: unknown machines are not served where there is no pool",
    kinds("silence", "ack", r"^unknown: inform"),
)

# ---- malformed ----------------------------------------------------------------------------------------------------------

difference(
    "an option of an impossible length (50, 57, 61, 81, 93 cut or empty, 55 empty)", "as if it were absent", "silence",
    "One bad option of a ROM must not keep a machine from booting (reference A1.1)",
    kinds("offer ack", "silence", r"with an? (cut option|empty option (55|61)|option (61|81) of one byte)"),
)
difference(
    "a client identifier of 201 bytes", "answered, returned whole", "silence",
    "RFC 2132 §9.14 has no upper limit; Kea's is 128",
    kinds("offer ack", "silence", r"with a long client identifier"),
)
difference(
    "op 2 at the server's port", "silence", "OFFER, ACK",
    "RFC 2131 §2: that is a reply", kinds("silence", "offer ack", r"with op 2"),
)
difference(
    "a subnet or link selection of a subnet nobody configured", "the machine's address, with a warning", "silence, NAK",
    "DESIGN: the inventory knows the machine; a subnet missing in the configuration is no reason not to boot",
    kinds("offer ack", "silence nak", r"selection of nowhere"),
)

# ---- contents -----------------------------------------------------------------------------------------------------------

difference(
    "hops in replies", "0", "copied", "RFC 2131 table 3", values("hops", r"relayed|hops", ours="0"),
)
difference(
    "a reply of less than 300 bytes", "padded to 300", "as short as it is", "RFC 1542 §2.1: relays and old clients may drop it",
    values("300_bytes", r"", ours="True"),
)
difference(
    "T1 (58)", "half of the lease, up to a sixteenth earlier, by MAC", "half",
    "RFC 2131 §4.4.5: machines that booted together are not to renew together", values("58", r"^known"),
)
difference(
    "NAK to a client that is not relayed", "broadcast, also at link level, also with ciaddr", "to its MAC, and to ciaddr where it has one",
    "RFC 2131 §4.1: broadcast; it must hear it although its address is wrong",
    values("to", r"request (direct|unicast)", ours="everybody 255.255.255.255:68"),
)
difference(
    "NAK through a relay: broadcast flag", "set", "copied", "RFC 2131 §4.3.2: the client may have no address",
    values("flags", r"request relayed", ours="32768"),
)
difference(
    "the broadcast flag, on Ethernet", "broadcast frame", "frame to its MAC",
    "RFC 2131 §4.1; a client that asks for broadcast may not take unicast frames",
    values("to", r"with the broadcast flag", ours="everybody 255.255.255.255:68"),
)
difference(
    "ACK where ciaddr is not the address that is given", "frame to the MAC, packet to the new address", "to ciaddr",
    "The address in ciaddr is not the machine's: what is sent there may reach another",
    values("to", r"known.*request (direct|unicast) ciaddr=free 50=own", ours="MAC OWN:68"),
)
difference(
    "INFORM through a relay", "to the relay", "to ciaddr, past the relay, giaddr cleared",
    "RFC 2131 §4.1: where giaddr is set, to the relay; the client's network may not be routed to us",
    values("to giaddr", r"inform relayed ciaddr"),
)
difference(
    "netmask (1) in answers to INFORM", "sent", "left out",
    "RFC 2131 §4.3.5: all parameters but those of the lease", values("1", r"inform", kea="absent"),
)
difference(
    "host name and root path (12, 17) that were not asked for", "sent", "left out",
    "Clients that ask for nothing, ROMs among them, still get their name, as from CoreSMD",
    values("12 17", r"no option 55|only the router", kea="absent"),
)
difference(
    "name servers (6) that were not asked for", "left out", "sent",
    "RFC 2131 §4.3.1: what is asked for; CoreDHCP does so too", values("6", r"only the router", ours="absent"),
)
difference(
    "a host name that the client proposes (12)", "the inventory's", "returned",
    "The inventory names machines; DHCP and DNS must not disagree (DESIGN)", values("12", r"with a host name"),
)
difference(
    "option 82 with repeated sub-options", "verbatim", "put together and sorted",
    "RFC 3046 §2.2: unchanged", values("82", r"option 82 unordered"),
)
difference(
    "option 82 that is empty or malformed", "verbatim", "left out",
    "RFC 3046 §2.2: unchanged; the relay is to recognise it", values("82 82_is_last", r"an? (empty|malformed) option 82"),
)
difference(
    "server identifier override (82.11)", "it is option 54", "its own address",
    "RFC 5107 §4: or renewals do not pass the relay", values("54", r"with server override", ours="10.40.1.1"),
)
difference(
    "a PXE client's UUID (97)", "returned", "left out", "RFC 4578 §2.1; ROMs look for it", values("97", r"PXE|HTTP", kea="absent"),
)
difference(
    "PXE discovery control (43 {6: 8})", "sent with class PXEClient", "left out",
    "Firmware would ask port 4011 and wait (reference A3); in Kea it takes configuration", values("43", r"PXE", kea="absent"),
)
difference(
    "iPXE: script and 175 {176: 1}", "sent", "left out", "Built in; in Kea it takes configuration", values("67 175", r"iPXE", kea="absent"),
)
difference(
    "UEFI HTTP boot: URL, class HTTPClient", "sent", "left out", "Built in; in Kea it takes configuration", values("67 60", r"HTTP", kea="absent"),
)
