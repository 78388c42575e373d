// Package caddy tests deploy/Caddyfile: Caddy itself runs it in front of the real
// binary, on loopback. It is a module of its own, so that Caddy is no dependency of
// the product.
package caddy
