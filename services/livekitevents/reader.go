package livekitevents

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

// What is kept of a body, in bytes. LiveKit allows 512 KiB of metadata, which
// proves nothing of usage: a string longer than maxKeptString is left out, and
// so is everything after the first maxKeptBody.
const (
	maxKeptString = 4 << 10
	maxKeptBody   = 64 << 10
	// readDepth is how deep in a body known fields stand.
	readDepth = 6
)

// rawEvent is what Pulse needs of livekit.WebhookEvent, as protojson writes it.
// It is read by hand because protojson turns an enum value this version does
// not know into its default, which would make people of unknown kinds.
type rawEvent struct {
	id, event   string
	createdAt   int64
	room        *rawRoom
	participant *rawParticipant
	egress      *rawMedia
	ingress     *rawMedia
}

type rawRoom struct {
	name, sid                    string
	creationTime, creationTimeMs int64
}

type rawParticipant struct {
	sid, identity, kind, reason string
	joinedAt, joinedAtMs        int64
	recorder, agent             bool
	token                       string
}

// rawMedia is an EgressInfo or an IngressInfo with its state.
type rawMedia struct {
	id, roomName, roomID, status string
	startedAt, endedAt           int64
	// firstStart and lastEnd are of its results.
	firstStart, lastEnd int64
}

// eventReader reads a body once, as a stream: it captures the fields Pulse
// needs and copies the rest, without its secrets, up to a bound.
type eventReader struct {
	dec  *jsontext.Decoder
	enc  *jsontext.Encoder
	out  bytes.Buffer
	path [readDepth + 1]string
	raw  rawEvent
	// streamKey of the ingress that the body is about, which was left out.
	streamKey string
}

var errNoEvent = errors.New("not a LiveKit event")

// readBody reads a body. Its error is of a body that is no event.
func readBody(body io.Reader) (*rawEvent, string, error) {
	r := &eventReader{dec: jsontext.NewDecoder(body)}
	r.enc = jsontext.NewEncoder(&r.out)
	if r.dec.PeekKind() != '{' {
		return nil, "", errNoEvent
	}
	for {
		token, err := r.dec.ReadToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, "", err
		}
		if err := r.take(token); err != nil {
			return nil, "", err
		}
	}
	return &r.raw, strings.TrimSpace(r.out.String()), nil
}

// take captures and copies a value, or a member's name and value together.
func (r *eventReader) take(token jsontext.Token) error {
	depth := r.dec.StackDepth()
	switch kind, length := r.dec.StackIndex(depth); {
	case token.Kind() == '}' || token.Kind() == ']':
		if r.enc.StackDepth() == depth { // its beginning was not copied
			return nil
		}
		return r.enc.WriteToken(token)
	case opens(token):
		return r.value(token, depth-1, "") // in an array, or the body itself
	case kind != '{' || length%2 == 0:
		return r.value(token, depth, "")
	}
	name := token.String()
	if depth <= readDepth {
		r.path[depth] = camel(name)
		for deeper := depth + 1; deeper <= readDepth; deeper++ {
			r.path[deeper] = ""
		}
	}
	if isSecret(r.path[1], camel(name)) {
		return r.leaveOut(camel(name))
	}
	value, err := r.dec.ReadToken()
	if err != nil {
		return noEOF(err)
	}
	return r.value(value, depth, name)
}

// value captures a value in an object or array at a depth, with its name in an
// object, and copies it if that was copied and there is room.
func (r *eventReader) value(token jsontext.Token, depth int, name string) error {
	token = r.redacted(token)
	if name != "" && depth <= readDepth {
		if err := r.capture(depth, token); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(r.path[1:depth+1], "."), err)
		}
	}
	size := len(name)
	if token.Kind() == '"' {
		text := len(token.String())
		if text > maxKeptString && name != "" {
			return nil
		}
		size += text
	}
	if r.enc.StackDepth() != depth || r.enc.OutputOffset()+int64(size) > maxKeptBody {
		return nil
	}
	if name != "" {
		if err := r.enc.WriteToken(jsontext.String(name)); err != nil {
			return err
		}
	}
	return r.enc.WriteToken(token)
}

// leaveOut skips a secret, and remembers the stream key of an ingress: LiveKit may
// repeat it in a text, such as the error of a run. protojson writes fields in the
// order of their numbers, so that the key comes before the texts.
func (r *eventReader) leaveOut(name string) error {
	if name != "streamKey" || r.path[1] != ingressPart || r.dec.PeekKind() != '"' {
		return noEOF(r.dec.SkipValue())
	}
	token, err := r.dec.ReadToken()
	if err != nil {
		return noEOF(err)
	}
	r.streamKey = token.String()
	return nil
}

