"""What dhcpd promises machines that SMD does not list where `dhcpd.v4.unknown` has pools: one story a promise.

A story is told by `court`: `ask` sends a message and checks its answer, `smd_lists` puts nodes into SMD and waits until dhcpd has
them.
"""

import dataclasses
import itertools

import wire
from judge import absent, broadcast, field, gives, has, story, silent, terminated, to_relay
from scene import BOTH, FAR, IN_POOL, NOWHERE, RELAY, SERVER, Message, agent, stranger

#: As in pools.yaml: a pool with room for all, and one of two addresses behind the relay.
POOL = [f"172.16.0.{last}" for last in range(160, 200)]
SMALL_POOL = ["10.40.1.200", "10.40.1.201"]
LEASE = 300

_numbers = itertools.count(100)
_nids = itertools.count(1000)


def new():
    """A machine nobody has seen."""
    return stranger(next(_numbers))


def owned(machine, address):
    """The machine as SMD will list it."""
    nid = next(_nids)
    return dataclasses.replace(machine, ip=address, nid=nid, id=f"x1000c2s{nid}b0n0")


def discover(machine, **more):
    return Message("discover", machine, **more)


def select(machine, address, **more):
    return Message("request", machine, requested=address, server=SERVER, **more)


def reboot(machine, address, **more):
    return Message("request", machine, requested=address, **more)


def renew(machine, address, **more):
    return Message("request", machine, way="unicast", ciaddr=address, **more)


def rebind(machine, address):
    return Message("request", machine, way="rebind", ciaddr=address)


def pooled(pool):
    def check(_message, frame):
        address = wire.reply_of(frame).yiaddr
        return None if address in pool else f"{address} is not of the pool"

    return check


def lease(court, machine=None, pool=POOL, **more):
    """A machine with a lease, and its address."""
    machine = machine or new()
    address = court.ask(discover(machine, **more), gives("offer"), pooled(pool)).yiaddr
    court.ask(select(machine, address, **more), gives("ack", ip=address), has(lease_time=LEASE))
    return machine, address


def give_back(court, machine, address):
    court.ask(Message("release", machine, way="unicast", ciaddr=address, server=SERVER), silent)


BEHIND = {"way": "relayed"}


@story("DESIGN", "DISCOVER: an OFFER from the pool, for the time of pools")
def _(court):
    court.ask(discover(new()), gives("offer"), pooled(POOL), has(lease_time=LEASE, server_id=SERVER, subnet_mask="255.255.255.0",
                                                               router="172.16.0.254"))


@story("DESIGN", "REQUEST for what was offered: ACK; renewed (unicast) and rebound (broadcast): ACK of the same")
def _(court):
    machine, address = lease(court)
    court.ask(renew(machine, address), gives("ack", ip=address), field(ciaddr=address), has(lease_time=LEASE))
    court.ask(rebind(machine, address), gives("ack", ip=address), has(lease_time=LEASE))
    court.ask(reboot(machine, address), gives("ack", ip=address), has(lease_time=LEASE))


@story("DESIGN", "two machines are never offered one address")
def _(court):
    offered = [court.ask(discover(new()), gives("offer"), pooled(POOL)).yiaddr for _ in range(3)]
    court.check(len(set(offered)) == 3, f"{offered} are not three addresses")


@story("DESIGN", "a machine that asks again is offered the same address, also after it gave it back")
def _(court):
    machine, address = lease(court)
    court.ask(discover(machine), gives("offer", ip=address))
    give_back(court, machine, address)
    court.ask(discover(machine), gives("offer", ip=address))


@story("RFC 2131 §4.3.1", "the address it asks for, where that is free")
def _(court):
    court.ask(discover(new(), requested=POOL[-1]), gives("offer", ip=POOL[-1]))


@story("DESIGN", "an address that the inventory holds for another is never offered, asked for or not")
def _(court):
    court.ask(discover(new(), requested=IN_POOL.ip), gives("offer"), pooled(POOL[1:]))


@story("DESIGN", "REQUEST naming us for what was neither offered nor leased: NAK, broadcast")
def _(court):
    machine, address = lease(court)
    court.ask(select(new(), address), gives("nak"), broadcast)
    court.ask(select(machine, "172.16.0.250"), gives("nak"), broadcast)


@story("DESIGN", "INIT-REBOOT for another's lease, for an address of the pool, of another link: NAK")
def _(court):
    _, address = lease(court)
    court.ask(reboot(new(), address), gives("nak"), broadcast)
    court.ask(reboot(new(), POOL[-2]), gives("nak"), broadcast)
    court.ask(reboot(new(), "192.168.7.7"), gives("nak"), broadcast)


@story("RFC 2131 §4.3.2", "INIT-REBOOT for an address of the link outside the pools: silence, another server may know it")
def _(court):
    court.ask(reboot(new(), "172.16.0.250"), silent)


@story("RFC 2131 §4.3.2", "REQUEST naming another server: silence")
def _(court):
    machine = new()
    address = court.ask(discover(machine), gives("offer"), pooled(POOL)).yiaddr
    court.ask(Message("request", machine, requested=address, server="172.16.0.77"), silent)


