"""SMD's stand-in and dhcpd's admin HTTP, from outside: a node is put into the one, and seen to arrive in the other."""

import json
import time
import urllib.request

import scene
import wire

#: SMD is read every second.
SOON = 10.0


class Smd:
    def __init__(self, server):
        self.server = server

    def _http(self, url, body=None):
        with wire.Namespace(self.server):
            request = urllib.request.Request(url, data=body and json.dumps(body).encode(), headers={"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.read().decode()

    def _known(self, machine):
        said = self._http(f"http://127.0.0.1:27782/explain?mac={machine.mac}")
        return machine.ip in said and machine.fqdn in said

    def lists(self, machines):
        """Returns once dhcpd knows them."""
        self._http("http://127.0.0.1:27779/control/machines", scene.inventory(machines))
        end = time.monotonic() + SOON
        for machine in machines:
            while not self._known(machine):
                if time.monotonic() > end:
                    raise SystemExit(f"dhcpd does not hear of {machine}")
                time.sleep(0.1)
