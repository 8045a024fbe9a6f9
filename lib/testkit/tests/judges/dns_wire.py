"""DNS messages: built field by field, so that every field can be wrong; read into what can be compared."""

import struct

QUERY_BIT = {"qr": 0x8000, "aa": 0x0400, "tc": 0x0200, "rd": 0x0100, "ra": 0x0080, "z": 0x0040, "ad": 0x0020, "cd": 0x0010}
KIND = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "HINFO": 13, "MX": 15, "TXT": 16, "SIG": 24, "KEY": 25, "AAAA": 28, "SRV": 33,
    "NAPTR": 35, "DNAME": 39, "OPT": 41, "DS": 43, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "NSEC3": 50, "NSEC3PARAM": 51,
    "TLSA": 52, "CDS": 59, "SVCB": 64, "HTTPS": 65, "SPF": 99, "TKEY": 249, "TSIG": 250, "IXFR": 251, "AXFR": 252, "MAILB": 253,
    "MAILA": 254, "ANY": 255, "CAA": 257,
}
KINDS = {number: name for name, number in KIND.items()}
RCODE = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 9: "NOTAUTH", 16: "BADVERS"}

#: Names inside RDATA: what is before them, how many there are.
NAMES_IN = {2: (0, 1), 5: (0, 1), 6: (0, 2), 12: (0, 1), 15: (2, 1), 33: (6, 1)}


class Unreadable(Exception):
    """An answer that no client could read."""


# ---- building ------------------------------------------------------------------------------------------------------------


def labels(text):
    """The labels of a host name."""
    return [label.encode("latin-1") for label in text.rstrip(".").split(".") if label]


def name(parts):
    """Labels as they stand in a message; nothing is checked."""
    return b"".join(bytes([len(part) & 0xFF]) + part for part in parts) + b"\0"


def header(identity, flags, *counts):
    return struct.pack("!6H", identity, flags, *counts)


def record(owner, kind, klass, ttl, data):
    return owner + struct.pack("!2HIH", kind, klass, ttl, len(data)) + data


def option(code, data):
    return struct.pack("!2H", code, len(data)) + data


def opt(size, version=0, flags=0, options=b"", owner=b"\0", extended=0):
    return record(owner, KIND["OPT"], size, extended << 24 | version << 16 | flags, options)


# ---- reading -------------------------------------------------------------------------------------------------------------


def read_name(message, at):
    """In lower case, as bytes with lengths; and where it ends."""
    parts, end, jumps = [], None, 0
    while True:
        if at >= len(message):
            raise Unreadable("a name runs out of the message")
        length = message[at]
        if length == 0:
            break
        if length >= 0xC0:
            if at + 2 > len(message):
                raise Unreadable("half a pointer")
            end = at + 2 if end is None else end
            target = (length & 0x3F) << 8 | message[at + 1]
            jumps += 1
            if target >= at or jumps > 20:
                raise Unreadable("a pointer that does not point back")
            at = target
        elif length > 63:
            raise Unreadable("a label of an unknown form")
        else:
            parts.append(message[at : at + 1 + length])
            at += 1 + length
    found = b"".join(parts).lower() + b"\0"
    if len(found) > 255:
        raise Unreadable("a name of more than 255 bytes")
    return found, (at + 1 if end is None else end)


def read_data(message, at, length, kind):
    """RDATA without compression, names in lower case."""
    end = at + length
    if end > len(message):
        raise Unreadable("RDATA runs out of the message")
    if kind not in NAMES_IN or length == 0:
        return message[at:end]
    before, names = NAMES_IN[kind]
    parts, at = [message[at : at + before]], at + before
    for _ in range(names):
        found, at = read_name(message, at)
        parts.append(found)
    if at > end:
        raise Unreadable("a name runs out of its RDATA")
    return b"".join(parts) + message[at:end]


class Answer:
    """Sections are sets of (owner, type, class, TTL, RDATA)."""

    __slots__ = ("flags", "rcode", "question", "answer", "authority", "additional", "opt", "doubled", "length", "trailing")

    def __init__(self, message):
        if len(message) < 12:
            raise Unreadable("less than a header")
        _, self.flags, questions, *counts = struct.unpack_from("!6H", message)
        self.rcode = self.flags & 0xF
        self.length = len(message)
        at = 12
        for _ in range(questions):
            _, at = read_name(message, at)
            at += 4
        self.question = message[12:at]
        self.opt, self.doubled = None, False
        sections = []
        for count in counts:
            section = []
            for _ in range(count):
                owner, at = read_name(message, at)
                if at + 10 > len(message):
                    raise Unreadable("half a record")
                kind, klass, ttl, length = struct.unpack_from("!2HIH", message, at)
                at += 10
                if kind == 41:
                    if self.opt is not None:
                        raise Unreadable("two OPT records")
                    self.opt = (klass, ttl >> 16 & 0xFF, ttl & 0xFFFF, message[at : at + length])
                    self.rcode |= ttl >> 24 << 4
                else:
                    section.append((owner, kind, klass, ttl, read_data(message, at, length, kind)))
                at += length
            sections.append(frozenset(section))
            self.doubled |= len(sections[-1]) != len(section)
        self.answer, self.authority, self.additional = sections
        self.trailing = len(message) - at
        if self.trailing < 0:
            raise Unreadable("a record runs out of the message")

    def has(self, bit):
        return bool(self.flags & QUERY_BIT[bit])


def shown(records):
    """A section as text, a line each."""

    def one(found):
        owner, kind, _, ttl, data = found
        return f"{words(owner)} {ttl} {KINDS.get(kind, kind)} {data.hex()}"

    return "; ".join(sorted(map(one, records))) or "-"


def words(found):
    """A name as text."""
    parts, at = [], 0
    while found[at]:
        parts.append(found[at + 1 : at + 1 + found[at]].decode("latin-1"))
        at += 1 + found[at]
    return ".".join(parts) + "."