@story("RFC 2131 §4.3.5", "INFORM: ACK with neither address nor times")
def _(court):
    inform = Message("inform", new(), way="unicast", ciaddr="172.16.0.250")
    court.ask(inform, gives("ack"), field(yiaddr=NOWHERE), absent("lease_time", "renewal_time"))


@story("DESIGN", "DECLINE: silence; the address is set aside, the machine is offered another")
def _(court):
    machine, address = lease(court)
    court.ask(Message("decline", machine, requested=address, server=SERVER), silent)
    other = court.ask(discover(machine), gives("offer"), pooled(POOL)).yiaddr
    court.check(other != address, f"{address} is offered again")
    again = court.ask(discover(new(), requested=address), gives("offer")).yiaddr
    court.check(again != address, f"{address} is offered to another")


@story("DESIGN", "RELEASE and DECLINE count only with option 54 of ours, from the MAC that holds the address")
def _(court):
    machine, address = lease(court)
    court.ask(Message("release", new(), way="unicast", ciaddr=address, server=SERVER), silent)
    court.ask(Message("release", machine, way="unicast", ciaddr=address), silent)
    court.ask(Message("decline", new(), requested=address, server=SERVER), silent)
    court.ask(Message("decline", machine, requested=address), silent)
    court.ask(renew(machine, address), gives("ack", ip=address))


@story("DESIGN", "relayed: from the pool of the relay's subnet; none left: silence; released: the next one has it")
def _(court):
    one, first = lease(court, pool=SMALL_POOL, **BEHIND)
    two, second = lease(court, pool=SMALL_POOL, **BEHIND)
    court.check(first != second, "two machines have one address")
    court.ask(discover(new(), **BEHIND), silent)
    give_back(court, one, first)
    three = new()
    court.ask(discover(three, **BEHIND), gives("offer", ip=first), to_relay(67), has(router=RELAY))
    court.ask(Message("request", three, requested=first, server="172.16.0.77", **BEHIND), silent)
    court.ask(discover(new(), **BEHIND), gives("offer", ip=first))
    give_back(court, two, second)


@story("RFC 3527 §3", "the pool is that of the link selection (82.5)")
def _(court):
    court.ask(discover(new(), agent=agent(link="172.16.0.1"), **BEHIND), gives("offer"), pooled(POOL), to_relay(67))


@story("DESIGN", "relayed from a subnet without a pool: silence")
def _(court):
    court.ask(discover(new(), agent=agent(link="192.168.7.1"), **BEHIND), silent)


@story("DESIGN", "became known with another address: NAK in SELECTING, INIT-REBOOT, RENEWING and REBINDING; then its own")
def _(court):
    ways = (select, reboot, renew, rebind)
    leased = [lease(court) for _ in ways]
    known = court.smd_lists(*(owned(machine, f"172.16.0.{last}") for last, (machine, _) in enumerate(leased, 60)))
    for way, (machine, address) in zip(ways, leased):
        court.ask(way(machine, address), gives("nak"), broadcast)
    for machine in known:
        court.ask(discover(machine), gives("offer", machine), has(lease_time=3600, hostname=machine.fqdn.encode()))
        court.ask(select(machine, machine.ip), gives("ack", machine), has(lease_time=3600))


@story("DESIGN", "became known with the address it leases (Magellan): ACK as a known machine")
def _(court):
    machine, address = lease(court)
    [known] = court.smd_lists(owned(machine, address))
    court.ask(renew(known, address), gives("ack", known), has(lease_time=3600, hostname=known.fqdn.encode()))
    court.ask(discover(known), gives("offer", known), has(lease_time=3600))


@story("DESIGN", "SMD lists an address that another leases: its owner waits, the holder is refused, then the owner has it")
def _(court):
    holder, address = lease(court)
    [owner] = court.smd_lists(owned(new(), address))
    court.ask(discover(owner), silent)
    court.ask(renew(holder, address), gives("nak"), broadcast)
    court.ask(discover(owner), gives("offer", owner))
    court.ask(select(owner, address), gives("ack", owner), has(lease_time=3600))
    court.ask(discover(holder), gives("offer"), pooled([one for one in POOL if one != address]))


@story("issue, bootloop", "first round: the loader of its architecture; then iPXE gets the script that loops")
def _(court):
    pxe = [("vendor_class_id", b"PXEClient:Arch:00007:UNDI:003016"), (93, b"\0\7"), (97, b"\0" + bytes(16))]
    machine = new()
    court.ask(discover(machine, options=pxe), gives("offer"), field(file=b"ipxe-x86_64.efi", siaddr=SERVER),
              terminated("boot-file-name", "ipxe-x86_64.efi"))
    court.ask(discover(machine, options=[*pxe, (77, b"iPXE")]), gives("offer"), has(**{"boot-file-name": lambda name: b"default" in name}))


@story("DESIGN", "known machines are served as without pools")
def _(court):
    court.ask(discover(BOTH), gives("offer", BOTH), has(lease_time=3600))
    court.ask(discover(FAR, **BEHIND), gives("offer", FAR), has(lease_time=3600))
    court.ask(reboot(BOTH, POOL[-3]), gives("nak"))
