package livekit

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protojson"

	"pulse-control-plane/models"
)

// tokenAttribute is the participant attribute with the id of the token used to
// join; the time in its UUIDv7 is when the token was minted.
const tokenAttribute = "pulse.token"

// EventVerifier finds the cluster that signed a webhook.
type EventVerifier struct {
	secrets map[string][]byte
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

func NewEventVerifier(clusters []Cluster) EventVerifier {
	v := EventVerifier{secrets: make(map[string][]byte, len(clusters)),
		parser: jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithLeeway(signatureLeeway))}
	for _, c := range clusters {
		v.secrets[c.APIKey] = []byte(c.APISecret.Reveal())
	}
	return v
}

// Verify verifies LiveKit's signature of a body
// (https://docs.livekit.io/home/server/webhooks/#receiving-webhooks): a token in
// Authorization, signed with the cluster's key, whose claim sha256 is the hash of
// the body. It returns the API key; unauthenticated otherwise. LiveKit's own
// verifier parses each token twice, which is half of its cost.
func (v EventVerifier) Verify(authorization string, body []byte) (string, error) {
	token := strings.TrimSpace(strings.TrimPrefix(authorization, "Bearer "))
	var claims eventClaims
	if _, err := v.parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) {
		if key := v.secrets[claims.Issuer]; len(key) > 0 {
			return key, nil
		}
		return nil, errors.New("signed with a key of no configured cluster")
	}); err != nil {
		return "", errBadSignature(err)
	}
	sum := sha256.Sum256(body)
	want := base64.StdEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(claims.Sha256), []byte(want)) != 1 {
		return "", errBadSignature(errors.New("the signature is for another body"))
	}
	return claims.Issuer, nil
}

func errBadSignature(cause error) *models.Error {
	return models.Unauthenticated("invalid_signature", "The request is not signed by a configured LiveKit cluster.").Because(cause)
}

// ReadEvent decodes a verified body. Unknown fields remain in Body and are ignored
// otherwise. It fails for a body that is not an event.
func ReadEvent(cluster string, body []byte, received time.Time) (models.LiveKitEvent, error) {
	var in livekit.WebhookEvent
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true, AllowPartial: true}).Unmarshal(body, &in); err != nil {
		return models.LiveKitEvent{}, err
	}
	kept, err := redact(body)
	if err != nil {
		return models.LiveKitEvent{}, err
	}
	e := models.LiveKitEvent{
		ID: in.Id, Cluster: cluster, Event: in.Event, CreatedAt: time.Unix(in.CreatedAt, 0).UTC(), Body: kept,
	}
	if e.ID == "" { // LiveKit always sends one; without it the hash of the body is the id
		e.ID = BodyID(body)
	}
	if in.CreatedAt == 0 {
		e.CreatedAt = received.Truncate(time.Second)
	}
	qualified := ""
	if room := in.Room; room != nil {
		qualified, e.RoomSID, e.RoomCreatedAt = room.Name, room.Sid, roomCreation(room)
	}
	if p := in.Participant; p != nil {
		e.Participant = &models.EventParticipant{
			SID: p.Sid, Identity: p.Identity, TokenID: models.TokenID(p.Attributes[tokenAttribute]),
		}
		if joined := participantJoined(p); !joined.IsZero() { // track events contain only the names
			e.Participant.Kind, e.Participant.JoinedAt = p.Kind.String(), joined
			e.Participant.Reason = strings.ToLower(p.DisconnectReason.String())
		}
	}
	switch egress, ingress := in.EgressInfo, in.IngressInfo; {
	case egress != nil:
		qualified, e.RoomSID, e.Media = egress.RoomName, egress.RoomId, egressMedia(egress)
	case ingress != nil:
		qualified, e.RoomSID, e.Media = ingress.RoomName, ingress.GetState().GetRoomId(), ingressMedia(ingress)
	}
	e.ProjectID, e.RoomName, _ = models.SplitRoom(qualified)
	e.RoomKey = qualified
	if qualified == "" {
		e.RoomKey = e.ID
		if e.Media != nil {
			e.RoomKey = e.Media.ID
		}
	}
	return e, nil
}

func BodyID(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func roomCreation(r *livekit.Room) time.Time {
	if r.CreationTimeMs > 0 {
		return time.UnixMilli(r.CreationTimeMs).UTC()
	}
	return unixSeconds(r.CreationTime)
}

func participantJoined(p *livekit.ParticipantInfo) time.Time {
	if p.JoinedAtMs > 0 {
		return time.UnixMilli(p.JoinedAtMs).UTC()
	}
	return unixSeconds(p.JoinedAt)
}

func egressMedia(e *livekit.EgressInfo) *models.EventMedia {
	return &models.EventMedia{ID: e.EgressId, Status: e.Status.String(),
		StartedAt: unixNanos(e.StartedAt), EndedAt: unixNanos(e.EndedAt)}
}

// ingressMedia names one run of an ingress, which may have many, by its start.
func ingressMedia(i *livekit.IngressInfo) *models.EventMedia {
	s := i.GetState()
	return &models.EventMedia{ID: i.IngressId + "@" + strconv.FormatInt(s.GetStartedAt(), 10), Status: s.GetStatus().String(),
		StartedAt: unixNanos(s.GetStartedAt()), EndedAt: unixNanos(s.GetEndedAt())}
}

func unixSeconds(s int64) time.Time {
	if s <= 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

func unixNanos(ns int64) time.Time {
	if ns <= 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC().Truncate(time.Millisecond)
}

// isSecret reports whether a field of a part of the event is secret, in either of
// protojson's spellings.
func isSecret(part, name string) bool {
	switch part {
	case "room":
		return name == "turnPassword" || name == "turn_password"
	case "ingressInfo", "ingress_info":
		return name == "streamKey" || name == "stream_key"
	case "egressInfo", "egress_info":
		switch name {
		case "accessKey", "access_key", "secret", "sessionToken", "session_token", "credentials",
			"accountKey", "account_key", "streamKey", "stream_key", "password":
			return true
		}
	}
	return false
}

// redact copies a JSON text without its secrets; all other fields remain, known to
// this version or not.
func redact(body []byte) (string, error) {
	var out bytes.Buffer
	out.Grow(len(body))
	dec, enc := jsontext.NewDecoder(bytes.NewReader(body)), jsontext.NewEncoder(&out)
	part := ""
	for {
		token, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			return strings.TrimSpace(out.String()), nil
		}
		if err != nil {
			return "", err
		}
		depth := dec.StackDepth()
		if kind, length := dec.StackIndex(depth); kind == '{' && length%2 == 1 && token.Kind() == '"' {
			name := token.String()
			if depth == 1 {
				part = name
			}
			if isSecret(part, name) {
				if err := dec.SkipValue(); err != nil {
					return "", err
				}
				continue
			}
		}
		if err := enc.WriteToken(token); err != nil {
			return "", err
		}
	}
}
