package livekitevents

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/authorization"
)

// Verifier tells which cluster signed a webhook.
type Verifier struct {
	secrets map[string][]byte
	tokens  livekit.TokenAttributes
	parser  *jwt.Parser
}

// signatureLeeway is how far LiveKit's clock may be off, as in LiveKit's own
// verifier.
const signatureLeeway = time.Minute

// eventClaims are the claims of the token that signs a webhook.
type eventClaims struct {
	jwt.RegisteredClaims
	// Sha256 is the hash of the body in base64.
	Sha256 string `json:"sha256"`
}

// NewVerifier knows the events that the keys of these clusters signed.
func NewVerifier(clusters []livekit.Cluster) Verifier {
	v := Verifier{secrets: make(map[string][]byte, len(clusters)), tokens: livekit.NewTokenAttributes(clusters),
		parser: jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithLeeway(signatureLeeway))}
	for i := range clusters {
		for _, pair := range clusters[i].Pairs() {
			v.secrets[pair.Key] = []byte(pair.Secret.Reveal())
		}
	}
	return v
}

// Signature is what LiveKit signed: which body, with the key of which cluster.
type Signature struct {
	Cluster string
	// sha256 of the body, in base64.
	sha256 string
}

// Authenticate checks the token in an Authorization header
// (https://docs.livekit.io/home/server/webhooks/#receiving-webhooks); its scheme
// may be missing or Bearer in any case. unauthenticated for one that no cluster
// signed. LiveKit's own verifier would parse each token twice, which is half of
// its cost.
func (v Verifier) Authenticate(header string) (Signature, error) {
	token, credential := authorization.Split(header)
	if credential != "" && strings.EqualFold(token, "Bearer") {
		token = credential
	}
	var claims eventClaims
	if _, err := v.parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) {
		if key := v.secrets[claims.Issuer]; len(key) > 0 {
			return key, nil
		}
		return nil, errors.New("signed with a key of no configured cluster")
	}); err != nil {
		return Signature{}, errBadSignature(err)
	}
	return Signature{Cluster: claims.Issuer, sha256: claims.Sha256}, nil
}

func errBadSignature(cause error) *models.Error {
	return models.Unauthenticated("invalid_signature", "The request is not signed by a configured LiveKit cluster.").Because(cause)
}

// Read reads the body that was signed. It is hashed and parsed as it arrives, so
// that no more of it is in memory than is kept; nothing of it is returned unless
// the hash is the signed one, else unauthenticated. A body that is no event this
// version can read becomes a dead event without the body's text, which might hold
// secrets. Other errors are those of reading.
func (v Verifier) Read(sig Signature, body io.Reader, received time.Time) (models.LiveKitEvent, error) {
	sum := sha256.New()
	source := &failing{Reader: body}
	hashed := io.TeeReader(source, sum)
	raw, kept, unreadable := readBody(hashed)
	_, err := io.Copy(io.Discard, hashed)
	if source.err != nil {
		return models.LiveKitEvent{}, source.err
	}
	if err != nil {
		return models.LiveKitEvent{}, models.Internal(err)
	}
	digest := sum.Sum(nil)
	want := base64.StdEncoding.EncodeToString(digest)
	if subtle.ConstantTimeCompare([]byte(sig.sha256), []byte(want)) != 1 {
		return models.LiveKitEvent{}, errBadSignature(errors.New("signed another body"))
	}
	id := "sha256:" + hex.EncodeToString(digest)
	if unreadable != nil {
		return models.LiveKitEvent{ID: id, Cluster: sig.Cluster, Event: models.EventUnreadable, CreatedAt: received, RoomKey: sig.Cluster,
			State: models.EventDead, LastError: fmt.Sprintf("%d bytes that are no event: %v", source.read, unreadable)}, nil
	}
	return v.understand(sig.Cluster, id, raw, kept, received), nil
}

// failing remembers the error that ended a body, and counts its bytes.
type failing struct {
	io.Reader
	read int64
	err  error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	f.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// understand gives the event of a body. bodyID names it if LiveKit did not: the
// same body is the same event.
func (v Verifier) understand(cluster, bodyID string, in *rawEvent, kept string, received time.Time) models.LiveKitEvent {
	e := models.LiveKitEvent{ID: in.id, Cluster: cluster, Event: in.event, Body: kept}
	if e.ID == "" {
		e.ID = bodyID
	}
	if in.createdAt != 0 {
		e.CreatedAt = livekit.UnixSeconds(in.createdAt)
	}
	qualified := ""
	if room := in.room; room != nil {
		qualified, e.RoomSID, e.RoomCreatedAt = room.name, room.sid, livekit.Milliseconds(room.creationTimeMs, room.creationTime)
	}
	for _, m := range [...]*rawMedia{in.ingress, in.egress} {
		if m != nil {
			qualified, e.RoomSID = m.roomName, m.roomID
		}
	}
	e.ProjectID, e.RoomName, _ = models.SplitRoom(qualified)
	if p := in.participant; p != nil {
		e.Participant = &models.EventParticipant{SID: p.sid, Identity: p.identity}
		v.tokens.Authenticate(e.Participant, e.ProjectID, e.RoomName, p.token)
		joined := livekit.Milliseconds(p.joinedAtMs, p.joinedAt)
		if !joined.IsZero() || models.BeginsOrEndsParticipant(e.Event) { // track events carry no more than the names
			e.Participant.Kind, e.Participant.JoinedAt = orDefault(p.kind, models.ParticipantStandard), joined
			e.Participant.Recorder, e.Participant.Agent = p.recorder, p.agent
			e.Participant.Reason = strings.ToLower(orDefault(p.reason, livekit.UnknownReason))
		}
	}
	switch {
	case in.egress != nil:
		e.Media = in.egress.egress()
	case in.ingress != nil:
		e.Media = in.ingress.ingress()
	}
	e.Believe(received)
	// Which run an end without a start ends, metering finds out.
	if in.ingress != nil && in.ingress.startedAt <= 0 && e.Event != models.EventIngressEnded {
		e.Media.ID = livekit.RunID(e.Media.ID, e.CreatedAt.UnixNano())
	}
	e.RoomKey = qualified
	if qualified == "" {
		e.RoomKey = e.ID
		if e.Media != nil && e.Media.ID != "" {
			e.RoomKey = e.Media.ID
		}
	}
	return e
}

// egress takes the times from the results where the egress itself has none.
func (m *rawMedia) egress() *models.EventMedia {
	start, end := m.startedAt, m.endedAt
	if start <= 0 {
		start = m.firstStart
	}
	if end <= 0 && start > 0 && m.status != livekit.EgressActive {
		end = m.lastEnd
	}
	return &models.EventMedia{ID: m.id, Status: orDefault(m.status, livekit.EgressStarting),
		StartedAt: livekit.UnixNanos(start), EndedAt: livekit.UnixNanos(end)}
}

func (m *rawMedia) ingress() *models.EventMedia {
	return livekit.IngressRun(m.id, orDefault(m.status, livekit.IngressInactive), m.startedAt, m.endedAt)
}

func orDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
