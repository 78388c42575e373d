package middleware

import (
	"net/netip"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/utils/clientip"
)

// ClientAddress makes the client's address the request's RemoteAddr, so that
// whatever reads an address after it (c.RemoteIP, which nothing else may
// replace) reads the same one. It stands before everything else.
// trusted are the networks of proxies whose X-Forwarded-For is believed.
func ClientAddress(trusted []netip.Prefix) gin.HandlerFunc {
	proxies := clientip.New(trusted)
	return func(c *gin.Context) {
		peer, err := netip.ParseAddrPort(c.Request.RemoteAddr)
		client := proxies.Client(c.Request.RemoteAddr, c.Request.Header)
		// Usually they are the same, and nothing is allocated.
		if err != nil || client != peer.Addr() {
			c.Request.RemoteAddr = ""
			if client.IsValid() {
				c.Request.RemoteAddr = netip.AddrPortFrom(client, 0).String()
			}
		}
	}
}

// clientOf is the address that ClientAddress found; invalid if there is none.
func clientOf(c *gin.Context) netip.Addr {
	peer, err := netip.ParseAddrPort(c.Request.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr()
}