// redacted is a token without the secrets that texts about media may have.
func (r *eventReader) redacted(token jsontext.Token) jsontext.Token {
	if token.Kind() != '"' || !isMedia(r.path[1]) {
		return token
	}
	was := token.String()
	text := was
	if strings.Contains(text, "://") {
		text = livekit.RedactText(text)
		if r.path[1] == ingressPart {
			text = livekit.WithoutPulled(text)
		}
	}
	if r.path[1] == ingressPart {
		text = livekit.WithoutKey(text, r.streamKey)
	}
	if text == was {
		return token
	}
	return jsontext.String(text)
}

func opens(t jsontext.Token) bool { return t.Kind() == '{' || t.Kind() == '[' }

// noEOF is an error for a body that ends within a value.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// capture reads a member of the body that Pulse needs.
func (r *eventReader) capture(depth int, token jsontext.Token) error {
	if token.Kind() == 'n' {
		return nil
	}
	raw := &r.raw
	if depth == 1 {
		switch r.path[1] {
		case "id":
			return textOf(&raw.id, token)
		case "event":
			return textOf(&raw.event, token)
		case "createdAt":
			return whole(&raw.createdAt, token)
		case "room":
			raw.room = new(rawRoom)
		case "participant":
			raw.participant = new(rawParticipant)
		case "egressInfo":
			raw.egress = new(rawMedia)
		case "ingressInfo":
			raw.ingress = new(rawMedia)
		default:
			return nil
		}
		return is(token, '{')
	}
	switch r.path[1] {
	case "room":
		return r.captureRoom(depth, token)
	case "participant":
		return r.captureParticipant(depth, token)
	case "egressInfo":
		return r.captureEgress(depth, token)
	case "ingressInfo":
		return r.captureIngress(depth, token)
	}
	return nil
}

func (r *eventReader) captureRoom(depth int, token jsontext.Token) error {
	if depth != 2 {
		return nil
	}
	room := r.raw.room
	switch r.path[2] {
	case "name":
		return textOf(&room.name, token)
	case "sid":
		return textOf(&room.sid, token)
	case "creationTime":
		return whole(&room.creationTime, token)
	case "creationTimeMs":
		return whole(&room.creationTimeMs, token)
	}
	return nil
}

func (r *eventReader) captureParticipant(depth int, token jsontext.Token) error {
	p := r.raw.participant
	switch depth {
	case 2:
		switch r.path[2] {
		case "sid":
			return textOf(&p.sid, token)
		case "identity":
			if err := is(token, '"'); err != nil {
				return err
			}
			p.identity = models.KeptIdentity(token.String())
			return nil
		case "kind":
			return enum(&p.kind, token, livekit.KindName)
		case "disconnectReason":
			return enum(&p.reason, token, livekit.ReasonName)
		case "joinedAt":
			return whole(&p.joinedAt, token)
		case "joinedAtMs":
			return whole(&p.joinedAtMs, token)
		case "permission", "attributes":
			return is(token, '{')
		}
	case 3:
		switch r.path[2] + "." + r.path[3] {
		case "permission.recorder":
			return flag(&p.recorder, token)
		case "permission.agent":
			return flag(&p.agent, token)
		case "attributes." + livekit.TokenAttribute:
			if token.Kind() == '"' { // else it is none of Pulse's
				p.token = token.String()
			}
		}
	}
	return nil
}

func (r *eventReader) captureEgress(depth int, token jsontext.Token) error {
	m := r.raw.egress
	switch {
	case depth == 2:
		switch r.path[2] {
		case "egressId":
			return textOf(&m.id, token)
		case "roomId":
			return textOf(&m.roomID, token)
		case "roomName":
			return textOf(&m.roomName, token)
		case "status":
			return enum(&m.status, token, livekit.EgressStatusName)
		case "startedAt":
			return whole(&m.startedAt, token)
		case "endedAt":
			return whole(&m.endedAt, token)
		}
	case isResult(r.path[2]):
		var at int64
		switch r.path[depth] {
		case "startedAt":
			if err := whole(&at, token); err != nil {
				return err
			}
			if at > 0 && (m.firstStart == 0 || at < m.firstStart) {
				m.firstStart = at
			}
		case "endedAt":
			if err := whole(&at, token); err != nil {
				return err
			}
			m.lastEnd = max(m.lastEnd, at)
		}
	}
	return nil
}

// isResult names the fields of EgressInfo that hold what an egress made.
func isResult(name string) bool {
	switch name {
	case "file", "stream", "segments", "fileResults", "streamResults", "segmentResults", "imageResults":
		return true
	}
	return false
}

func (r *eventReader) captureIngress(depth int, token jsontext.Token) error {
	m := r.raw.ingress
	switch {
	case depth == 2 && r.path[2] == "ingressId":
		return textOf(&m.id, token)
	case depth == 2 && r.path[2] == "roomName":
		return textOf(&m.roomName, token)
	case depth == 3 && r.path[2] == "state":
		switch r.path[3] {
		case "status":
			return enum(&m.status, token, livekit.IngressStatusName)
		case "startedAt":
			return whole(&m.startedAt, token)
		case "endedAt":
			return whole(&m.endedAt, token)
		case "roomId":
			return textOf(&m.roomID, token)
		}
	}
	return nil
}
