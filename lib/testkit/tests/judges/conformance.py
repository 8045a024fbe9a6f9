#!/usr/bin/python3
"""Holds dhcpd to its promises, which stand in promises.py (known machines) and pools.py (unknown ones).

    conformance.py --inventory                     what SMD must hold
    conformance.py known CLIENT RELAY              asks from these namespaces; no pools are configured
    conformance.py pools CLIENT RELAY SERVER       the pools of pools.yaml are; SMD and dhcpd's admin HTTP are on SERVER

One line a promise; both packets where one is broken.
"""

import json
import sys

import judge
import scene
from smd import Smd


def main():
    match sys.argv[1:]:
        case ["--inventory"]:
            json.dump(scene.inventory([*scene.ALL, scene.IN_POOL]), sys.stdout)
            return 0
        case ["known", client, relay]:
            import promises  # noqa: F401  fills the table

            broken = judge.run(scene.Places(client, relay))
        case ["pools", client, relay, server]:
            import pools  # noqa: F401  fills the book

            broken = judge.tell(judge.Court(scene.Places(client, relay), Smd(server)))
        case _:
            sys.exit(__doc__)
    print(f"{broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
