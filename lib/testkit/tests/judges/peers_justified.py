"""Where dnsd answers differently from NSD or Knot, and why. The first entry that covers a difference explains it; one that covers
none is as wrong as a difference without an entry. `docs/dns-peers.md` holds the same as a table; the test compares.
"""

import dataclasses
from collections.abc import Callable

import dns_wire as wire


@dataclasses.dataclass
class Difference:
    name: str
    ours: str
    nsd: str | None  # None: as dnsd
    knot: str | None
    why: str
    covers: Callable  # (case, field, dnsd's, theirs)

    def peers(self):
        return [peer for peer, says in (("NSD", self.nsd), ("Knot", self.knot)) if says is not None]

    def of(self, peer):
        return peer in self.peers()


TABLE = []


def difference(name, ours, nsd, knot, why):
    """Decorates what tells whether a difference is this one."""

    def add(covers):
        TABLE.append(Difference(name, ours, nsd, knot, why, covers))
        return covers

    return add


def table():
    lines = ["| difference | dnsd | NSD 4.6 | Knot 3.2 | why |", "|---|---|---|---|---|"]
    lines += [f"| {one.name} | {one.ours} | {one.nsd or 'as dnsd'} | {one.knot or 'as dnsd'} | {one.why} |" for one in TABLE]
    return "\n".join(lines)


def opcode(case):
    """Also of garbage."""
    return case.message[2] >> 3 & 0xF


def is_at(*texts):
    """Whether a question is for one of these names."""
    names = [wire.name(wire.labels(text)) for text in texts]
    return lambda case: case.name in names


#: What is no query as it should be.
UNREADABLE = ("cut", "garbage", "garbage_after_header", "counts", "two_questions", "pointer", "label_form", "too_long")
ELSEWHERE = is_at("across.cluster.local", "intoapex.cluster.local", "back.mgmt.local")
NAMELESS = is_at("1.3.16.172.in-addr.arpa", "3.16.172.in-addr.arpa")
SECTIONS = ("answer", "authority", "additional")

# ---- what cannot be read -------------------------------------------------------------------------------------------------


@difference(
    "many errors", "each is answered", "at most a hundred errors a second", None,
    "Rate limiting counts answers by who gets them (`dnsd.rate_limit`), not errors of all",
)
def _(case, field, mine, theirs):
    return theirs == "silence" and (mine in ("FORMERR", "NOTIMP", "BADVERS") or case.way not in ("usual", "flags", "class"))


@difference(
    "a question that cannot be read, or two of them", "FORMERR", None, "silence",
    "RFC 1035 §4.1.1: that is what FORMERR is for; the client need not wait for its timeout",
)
def _(case, field, mine, theirs):
    return theirs == "silence" and case.way in UNREADABLE


@difference(
    "records after the question that are cut off, or not there", "FORMERR", "answered as far as it was read", None,
    "The header says they are there; OPT could be among them. What was not understood is not answered",
)
def _(case, field, mine, theirs):
    return field == "rcode" and mine == "FORMERR" and case.way in UNREADABLE


@difference(
    "trailing bytes", "ignored", None, "FORMERR",
    "Either will do; the question is clear without them",
)
def _(case, field, mine, theirs):
    return case.way in ("trailing", "counts", "garbage", "garbage_after_header") and theirs == "FORMERR"


@difference(
    "records in the answer or authority section of a query", "ignored", "FORMERR", None,
    "RFC 1034 §3.7.1: they say nothing in a query; IXFR has some (RFC 1995 §3)",
)
def _(case, field, mine, theirs):
    return case.way == "records_before" and theirs == "FORMERR"


@difference(
    "a query with TC or an RCODE", "answered", "FORMERR", None,
    "RFC 1035 §4.1.1: these are of answers; nothing in a query depends on them",
)
def _(case, field, mine, theirs):
    return case.message[2] << 8 & 0x0200 | case.message[3] & 0xF and theirs == "FORMERR"


@difference(
    "no question", "FORMERR", "NOERROR", "BADVERS where the EDNS version is not 0",
    "RFC 9619 §4: a query has one; without cookies there is no other use (RFC 7873 §5.4)",
)
def _(case, field, mine, theirs):
    return case.way == "no_question" and field == "rcode"


@difference(
    "an OPT that does not belong to the root", "FORMERR", None, "not an OPT",
    "RFC 6891 §6.1.2: its name must be the root; whoever sends it expects EDNS",
)
def _(case, field, mine, theirs):
    return case.way == "opt_of_a_name" and (field == "rcode" or field == "opt")


@difference(
    "an error where OPT was not reached", "without OPT", None, "with OPT",
    "Records are read only after the question; a query without one says nothing that OPT could be about",
)
def _(case, field, mine, theirs):
    return field == "opt" and mine is None and case.way in ("no_question",) + UNREADABLE


# ---- errors --------------------------------------------------------------------------------------------------------------


@difference(
    "the question in errors", "byte for byte", "left out", None,
    "RFC 1035 §4.1.1 and 0x20: it comes back wherever it could be read",
)
def _(case, field, mine, theirs):
    return field == "question" and theirs == "none"


@difference(
    "OPT in errors", "wherever the query had it", "not in FORMERR and NOTIMP", None,
    "RFC 6891 §7: an answer to a query with OPT has OPT",
)
def _(case, field, mine, theirs):
    return field == "opt" and theirs is None


