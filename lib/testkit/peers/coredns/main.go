// CoreDNS with the one plug-in that serves zone files: a peer of `make bench PARTS=dns`.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/file"
)

func main() {
	dnsserver.Directives = []string{"file"}
	coremain.Run()
}
