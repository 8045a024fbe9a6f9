"""The table's words: promises, what is checked of an answer, and how a table is run.

A check takes (message, frame) and says what is wrong, or nothing.
"""

import dataclasses
import io
import contextlib

import wire
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scene import BROADCAST, KINDS, NOWHERE, SERVER


@dataclasses.dataclass
class Promise:
    source: str
    text: str
    message: object
    checks: tuple
    is_lie: bool = False


TABLE = []


def promise(source, text, message, *checks):
    TABLE.append(Promise(source, text, message, checks))


def lie(message, *checks):
    """What must be found broken: this judge can say no."""
    TABLE.append(Promise("", "a lie", message, checks, is_lie=True))


def silent(_message, frame):
    return None if frame is None else "there is an answer"


def reply(frame):
    return wire.reply_of(frame)


def gives(kind, machine=None, ip=None):
    """The message type; the address where one is given; and what every answer must be."""

    def check(message, frame):
        got = reply(frame)
        given = NOWHERE if kind == "nak" or (kind == "ack" and message.kind == "inform") else ip or (machine and machine.ip)
        yield differs("message-type", wire.option(got, "message-type"), KINDS[kind])
        if given:
            yield differs("yiaddr", got.yiaddr, given)
        yield differs("chaddr", bytes(got.chaddr), bytes(wire.message_of(message.frame_sent).chaddr))
        yield differs("giaddr", got.giaddr, wire.message_of(message.frame_sent).giaddr)
        yield differs("server identifier is there", wire.option(got, "server_id") is not None, True)
        yield differs("source port", frame[UDP].sport, 67)
        if kind != "nak" and message.kind != "inform":
            yield differs("lease time is there", wire.option(got, "lease_time") is not None, True)
        if len(bytes(frame[UDP].payload)) < 300:
            yield "shorter than 300 bytes"

    return check


def differs(what, got, wanted):
    return None if got == wanted else f"{what} is {got!r}, not {wanted!r}"


def field(**wanted):
    """Fields of the header; text fields without their NULs."""

    def check(_message, frame):
        for name, value in wanted.items():
            got = getattr(reply(frame), name)
            if name == "flags":
                got = int(got)
            if isinstance(value, bytes):
                got = bytes(got).split(b"\0")[0]
            yield differs(name, got, value)

    return check


def has(**wanted):
    """Options by scapy's name, or by number where it has none; a function is asked."""

    def check(_message, frame):
        for name, value in wanted.items():
            got = wire.option(reply(frame), int(name) if name.isdigit() else name)
            if callable(value):
                yield None if got is not None and value(got) else f"option {name} is {got!r}"
            else:
                yield differs(f"option {name}", got, value)

    return check


def absent(*names):
    def check(_message, frame):
        for name in names:
            yield differs(f"option {name}", wire.option(reply(frame), name), None)

    return check


def terminated(name, text):
    """Text with one NUL behind it, for old ROMs."""
    return has(**{name: text.encode() + b"\0"})


def parts(name, value):
    """An option that may be split, over the overloaded fields, too (RFC 3396 §5: options, file, sname)."""

    def check(_message, frame):
        got = reply(frame)
        overload = wire.option(got, "dhcp-option-overload") or 0
        areas = [wire.options_of(got)]
        areas += [wire.DHCP(bytes(got.file)).options] if overload & 1 else []
        areas += [wire.DHCP(bytes(got.sname)).options] if overload & 2 else []
        found = [one[1] for area in areas for one in area if isinstance(one, tuple) and one[0] == name]
        yield differs(f"option {name}", b"".join(found), value)
        yield "a part is longer than 255" if any(len(one) > 255 for one in found) else None

    return check


def codes(frame):
    return [one if isinstance(one, str) else one[0] for one in wire.options_of(reply(frame)) if one != "pad"]


def order(*names):
    """These options and no others, in this order."""
    return lambda _message, frame: differs("the options", codes(frame), [*names, "end"])


def not_before(name):
    return lambda _message, frame: differs("the first option", codes(frame)[0], name)


def echoes_agent(message, frame):
    """Option 82 byte for byte, right before End."""
    behind = codes(frame)
    while behind and behind[-1] in ("end", "relay_agent_information"):
        behind.pop()
    if "relay_agent_information" in behind:
        yield "option 82 is not the last one"
    got = [one[1] for one in wire.options_of(reply(frame)) if one[0] == "relay_agent_information"]
    got = [bytes(one) if isinstance(one, bytes) else one for one in got]
    yield differs("option 82", b"".join(got), message.agent)


def shortest(size):
    return lambda _message, frame: None if len(bytes(frame[UDP].payload)) >= size else f"shorter than {size}"


