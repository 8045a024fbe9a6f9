"""What dnsd and its peers are asked: for names of every kind in their zones and around them, in all the ways a query can be put,
right and wrong. The same for the same seed.
"""

import dataclasses
import random
import struct

import dns_wire as wire

#: Of a hundred questions so many are malformed, so many go over TCP.
MALFORMED, TCP = 8, 5
COMMON = [wire.KIND[one] for one in ("A", "AAAA", "PTR", "SOA", "NS", "CNAME", "TXT", "MX", "SRV", "ANY", "DS", "HTTPS", "NSEC")]
ODD = [wire.KIND[one] for one in wire.KIND if one not in ("AXFR", "IXFR")] + [0, 3, 100, 128, 251, 252, 256, 32768, 65280, 65535]
#: EDNS options: code and data as clients send them, and as they should not.
OPTIONS = [
    (3, b""), (8, bytes.fromhex("0001180a0b0c0d")[:7]), (9, b""), (10, b"\1\2\3\4\5\6\7\x08"), (10, b"\1\2\3"), (10, bytes(40)), (11, b""),
    (12, bytes(32)), (14, b"\0\1"), (100, b"?"), (65001, b"x" * 20), (0, b""),
]


@dataclasses.dataclass
class Case:
    """A query, and how it was made: `place` is what stands at its name, `way` what is unusual about the message."""

    message: bytes
    place: str
    way: str
    name: bytes  # lower case, as it stands in a message
    kind: int
    klass: int
    flags: int
    edns: tuple | None  # size, version, flags, options
    tcp: bool

    def __str__(self):
        how = "TCP" if self.tcp else "UDP"
        try:
            name = wire.words(self.name)
        except IndexError:
            name = self.name.hex()
        return f"{self.place}, {self.way}: {name} {wire.KINDS.get(self.kind, self.kind)} class {self.klass} flags {self.flags:04x} {how} {self.edns}"


class Zones:
    """What stands in the zone files."""

    def __init__(self, files):
        self.owners, self.apexes = {}, []
        for file in files:
            for line in file.read_text().splitlines():
                owner, _, _, kind, *_, data = line.split()
                if kind == "NS":  # of a zone within, which has its own
                    continue
                kind = int(kind.removeprefix("TYPE"))
                self.owners.setdefault(tuple(wire.labels(owner)), {}).setdefault(kind, []).append(bytes.fromhex(data))
                if kind == wire.KIND["SOA"]:
                    self.apexes.append(tuple(wire.labels(owner)))
        self.apexes.sort()
        self.cuts = sorted(one for one, sets in self.owners.items() if 2 in sets and one not in self.apexes)
        self.aliases = sorted(one for one, sets in self.owners.items() if 5 in sets)
        self.empty = sorted(one for one in self.parents() if not self.owners.get(one))
        self.names = sorted(self.owners)

    def parents(self):
        found = set()
        for owner in self.owners:
            for at in range(1, len(owner)):
                if self.zone_of(owner[at:]) is not None:
                    found.add(owner[at:])
        return found

    def zone_of(self, name):
        return next((name[at:] for at in range(len(name)) if name[at:] in self.apexes), None)


