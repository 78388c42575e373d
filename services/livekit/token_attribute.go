package livekit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

// TokenAttribute is the participant attribute that names the token a
// participant joined with: its id, the Unix milliseconds at which it was issued,
// and a MAC, with dots between. Participants may set their own attributes, already
// when they connect, so that without the MAC they could claim a later token than
// theirs, and without the room in it the one that they have for another room.
const TokenAttribute = "pulse.token"

// tokenMACBytes of HMAC-SHA256 are written (RFC 2104, section 5, allows half).
const tokenMACBytes = sha256.Size / 2

// tokenMACKey derives the key of the MAC from the secret that signs the token.
func tokenMACKey(signs secret.Value) []byte {
	return secret.Derive([]byte(signs.Reveal()), "the participant attribute "+TokenAttribute+" in a room")
}

// appendTokenClaim appends what the MAC is of.
func appendTokenClaim(b []byte, id models.TokenID, issued time.Time) []byte {
	return strconv.AppendInt(append(append(b, id...), '.'), issued.UnixMilli(), 10)
}

// appendTokenMAC appends the MAC, in base64, of what is claimed of a token for an
// identity in a room of a project. Only the identity may hold a zero, so no two
// inputs are alike.
func appendTokenMAC(b []byte, mac hash.Hash, project models.ProjectID, room string, claim []byte, identity string) []byte {
	// The input, its sum and the encoded sum are made behind b, which is pooled: an
	// array of their own would be allocated, as mac is an interface.
	start := len(b)
	b = append(append(append(b, project...), 0), room...)
	b = append(append(b, 0), claim...)
	b = append(append(b, 0), identity...)
	mac.Reset()
	mac.Write(b[start:])
	sum := len(b)
	b = mac.Sum(b)
	encoded := len(b)
	b = base64.RawURLEncoding.AppendEncode(b, b[sum:sum+tokenMACBytes])
	return append(b[:start], b[encoded:]...)
}

// TokenAttributes authenticates what participants' attributes say of tokens.
type TokenAttributes struct{ keys [][]byte }

// NewTokenAttributes knows the tokens that the keys of these clusters signed.
func NewTokenAttributes(clusters []Cluster) TokenAttributes {
	var t TokenAttributes
	for i := range clusters {
		for _, pair := range clusters[i].Pairs() {
			t.keys = append(t.keys, tokenMACKey(pair.Secret))
		}
	}
	return t
}

// Authenticate fills in which token a participant joined a room of a project with
// and when it was issued. Both stay empty without an attribute, or with one that
// no key of the clusters made for that participant and that room.
// The token may have been issued for any of the models.TokenIdentities.
func (t TokenAttributes) Authenticate(p *models.EventParticipant, project models.ProjectID, room, attribute string) {
	dot := strings.LastIndexByte(attribute, '.')
	if dot < 0 || len(attribute) > MaxName {
		return
	}
	claim, sent := attribute[:dot], []byte(attribute[dot+1:])
	id, at, _ := strings.Cut(claim, ".")
	issued, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return
	}
	for _, key := range t.keys {
		mac := hmac.New(sha256.New, key)
		for identity := range models.TokenIdentities(p.Identity) {
			var sum [2 * sha256.Size]byte
			if hmac.Equal(appendTokenMAC(sum[:0], mac, project, room, []byte(claim), identity), sent) {
				p.TokenID, p.TokenIssuedAt = models.TokenID(id), time.UnixMilli(issued).UTC()
				return
			}
		}
	}
}
