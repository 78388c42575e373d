package models

import (
	"errors"
	"net/netip"
	"time"
)

// APIKey is a key pair of a project: a public key, which may be in a browser
// or app, and a secret that makes its bearer server grade.
type APIKey struct {
	ID        KeyID          `bson:"_id"`
	Key       string         `bson:"key"`
	ProjectID ProjectID      `bson:"project_id"`
	OrgID     OrganizationID `bson:"org_id"`
	Name      string         `bson:"name"`
	// SecretHash is bcrypt over HMAC-SHA-256 of the secret with API_KEY_PEPPER.
	SecretHash string `bson:"secret_hash"`
	// PepperID names the pepper in SecretHash; empty in hashes older than it.
	PepperID string `bson:"pepper_id,omitempty"`
	// SecretMark recognizes the secret without proving it (hashing.Mark); empty until a
	// key that is older than it was verified.
	SecretMark string `bson:"secret_mark,omitempty"`
	// RehashedAt is when the secret was hashed with another pepper.
	RehashedAt *time.Time `bson:"rehashed_at,omitempty"`
	// SecretHint is the last four characters of the secret.
	SecretHint string  `bson:"secret_hint"`
	Scopes     []Scope `bson:"scopes"`
	// AllowedIPs are the only addresses and networks (CIDR) the pair works
	// from; none: it works from anywhere.
	AllowedIPs []string `bson:"allowed_ips,omitempty"`
	CreatedBy  UserID   `bson:"created_by,omitempty"`
	IsDeleted  bool     `bson:"is_deleted"`
	// ExpiresAt is when the pair stops working: a set expiry, or the end of
	// the grace period after it was rotated away.
	ExpiresAt *time.Time `bson:"expires_at,omitempty"`
	// RotatedAt is when the key was rotated.
	RotatedAt *time.Time `bson:"rotated_at,omitempty"`
	// LastUsedAt is a time the pair was used, at most KeyUseInterval and one
	// flush before the last one.
	LastUsedAt *time.Time `bson:"last_used_at,omitempty"`
	// Version counts changes, uses apart, so that each is made of what it read; 0 is not stored.
	Version   int64     `bson:"version,omitempty"`
	CreatedAt time.Time `bson:"created_at"`
}

// KeyUseInterval is how often a key's use is written down at most.
const KeyUseInterval = time.Minute

// RehashInterval is how often a key's secret is hashed with another pepper at
// most: replicas may list the peppers in different orders while one is rotated.
const RehashInterval = time.Hour

// MaxAllowedIPs is the most addresses and networks one key may name.
const MaxAllowedIPs = 100

// ParseAllowedIP reads an address ("203.0.113.7", "2001:db8::1") or a network
// ("203.0.113.0/24", RFC 4632 and RFC 4291) and gives it as a network without
// bits beyond its length, as one of IPv4 if it is written inside IPv6.
func ParseAllowedIP(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		if address.Zone() != "" {
			return netip.Prefix{}, errZone
		}
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	if network.Addr().Is4In6() {
		// What matches no IPv4 address would shut out everybody it names.
		if network.Bits() < ipv4InIPv6 {
			return netip.Prefix{}, errMixed
		}
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-ipv4InIPv6)
	}
	return network.Masked(), nil
}

// ipv4InIPv6 is how many bits stand before the IPv4 address in ::ffff:0:0/96
// (RFC 4291, section 2.5.5.2).
const ipv4InIPv6 = 96

var errMixed = errors.New("a network of IPv4 addresses inside IPv6 has at least 96 bits")

var errZone = errors.New("an address with a zone means something on one machine only")

// Usable reports whether the pair works at that time.
func (k *APIKey) Usable(at time.Time) bool {
	return !k.IsDeleted && (k.ExpiresAt == nil || at.Before(*k.ExpiresAt))
}
