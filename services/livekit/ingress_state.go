package livekit

import (
	"net/url"
	"strings"

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
	scheme, _, _ := strings.Cut(text, "://")
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "":
		return scheme + "://" + RedactedKey
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
		Status: ingressStatus(s.GetStatus().String()), Error: WithoutPulled(publicText(s.GetError(), info.RoomName)),
		Enabled: info.Enabled == nil || *info.Enabled, Transcode: info.InputType != livekit.IngressInput_WHIP_INPUT,
		StartedAt: UnixNanos(s.GetStartedAt()), EndedAt: UnixNanos(s.GetEndedAt()), UpdatedAt: UnixNanos(s.GetUpdatedAt())}
	if info.EnableTranscoding != nil {
		out.Transcode = *info.EnableTranscoding
	}
	if info.InputType == livekit.IngressInput_URL_INPUT {
		out.URL = RedactPullURL(info.Url)
	}
	if key := info.StreamKey; key != "" {
		out.Error = strings.ReplaceAll(out.Error, key, RedactedKey)
	}
	return out
}

// WithoutPulled redacts the URLs of http in a text about an ingress, which RedactText
// leaves.
func WithoutPulled(text string) string {
	return eachURL(text, func(scheme, whole string) string {
		switch strings.ToLower(scheme) {
		case "http", "https":
			return RedactPullURL(whole)
		}
		return whole
	})
}
