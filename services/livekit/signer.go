package livekit

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
	"github.com/livekit/protocol/auth"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

// Cluster is a LiveKit cluster.
type Cluster struct {
	Name, Region string
	// URL is where participants connect (ws or wss), APIURL where Pulse calls the
	// cluster; "" is URL.
	URL, APIURL string
	// APIKey and APISecret sign; Older pairs verify only.
	APIKey    string
	APISecret secret.Value
	Older     []KeyPair
	// Weight is the cluster's share of new rooms in its region.
	Weight int
}

// KeyPair is an API key of a cluster and its secret.
type KeyPair struct {
	Key    string
	Secret secret.Value
}

// Pairs are the cluster's keys; the first signs.
func (c *Cluster) Pairs() []KeyPair {
	return append([]KeyPair{{c.APIKey, c.APISecret}}, c.Older...)
}

// CallURL is where Pulse calls the cluster.
func (c *Cluster) CallURL() string { return cmp.Or(c.APIURL, c.URL) }

// projectAttribute is the participant attribute with the project's id, which
// attributes a participant on the cluster to its tenant.
const projectAttribute = "pulse.project"

// kindAgent is the kind claim of an agent's token.
const kindAgent = "agent"

// Signer signs and parses LiveKit tokens. Signing is the hot path of the control
// plane: claims are appended to a pooled buffer and signed with a pooled HMAC,
// because reflection over the claims costs more than the signature. Parsing uses
// the JWT library.
type Signer struct {
	Cluster Cluster
	issuer  []byte
	states  sync.Pool
}

// Mint is the content of one token.
type Mint struct {
	ID         models.TokenID
	Project    models.ProjectID
	Room       string
	Identity   string
	Name       string
	ExpiresAt  time.Time
	Grants     *models.VideoGrants
	IssuedAt   time.Time
	Metadata   string
	Attributes map[string]string
	// RoomConfig is LiveKit's RoomConfiguration as JSON.
	RoomConfig []byte
}

type signerState struct {
	mac hash.Hash
	// attribute makes the MAC of the attribute that names the token.
	attribute hash.Hash
	claims    []byte
	out       []byte
	room      []byte
	sum       [sha256.Size]byte
}

// jwtHeader is {"alg":"HS256","typ":"JWT"} (RFC 7515), encoded, with the dot.
const jwtHeader = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."

func NewSigner(c Cluster) *Signer {
	issuer, err := jsontext.AppendQuote([]byte(`{"iss":`), c.APIKey)
	if err != nil { // not UTF-8, which LiveKit does not support either
		issuer = []byte(`{"iss":""`)
	}
	key := []byte(c.APISecret.Reveal())
	s := &Signer{
		Cluster: c,
		issuer:  issuer,
	}
	attribute := tokenMACKey(c.APISecret)
	s.states.New = func() any {
		return &signerState{mac: hmac.New(sha256.New, key), attribute: hmac.New(sha256.New, attribute)}
	}
	return s
}

// Sign returns the JWT of m.
func (s *Signer) Sign(m *Mint) string {
	st := s.states.Get().(*signerState)
	defer s.states.Put(st)
	b := append(st.claims[:0], s.issuer...)
	b = text(append(b, `,"sub":`...), m.Identity)
	b = strconv.AppendInt(append(b, `,"iat":`...), m.IssuedAt.Unix(), 10)
	b = strconv.AppendInt(append(b, `,"nbf":`...), m.IssuedAt.Unix(), 10)
	b = strconv.AppendInt(append(b, `,"exp":`...), m.ExpiresAt.Unix(), 10)
	b = append(append(append(b, `,"jti":"`...), m.ID...), '"')
	if m.Name != "" {
		b = text(append(b, `,"name":`...), m.Name)
	}
	if models.IsSet(m.Grants.Agent) {
		b = append(b, `,"kind":"`+kindAgent+`"`...)
	}
	st.room = append(append(append(st.room[:0], m.Project...), '_'), m.Room...)
	b = text(append(b, `,"video":{"room":`...), st.room)
	b = append(appendGrants(b, m.Grants), '}')
	if m.Metadata != "" {
		b = text(append(b, `,"metadata":`...), m.Metadata)
	}
	b = append(append(append(b, `,"attributes":{"`+projectAttribute+`":"`...), m.Project...), `","`+TokenAttribute+`":"`...)
	claim := len(b)
	b = append(appendTokenClaim(b, m.ID, m.IssuedAt), '.')
	b = append(appendTokenMAC(b, st.attribute, m.Project, m.Room, b[claim:len(b)-1], m.Identity), '"')
	for name, value := range m.Attributes {
		b = text(append(text(append(b, ','), name), ':'), value)
	}
	b = append(b, '}')
	if m.RoomConfig != nil {
		b = append(append(b, `,"roomConfig":`...), m.RoomConfig...)
	}
	st.claims = append(b, '}')

	out := append(st.out[:0], jwtHeader...)
	out = base64.RawURLEncoding.AppendEncode(out, st.claims)
	st.mac.Reset()
	st.mac.Write(out)
	out = base64.RawURLEncoding.AppendEncode(append(out, '.'), st.mac.Sum(st.sum[:0]))
	st.out = out
	return string(out)
}

