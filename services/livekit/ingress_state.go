package livekit

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protojson"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

// RedactPullURL gives a URL that media is pulled from without what may be secret: the
// user, the query and, of srt, whose query has the passphrase and stream id, all after
// the host.
func RedactPullURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "":
		return hidden(text)
	case u.Scheme == "http" || u.Scheme == "https":
		return u.Scheme + "://" + u.Host + u.EscapedPath()
	}
	return u.Scheme + "://" + u.Host
}

// IngressOf reads the ingress that an event of LiveKit is about; false if it is about
// none or cannot be read. It has no stream key.
func IngressOf(e *models.LiveKitEvent) (IngressState, bool) {
	if e.Media == nil {
		return IngressState{}, false
	}
	var body struct {
		Ingress jsontext.Value `json:"ingressInfo,case:ignore"`
	}
	var info livekit.IngressInfo
	if json.Unmarshal([]byte(e.Body), &body) != nil || len(body.Ingress) == 0 ||
		(protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body.Ingress, &info) != nil {
		return IngressState{}, false
	}
	out := ingressState(&info)
	// What this version does not know, and times that cannot be, were seen to when the
	// event came.
	out.Status, out.StartedAt, out.EndedAt = ingressStatus(e.Media.Status), e.Media.StartedAt, e.Media.EndedAt
	if out.UpdatedAt.IsZero() {
		out.UpdatedAt = e.CreatedAt
	}
	return out, true
}

// ingressStatus is a status of LiveKit's as models names it.
func ingressStatus(name string) models.IngressStatus {
	return models.IngressStatus(strings.ToLower(strings.TrimPrefix(name, "ENDPOINT_")))
}

// ingressState reads an IngressInfo; its error text names rooms as their tenant does
// and has no secrets of URLs.
func ingressState(info *livekit.IngressInfo) IngressState {
	s := info.GetState()
	out := IngressState{ID: info.IngressId, Name: info.Name, Room: info.RoomName, URL: info.Url, StreamKey: secret.New(info.StreamKey),
		Status: ingressStatus(s.GetStatus().String()), Error: WithoutKey(publicText(s.GetError(), info.RoomName), info.StreamKey),
		Identity: info.ParticipantIdentity, ParticipantName: info.ParticipantName, ParticipantMetadata: info.ParticipantMetadata,
		Audio: audioAsked(info.Audio), Video: videoAsked(info.Video), Enabled: info.Enabled == nil || *info.Enabled, Transcode: info.InputType != livekit.IngressInput_WHIP_INPUT,
		StartedAt: UnixNanos(s.GetStartedAt()), EndedAt: UnixNanos(s.GetEndedAt()), UpdatedAt: UnixNanos(s.GetUpdatedAt())}
	if info.EnableTranscoding != nil {
		out.Transcode = *info.EnableTranscoding
	}
	if info.InputType == livekit.IngressInput_URL_INPUT {
		out.URL = RedactPullURL(info.Url)
	}
	return out
}

// leastKey is the length from which a stream key is one wherever it stands in a text;
// LiveKit's own are longer.
const leastKey = 8

// WithoutKey gives a text without a stream key. A short one may be part of any word, so
// it is redacted only where it stands by itself.
func WithoutKey(text, key string) string {
	if len(key) >= leastKey {
		return strings.ReplaceAll(text, key, RedactedKey)
	}
	inWord := func(b byte) bool { return isLetter(b) || '0' <= b && b <= '9' || b >= utf8.RuneSelf }
	for from := 0; key != ""; {
		at := strings.Index(text[from:], key)
		if at < 0 {
			break
		}
		at += from
		from = at + len(key)
		if (at == 0 || !inWord(text[at-1])) && (from == len(text) || !inWord(text[from])) {
			text = text[:at] + RedactedKey + text[from:]
			from = at + len(RedactedKey)
		}
	}
	return text
}

// WithoutPulled redacts the URLs of http in a text, which RedactText leaves.
func WithoutPulled(text string) string {
	return eachURL(text, func(scheme, whole string) string {
		switch strings.ToLower(scheme) {
		case "http", "https":
			return RedactPullURL(whole)
		}
		return whole
	})
}