def longest(size):
    return lambda _message, frame: None if frame[IP].len <= size else f"a datagram of {frame[IP].len} bytes"


def broadcast(_message, frame):
    yield differs("Ethernet destination", frame[Ether].dst, wire.EVERYBODY)
    yield differs("IP destination", frame[IP].dst, "255.255.255.255")
    yield differs("port", frame[UDP].dport, 68)
    yield differs("IP source", frame[IP].src, SERVER)


def framed(mac, address):
    """A frame that we made: its checksums are ours."""

    def check(_message, frame):
        yield differs("Ethernet destination", frame[Ether].dst, mac)
        yield differs("IP destination", frame[IP].dst, address)
        yield differs("IP source", frame[IP].src, SERVER)
        yield differs("port", frame[UDP].dport, 68)
        yield differs("checksums are right", wire.sums_are_right(frame), True)

    return check


def unicast(address):
    def check(message, frame):
        yield differs("Ethernet destination", frame[Ether].dst, message.machine.mac)
        yield differs("IP destination", frame[IP].dst, address)
        yield differs("IP source", frame[IP].src, SERVER)
        yield differs("port", frame[UDP].dport, 68)

    return check


def to_relay(port):
    def check(message, frame):
        yield differs("IP destination", frame[IP].dst, message.giaddr)
        yield differs("port", frame[UDP].dport, port)
        yield differs("flags", int(reply(frame).flags) & BROADCAST, BROADCAST if wire.option(reply(frame), "message-type") == 6 else message.flags)

    return check


def faults(one, frame):
    """What is wrong with an answer."""
    if frame is None and silent not in one.checks:
        return ["there is no answer"]
    found = []
    for check in one.checks:
        said = check(one.message, frame)
        said = [said] if said is None or isinstance(said, str) else said
        found += [fault for fault in said if fault]
    return found


STORIES = []


def story(source, text):
    """A promise of several messages: a function of a Court."""

    def tell(function):
        STORIES.append((source, text, function))
        return function

    return tell


class Broken(Exception):
    """A story took another turn."""


#: In stories silence is listened to often: longer than the 400 ms that dhcpd gives a packet.
SILENCE = 0.6


class Court:
    """Where stories are told."""

    def __init__(self, places, smd):
        self.places, self.smd = places, smd

    def ask(self, message, *checks):
        """The reply, checked."""
        message.frame_sent = Ether(bytes(message.frame(self.places)))
        frame = self.places.exchange(message, SILENCE if silent in checks else wire.ANSWER)
        wrong = faults(Promise("", "", message, checks), frame)
        if wrong:
            raise Broken("\n        ".join(wrong) + f"\n{both(message, frame)}")
        return frame and reply(frame)

    def check(self, fits, complaint):
        if not fits:
            raise Broken(complaint)

    def smd_lists(self, *machines):
        """SMD has these from now on, and dhcpd knows them."""
        self.smd.lists(machines)
        return machines


def tell(court):
    """Tells every story; how many are broken."""
    broken = 0
    for source, text, function in STORIES:
        try:
            function(court)
            print(f"kept    {source:<24} {text}")
        except Broken as complaint:
            broken += 1
            print(f"BROKEN  {source:<24} {text}\n        {complaint}")
    return broken


def both(message, frame):
    return f"  sent:\n{shown(message.frame_sent)}\n  got:\n{shown(frame) if frame is not None else '    nothing'}"


def run(places):
    """Runs the table; what waits for silence waits together, after the others. Answers with how many are broken."""
    for one in TABLE:
        one.message.frame_sent = Ether(bytes(one.message.frame(places)))
    answered = {}
    quiet = [one for one in TABLE if silent in one.checks or one.is_lie]
    for one in TABLE:
        if one in quiet:
            places.send(one.message)
        else:
            answered[one.message.xid] = places.exchange(one.message)
    for port in (places.client, places.up):
        xids = {one.message.xid for one in quiet if places.port(one.message) is port}
        spoken = port.answers(xids, wire.SILENCE)
        answered |= {xid: frames[0] for xid, frames in spoken.items()}
    return sum(report(one, answered.get(one.message.xid)) for one in TABLE)


def report(one, frame):
    """One line, and both packets where it is broken; whether it is."""
    wrong = faults(one, frame)
    if one.is_lie:
        if not wrong:
            print(f"BROKEN  this judge believes a lie:\n{shown(one.message.frame_sent)}")
        return not wrong
    print(f"{'BROKEN' if wrong else 'kept  '}  {one.source:<24} {one.text}")
    for fault in wrong:
        print(f"        {fault}")
    if wrong:
        print(both(one.message, frame))
    return bool(wrong)


def shown(frame):
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        frame.show2()
    return "\n".join(f"    {line}" for line in text.getvalue().splitlines() if line.strip())
