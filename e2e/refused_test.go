package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/e2e/harness"
)

// liveKitLeeway is how long after its expiry LiveKit still accepts a token (livekit/protocol, auth/verifier.go, tokenLeeway).
const liveKitLeeway = time.Minute

func TestLiveKitRefusesTamperedTokens(t *testing.T) {
	t.Parallel()
	in := install(t, harness.LiveKitOptions{})
	acme, globex := in.project(t, "acme"), in.project(t, "globex")
	token := in.token(t, acme, "lobby", "mallory").ParticipantToken
	in.mustAccept(t, token)
	header, claims, signature := parts(t, token)

	other := claims.copy(t)
	other.video(t)["room"] = globex.ID() + "_lobby"
	admin := claims.copy(t)
	admin.video(t)["roomAdmin"] = true
	someone := claims.copy(t)
	someone["sub"] = "alice"
	changed := "A" + signature[1:]
	if changed == signature {
		changed = "B" + signature[1:]
	}
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))

	for name, forged := range map[string]string{
		"the room of another project":    header + "." + other.encode(t) + "." + signature,
		"a grant that was not given":     header + "." + admin.encode(t) + "." + signature,
		"another identity":               header + "." + someone.encode(t) + "." + signature,
		"a changed signature":            header + "." + claims.encode(t) + "." + changed,
		"no signature":                   header + "." + claims.encode(t) + ".",
		"an algorithm called none":       unsigned + "." + other.encode(t) + ".",
		"the signature of another key":   sign(header, other.encode(t), "another secret of the right length"),
		"the signature of the Pulse key": sign(header, other.encode(t), acme.Secret),
	} {
		in.mustRefuse(t, name, forged)
	}
	if rooms := in.rooms(t); len(rooms) > 0 {
		t.Errorf("the refused tokens opened the rooms %v", rooms)
	}
}

func TestLiveKitRefusesAnExpiredToken(t *testing.T) {
	t.Parallel()
	in := install(t, harness.LiveKitOptions{})
	project := in.project(t, "acme")
	const ttl = 30 * time.Second // the shortest that Pulse mints
	before := time.Now().Truncate(time.Second)
	token, err := in.API.CreateToken(t.Context(), harness.AsClient(project),
		harness.TokenRequest{RoomName: "lobby", ParticipantIdentity: "late", TTLSeconds: int(ttl.Seconds())})
	if err != nil {
		t.Fatal(err)
	}
	after := time.Now()
	in.mustAccept(t, token.ParticipantToken)
	header, claims, _ := parts(t, token.ParticipantToken)
	expires := claims.time(t, "exp")
	if expires.Before(before.Add(ttl)) || expires.After(after.Add(ttl)) {
		t.Errorf("the token expires at %s, want %s after it was made", expires, ttl)
	}
	if !expires.Equal(token.ExpiresAt.Truncate(time.Second)) {
		t.Errorf("the token expires at %s, the answer says %s", expires, token.ExpiresAt)
	}

	// Instead of waiting, sign the same token with earlier times: the cluster's key signs it, so only its age can be the
	// reason for the refusal.
	age := func(by time.Duration) string {
		older := claims.copy(t)
		for _, name := range []string{"exp", "nbf", "iat"} {
			if _, ok := older[name]; ok {
				older[name] = claims.time(t, name).Add(-by).Unix()
			}
		}
		return sign(header, older.encode(t), in.LiveKit.APISecret)
	}
	in.mustAccept(t, age(ttl/2))
	in.mustRefuse(t, "a token that has expired", age(ttl+liveKitLeeway+5*time.Second))
}

// mustAccept fails the test unless LiveKit accepts the token.
func (i *installation) mustAccept(t *testing.T, token string) {
	t.Helper()
	status, text, err := i.LiveKit.Validate(t.Context(), token, nil)
	if err != nil || status != http.StatusOK {
		t.Fatalf("LiveKit refuses a valid token: %d %s, %v", status, text, err)
	}
}

// mustRefuse reports an error unless LiveKit answers 401 to token and the SDK cannot join with it.
func (i *installation) mustRefuse(t *testing.T, name, token string) {
	t.Helper()
	status, text, err := i.LiveKit.Validate(t.Context(), token, nil)
	if err != nil || status != http.StatusUnauthorized {
		t.Errorf("LiveKit answers %s with %d %s, %v; want 401", name, status, text, err)
	}
	if p, err := harness.TryJoin(t.Context(), i.LiveKit.URL, token); err == nil {
		p.Leave()
		t.Errorf("LiveKit accepts %s", name)
	}
}

// claims are the payload of a JWT.
type claims map[string]any

func parts(t *testing.T, token string) (header string, c claims, signature string) {
	t.Helper()
	p := strings.Split(token, ".")
	if len(p) != 3 {
		t.Fatalf("a JWT has three parts, this has %d", len(p))
	}
	payload, err := base64.RawURLEncoding.DecodeString(p[1])
	if err != nil {
		t.Fatalf("the payload of the token: %v", err)
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatalf("the payload of the token: %v", err)
	}
	return p[0], c, p[2]
}

func (c claims) copy(t *testing.T) claims {
	t.Helper()
	_, out, _ := parts(t, "."+c.encode(t)+".")
	return out
}

func (c claims) encode(t *testing.T) string {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func (c claims) video(t *testing.T) map[string]any {
	t.Helper()
	video, ok := c["video"].(map[string]any)
	if !ok {
		t.Fatalf("the token has no video grant: %v", c)
	}
	return video
}

func (c claims) time(t *testing.T, name string) time.Time {
	t.Helper()
	seconds, ok := c[name].(float64)
	if !ok {
		t.Fatalf("the token has no %s: %v", name, c)
	}
	return time.Unix(int64(seconds), 0)
}

// sign makes a JWT of encoded header and payload with HMAC-SHA-256 (RFC 7515, HS256).
func sign(header, payload, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(header + "." + payload))
	return header + "." + payload + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