@difference(
    "flags of BADVERS, NOTIMP and FORMERR", "AA, TC, RA, AD and Z 0, RD copied", "some as they came", None,
    "RFC 1035 §4.1.1: Z is 0 in answers, RA says what we do",
)
def _(case, field, mine, theirs):
    unusual = case.edns and case.edns[1] or opcode(case) or case.way not in ("usual", "flags", "class")
    return field in ("aa", "tc", "rd", "ra", "ad", "z") and unusual


@difference(
    "DO in BADVERS", "copied", "0", None,
    "RFC 3225 §3: copied; the version says nothing about it",
)
def _(case, field, mine, theirs):
    return field == "opt" and case.edns and case.edns[1] and mine.replace("flags 8000", "flags 0000") == theirs


@difference(
    "opcodes NOTIFY and UPDATE", "NOTIMP", "NOTIFY: refused in other words", "REFUSED, NOTAUTH or FORMERR",
    "Nobody may update these zones or tell of changes in them: they come from SMD",
)
def _(case, field, mine, theirs):
    return field == "rcode" and mine == "NOTIMP" and opcode(case) in (4, 5)


@difference(
    "another opcode in a query that is wrong otherwise, too", "NOTIMP", None, "FORMERR, BADVERS or silence",
    "What an opcode we do not know wants in a message is not for us to say (RFC 1035 §4.1.1)",
)
def _(case, field, mine, theirs):
    return field == "rcode" and mine == "NOTIMP" and theirs in ("FORMERR", "BADVERS", "silence")


@difference(
    "AXFR and IXFR that are not allowed", "REFUSED", "NOTIMP over UDP, NOTAUTH", "NOTIMP over UDP, NOTAUTH, FORMERR",
    "RFC 5936 §2.2.1: that is the word for policy; where they are allowed another test judges them",
)
def _(case, field, mine, theirs):
    return field == "rcode" and case.kind in (251, 252)


@difference(
    "a TSIG of a key that nobody has", "answered, unsigned", "NOTAUTH", "NOTAUTH or FORMERR",
    "Queries need no key; it matters where whole zones are asked for",
)
def _(case, field, mine, theirs):
    return field == "rcode" and case.way == "tsig"


@difference(
    "class ANY", "REFUSED", "as class IN", "as class IN",
    "RFC 1035 §3.2.5 has it for matching records; there is only IN here",
)
def _(case, field, mine, theirs):
    return field == "rcode" and case.klass == 255


@difference(
    "types that are no data (0, 41, 128 to 255)", "NODATA, as any type that is not there", None, "NOTIMP, FORMERR",
    "RFC 6895 §3.1: not assigned or only in queries; unknown ones are ordinary (RFC 3597)",
)
def _(case, field, mine, theirs):
    return field == "rcode" and (case.kind in (0, 41) or 128 <= case.kind < 255) and theirs in ("NOTIMP", "FORMERR")


# ---- EDNS ----------------------------------------------------------------------------------------------------------------


@difference(
    "an EDNS size of 1", "512", None, "FORMERR",
    "RFC 6891 §6.2.3: less than 512 is 512",
)
def _(case, field, mine, theirs):
    return field == "rcode" and theirs == "FORMERR" and case.edns and case.edns[0] == 1


@difference(
    "edns-tcp-keepalive over TCP, where the query has it", "how long the connection may be idle", "left out", "left out",
    "RFC 7828 §3.2: clients with many questions know what to expect",
)
def _(case, field, mine, theirs):
    return field == "opt" and case.tcp and mine is not None and mine.endswith("options 000b00020064")


@difference(
    "other EDNS options in answers", "none", "extended error, NSID", "extended error, NSID, EXPIRE",
    "None of these is implemented; the RCODE says what the extended error says",
)
def _(case, field, mine, theirs):
    return field == "opt" and mine is not None and theirs is not None and theirs.startswith(mine)


# ---- flags and sections --------------------------------------------------------------------------------------------------


@difference(
    "CD", "copied", "0", "0",
    "RFC 4035 §3.2.2 for those that fetch answers, as dnsd does where forwarding is on; BIND copies it, too",
)
def _(case, field, mine, theirs):
    return field == "cd" and mine and not theirs


@difference(
    "aliases to another zone of ours", "followed", None, "the client asks on",
    "RFC 1034 §4.3.2 step 3a; it spares a query",
)
def _(case, field, mine, theirs):
    return field in SECTIONS and ELSEWHERE(case)


@difference(
    "RRSIG, NSEC, NSEC3 of an alias", "the alias is followed", "NSEC3, RRSIG: NODATA", "NSEC, RRSIG: NODATA",
    "Nothing is signed, so none of them is there; other types stand beside a CNAME only in signed zones (RFC 4035 §2.5)",
)
def _(case, field, mine, theirs):
    return case.kind in (46, 47, 50) and (field in SECTIONS or field in ("rcode", "aa"))


@difference(
    "ANY", "one set of records: the SOA of an apex, else those of the configuration", "one set, perhaps another", "one set, perhaps another",
    "RFC 8482 §4.1: any of them",
)
def _(case, field, mine, theirs):
    return case.kind == 255 and field in ("answer", "additional")


@difference(
    "addresses of the servers that NS, MX and SRV name", "sent where we hold them, in whatever zone", "sent with NS, from the same zone", "sent from the same zone",
    "RFC 1034 §4.3.2 step 6: it spares a query; resolvers take them for what they are, a hint",
)
def _(case, field, mine, theirs):
    return field == "additional" and case.kind in (2, 15, 33) and theirs < mine


@difference(
    "an address without a name", "NODATA", "NXDOMAIN", "NXDOMAIN",
    "It exists, and so do its parents; a zone file cannot say so without records",
)
def _(case, field, mine, theirs):
    return field == "rcode" and NAMELESS(case)