class Asker:
    """Makes questions up."""

    def __init__(self, zones, seed):
        self.zones, self.random = zones, random.Random(seed)
        self.places = [
            (25, self.existing), (5, self.empty), (8, self.below), (9, self.beside), (8, self.delegated), (9, self.alias), (7, self.apex),
            (12, self.reverse), (4, self.outside), (3, self.long), (3, self.binary),
        ]  # fmt: skip
        self.wrongs = [
            self.cut, self.garbage, self.garbage_after_header, self.trailing, self.two_opts, self.opt_elsewhere, self.opt_of_a_name,
            self.opt_overrun, self.tsig, self.no_question, self.two_questions, self.records_before, self.pointer, self.label_form,
            self.too_long, self.short, self.response, self.counts,
        ]  # fmt: skip

    def cases(self, number):
        weights = [weight for weight, _ in self.places]
        makers = [maker for _, maker in self.places]
        for identity in range(number):
            place, parts, kind = self.random.choices(makers, weights)[0]()
            yield self.case(identity & 0xFFFF, place, parts, kind)

    # ---- names -----------------------------------------------------------------------------------------------------------

    def pick(self, some):
        return some[int(self.random.random() * len(some))]

    def a_kind(self, own=()):
        chance = self.random.random()
        if own and chance < 0.4:
            return self.pick(list(own))
        if chance < 0.85:
            return self.pick(COMMON)
        return self.pick(ODD)

    def label(self):
        return self.pick(["*", "x", "nid0001", "_tcp", "www", "ns", "1", "zz-9", "\\052", "a b", "localhost", "nid1"]).encode("latin-1")

    def existing(self):
        owner = self.pick(self.zones.names)
        return "existing", owner, self.a_kind(self.zones.owners[owner])

    def empty(self):
        return "empty", self.pick(self.zones.empty), self.a_kind()

    def below(self):
        more = tuple(self.label() for _ in range(self.random.randint(1, 3)))
        return "below a name", more + self.pick(self.zones.names), self.a_kind()

    def beside(self):
        owner = self.pick(self.zones.names)
        return "beside a name", (self.label(),) + owner[1:], self.a_kind()

    def delegated(self):
        cut = self.pick(self.zones.cuts)
        below = [owner for owner in self.zones.names if owner[-len(cut) :] == cut]
        name = self.pick([cut, self.pick(below), (self.label(),) + cut, (self.label(),) + self.pick(below)])
        return "delegated", name, self.a_kind([1, 2, wire.KIND["DS"]])

    def alias(self):
        return "alias", self.pick(self.zones.aliases), self.a_kind([1, 28, 5])

    def apex(self):
        return "apex", self.pick(self.zones.apexes), self.pick([self.pick(COMMON), self.pick(ODD), 6, 2])

    def reverse(self):
        """An address near those that are known, or something that is no address."""
        zone = self.pick([apex for apex in self.zones.apexes if apex[-1] == b"arpa"])
        digits = list(range(256)) if zone[-2] == b"in-addr" else list("0123456789abcdef")
        owner = self.pick([name for name in self.zones.names if name[-len(zone) :] == zone])
        name = list(owner)
        for _ in range(self.random.randint(1, 2)):
            odd = self.pick(["300", "02", "g", "", "-1", "10", "0", "255", "a"]) or "x"
            at = self.random.randrange(max(1, len(name) - len(zone)))
            name[at] = str(self.pick(digits) if self.random.random() < 0.8 else odd).encode()
        if self.random.random() < 0.2:
            name = name[self.random.randrange(len(name)) :]
        return "reverse", tuple(name), self.a_kind([wire.KIND["PTR"]])

    def outside(self):
        texts = ["", "com", "local", "arpa", "in-addr.arpa", "ip6.arpa", "example.com", "xcluster.local", "cluster.local.com", "a.b.c.test", "*"]
        return "outside", tuple(wire.labels(self.pick(texts))), self.a_kind()

    def long(self):
        """As long as a name and its labels can be."""
        apex = self.pick(self.zones.apexes)
        left, parts = 255 - len(wire.name(apex)), []
        while left > 1:
            length = min(63, left - 1)
            parts.append(b"l" * length)
            left -= length + 1
        return "long", tuple(parts) + apex, self.a_kind()

    def binary(self):
        owner = self.pick(self.zones.names)
        odd = bytes(self.random.randrange(256) for _ in range(self.random.randint(1, 20)))
        whole = self.random.random() < 0.3
        return "binary", ((b".".join(owner[:2]),) + owner[2:] if whole else (odd,) + owner[self.random.randint(0, 1) :]), self.a_kind()

    def any_case(self, parts):
        """0x20."""
        flip = self.random.random
        return tuple(bytes(byte ^ 0x20 if 65 <= byte & 0xDF <= 90 and flip() < 0.5 else byte for byte in part) for part in parts)

    # ---- messages --------------------------------------------------------------------------------------------------------

    def an_opt(self):
        """Mostly as resolvers send it."""
        pick, chance = self.pick, self.random.random()
        if chance < 0.45:
            return None
        size = pick([1232, 4096, 512, 1400, 65535, 0, 511, 513, 600, 1])
        flags = pick([0, 0, 0, 0x8000, 0x8000, 0x4000, 0x80, 0xFFFF])
        options = b"".join(wire.option(*pick(OPTIONS)) for _ in range(self.random.randint(0, 2)))
        version = 0 if chance < 0.93 else pick([1, 2, 255])
        return (size, version, flags, options)

    def case(self, identity, place, parts, kind):
        chance, way = self.random.random(), "usual"
        flags, klass = 0x0100 if chance < 0.5 else 0, 1
        if chance > 0.97:
            klass, way = self.pick([3, 4, 254, 255, 0, 2, 65535]), "class"
        elif chance > 0.95:
            flags, way = self.random.randint(1, 15) << 11, "opcode"
        elif chance > 0.85:
            flags, way = self.pick([0x0100, 0x0080, 0x0040, 0x0020, 0x0010, 0x0400, 0]) ^ self.random.randrange(2048) & 0x05F0, "flags"
        elif chance > 0.84:
            flags, way = self.pick([0x0200, 1, 5, 15]), "flags of an answer"
        tcp = self.random.random() * 100 < TCP
        question = wire.name(self.any_case(parts)) + struct.pack("!2H", kind, klass)
        edns = self.an_opt()
        more = wire.opt(edns[0], edns[1], edns[2], edns[3]) if edns else b""
        message = wire.header(identity, flags, 1, 0, 0, 1 if edns else 0) + question + more
        case = Case(message, place, way, wire.name(parts).lower(), kind, klass, flags, edns, tcp)
        if self.random.random() * 100 < MALFORMED:
            case.way = "usual"
            wrong = self.pick(self.wrongs)
            case.message = wrong(case, identity, question, more)
            case.way = wrong.__name__
        return case

    def cut(self, case, identity, question, more):
        return case.message[: self.random.randint(12, len(case.message) - 1)]

    def short(self, case, identity, question, more):
        return case.message[: self.random.randint(2, 11)]

    def garbage(self, case, identity, question, more):
        return struct.pack("!H", identity) + self.random.randbytes(self.random.randint(10, 100))

    def garbage_after_header(self, case, identity, question, more):
        return case.message[:12] + self.random.randbytes(self.random.randint(1, 60))

    def trailing(self, case, identity, question, more):
        return case.message + self.random.randbytes(self.random.randint(1, 20))

    def two_opts(self, case, identity, question, more):
        return wire.header(identity, case.flags, 1, 0, 0, 2) + question + wire.opt(1232) + wire.opt(4096)

    def opt_elsewhere(self, case, identity, question, more):
        counts = self.pick([(1, 0), (0, 1)])
        return wire.header(identity, case.flags, 1, *counts, 0) + question + wire.opt(1232)

    def opt_of_a_name(self, case, identity, question, more):
        owner = self.pick([wire.name([b"a"]), b"\xc0\x0c"])
        return wire.header(identity, case.flags, 1, 0, 0, 1) + question + wire.opt(1232, owner=owner)

    def opt_overrun(self, case, identity, question, more):
        options = self.pick([b"\0\x0a\0\x20abc", b"\0", b"\0\x0a\0", wire.option(100, b"x") + b"\0\x0a\xff\xff"])
        return wire.header(identity, case.flags, 1, 0, 0, 1) + question + wire.opt(1232, options=options)

    def tsig(self, case, identity, question, more):
        data = self.pick([self.random.randbytes(30), wire.name([b"hmac-sha256"]) + bytes(6) + b"\1\x2c\0\x20" + bytes(32) + struct.pack("!3H", identity, 0, 0)])
        key = wire.record(wire.name([b"nobodys", b"key"]), wire.KIND["TSIG"], 255, 0, data)
        return wire.header(identity, case.flags, 1, 0, 0, 1 + bool(more)) + question + more + key

    def no_question(self, case, identity, question, more):
        return wire.header(identity, case.flags, 0, 0, 0, bool(more)) + more

    def two_questions(self, case, identity, question, more):
        return wire.header(identity, case.flags, 2, 0, 0, bool(more)) + question + question + more

    def records_before(self, case, identity, question, more):
        """Records in the answer or authority section of a query."""
        counts = self.pick([(1, 0), (0, 1)])
        one = wire.record(b"\xc0\x0c", 1, 1, 60, b"\1\2\3\4")
        return wire.header(identity, case.flags, 1, *counts, bool(more)) + question + one + more

    def pointer(self, case, identity, question, more):
        target = self.pick([12, 0, 2, 13, 30, 0x3FFF])
        name = self.pick([b"", b"\1a", b"\3www"]) + struct.pack("!H", 0xC000 | target)
        return wire.header(identity, case.flags, 1, 0, 0, bool(more)) + name + question[-4:] + more

    def label_form(self, case, identity, question, more):
        return wire.header(identity, case.flags, 1, 0, 0, bool(more)) + bytes([self.pick([0x40, 0x41, 0x80, 0xBF])]) + question + more

    def too_long(self, case, identity, question, more):
        name = wire.name([b"l" * 63] * 4) if self.random.random() < 0.5 else wire.name([b"l" * 63] * 3 + [b"m" * 62])
        return wire.header(identity, case.flags, 1, 0, 0, bool(more)) + name + question[-4:] + more

    def response(self, case, identity, question, more):
        return case.message[:2] + bytes([case.message[2] | 0x80]) + case.message[3:]

    def counts(self, case, identity, question, more):
        counts = [1] + [self.pick([0, 0, 1, 2, 65535]) for _ in range(3)]
        return wire.header(identity, case.flags, *counts) + question + more