// text appends a JSON string. Its input was checked to be UTF-8, so quoting can't
// fail.
func text[T string | []byte](b []byte, s T) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}

func appendGrants(b []byte, g *models.VideoGrants) []byte {
	flag := func(name string, value *bool) {
		if value == nil {
			return
		}
		b = append(append(append(b, `,"`...), name...), `":`...)
		b = strconv.AppendBool(b, *value)
	}
	flag("roomJoin", g.RoomJoin)
	flag("roomAdmin", g.RoomAdmin)
	flag("canPublish", g.CanPublish)
	flag("canSubscribe", g.CanSubscribe)
	flag("canPublishData", g.CanPublishData)
	if len(g.CanPublishSources) > 0 {
		b = append(b, `,"canPublishSources":[`...)
		for i, source := range g.CanPublishSources {
			if i > 0 {
				b = append(b, ',')
			}
			b = text(b, source)
		}
		b = append(b, ']')
	}
	flag("canUpdateOwnMetadata", g.CanUpdateOwnMetadata)
	flag("canSubscribeMetrics", g.CanSubscribeMetrics)
	flag("canManageAgentSession", g.CanManageAgentSession)
	flag("hidden", g.Hidden)
	flag("recorder", g.Recorder)
	return b
}

// Claims is a parsed LiveKit token.
type Claims struct {
	jwt.RegisteredClaims
	Kind  string          `json:"kind"`
	Video auth.VideoGrant `json:"video"`
}

// tokenLeeway is how far clocks may differ; it is that of LiveKit's own verifier
// (livekit/protocol, auth/verifier.go).
const tokenLeeway = time.Minute

// Parse reads a token; secretOf gives the secret of an API key, empty for an unknown
// one. nil claims: no known key signed it, and the reason is malformed or
// signature_invalid. Otherwise it is empty, no_expiry, expired or not_yet_valid.
func Parse(token string, secretOf func(key string) []byte, now time.Time) (*Claims, string) {
	var claims Claims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) {
		if key := secretOf(claims.Issuer); len(key) > 0 {
			return key, nil
		}
		return nil, errors.New("signed by a key of no cluster")
	})
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return nil, "malformed"
	case err != nil:
		return nil, "signature_invalid"
	case !inCalendar(claims.ExpiresAt) || !inCalendar(claims.NotBefore) || !inCalendar(claims.IssuedAt):
		return nil, "malformed"
	case claims.ExpiresAt == nil:
		return &claims, "no_expiry"
	case !now.Before(claims.ExpiresAt.Add(tokenLeeway)):
		return &claims, "expired"
	case claims.NotBefore != nil && now.Add(tokenLeeway).Before(claims.NotBefore.Time):
		return &claims, "not_yet_valid"
	}
	return &claims, ""
}

// inCalendar reports whether RFC 3339, with years of four digits, can represent a
// time.
func inCalendar(at *jwt.NumericDate) bool {
	if at == nil {
		return true
	}
	year := at.UTC().Year()
	return 0 <= year && year <= 9999
}

// Issued is the token's iat, or its nbf; the zero time if it has neither.
func (c *Claims) Issued() time.Time {
	if c.IssuedAt != nil {
		return c.IssuedAt.UTC()
	}
	if c.NotBefore != nil {
		return c.NotBefore.UTC()
	}
	return time.Time{}
}

// Expires is when the token ends; the zero time where it does not.
func (c *Claims) Expires() time.Time {
	if c.ExpiresAt == nil {
		return time.Time{}
	}
	return c.ExpiresAt.UTC()
}

// Grants are the token's grants in its room.
func (c *Claims) Grants() models.VideoGrants {
	v := c.Video
	set := func(b bool) *bool {
		if !b {
			return nil
		}
		return &b
	}
	return models.VideoGrants{
		RoomJoin: set(v.RoomJoin), RoomAdmin: set(v.RoomAdmin), CanPublish: v.CanPublish, CanSubscribe: v.CanSubscribe,
		CanPublishData: v.CanPublishData, CanPublishSources: v.CanPublishSources,
		CanUpdateOwnMetadata: v.CanUpdateOwnMetadata, CanSubscribeMetrics: v.CanSubscribeMetrics,
		CanManageAgentSession: v.CanManageAgentSession, Hidden: set(v.Hidden), Recorder: set(v.Recorder),
		Agent: set(c.Kind == kindAgent),
	}
}
