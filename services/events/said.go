package events

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// said is what the stored body of a LiveKit event says beyond what metering reads
// of it. Fields that are not listed here reach no tenant.
type said struct {
	Room struct {
		Metadata string `json:"metadata"`
	} `json:"room"`
	Participant struct {
		Name       string            `json:"name"`
		Metadata   string            `json:"metadata"`
		Attributes map[string]string `json:"attributes"`
	} `json:"participant"`
	Track struct {
		SID       string `json:"sid"`
		Type      word   `json:"type"`
		Source    word   `json:"source"`
		Name      string `json:"name"`
		MimeType  string `json:"mimeType"`
		Muted     bool   `json:"muted"`
		Simulcast bool   `json:"simulcast"`
		Width     whole  `json:"width"`
		Height    whole  `json:"height"`
	} `json:"track"`
	Egress  saidEgress  `json:"egressInfo"`
	Ingress saidIngress `json:"ingressInfo"`
}

type saidEgress struct {
	Error          string         `json:"error"`
	RoomComposite  jsontext.Value `json:"roomComposite"`
	Web            jsontext.Value `json:"web"`
	Participant    jsontext.Value `json:"participant"`
	TrackComposite jsontext.Value `json:"trackComposite"`
	Track          jsontext.Value `json:"track"`
	FileResults    []struct {
		Filename string `json:"filename"`
		Size     whole  `json:"size"`
		Duration whole  `json:"duration"`
	} `json:"fileResults"`
	SegmentResults []struct {
		PlaylistName string `json:"playlistName"`
		Size         whole  `json:"size"`
		Duration     whole  `json:"duration"`
	} `json:"segmentResults"`
	ImageResults []struct {
		FilenamePrefix string `json:"filenamePrefix"`
	} `json:"imageResults"`
	StreamResults []struct {
		Status   word  `json:"status"`
		Duration whole `json:"duration"`
	} `json:"streamResults"`
}

type saidIngress struct {
	Name                string `json:"name"`
	InputType           word   `json:"inputType"`
	ParticipantIdentity string `json:"participantIdentity"`
	State               struct {
		Error string `json:"error"`
	} `json:"state"`
}

// readSaid reads a stored body. Of one that it can't read it gives nothing: the
// event is told with what metering knows.
func readSaid(body string) (out said) {
	// Names may be spelled as in the .proto file too.
	if json.Unmarshal([]byte(body), &out, json.MatchCaseInsensitiveNames(true)) != nil {
		return said{}
	}
	return out
}

// whole is an int64, which protojson writes as a string and takes as either.
type whole int64

// UnmarshalJSONFrom reads it.
func (w *whole) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(token.String(), 10, 64)
	*w = whole(n)
	return err
}

func (w whole) seconds() float64 {
	return float64(time.Duration(w)/time.Millisecond) / 1000
}

// word is the name of an enum's value, or its number if LiveKit sent that.
type word string

// UnmarshalJSONFrom reads it.
func (w *word) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	token, err := dec.ReadToken()
	*w = word(token.String())
	return err
}

// or gives the word in lower case, without what all values begin with; otherwise
// is the first value, which LiveKit leaves out.
func (w word) or(otherwise, prefix, suffix string) string {
	if w == "" {
		return otherwise
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(string(w)), strings.ToLower(prefix)), strings.ToLower(suffix))
}

// kind names the request that an egress was started with.
func (e *saidEgress) kind() string {
	switch {
	case e.RoomComposite != nil:
		return "room_composite"
	case e.Web != nil:
		return "web"
	case e.Participant != nil:
		return "participant"
	case e.TrackComposite != nil:
		return "track_composite"
	case e.Track != nil:
		return "track"
	}
	return "other"
}

func (e *saidEgress) results() []result {
	out := []result{}
	for _, r := range e.FileResults {
		out = append(out, result{Kind: "file", Path: r.Filename, SizeBytes: int64(r.Size), DurationSeconds: r.Duration.seconds()})
	}
	for _, r := range e.SegmentResults {
		out = append(out, result{Kind: "hls", Path: r.PlaylistName, Playlist: r.PlaylistName, SizeBytes: int64(r.Size), DurationSeconds: r.Duration.seconds()})
	}
	for _, r := range e.ImageResults {
		out = append(out, result{Kind: "images", Path: r.FilenamePrefix})
	}
	for _, r := range e.StreamResults {
		out = append(out, result{Kind: "rtmp", Status: r.Status.or("active", "", ""), DurationSeconds: r.Duration.seconds()})
	}
	return out
}

// recorded gives the results that are stored somewhere.
func recorded(all []result) []result {
	out := []result{}
	for _, r := range all {
		if r.Kind == "file" && r.SizeBytes > 0 || r.Kind == "hls" && r.SizeBytes > 0 || r.Kind == "images" {
			out = append(out, r)
		}
	}
	return out
}

// safeText gives a text of LiveKit without what follows the host of an address:
// paths and queries hold stream keys and signatures. nil for an empty one.
func safeText(text string) *string {
	if text == "" {
		return nil
	}
	words := strings.Fields(text)
	for i, w := range words {
		scheme, rest, found := strings.Cut(w, "://")
		if !found {
			continue
		}
		at := strings.LastIndexFunc(scheme, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '+' })
		words[i] = scheme[:at+1] + "[redacted]"
		if u, err := url.Parse(scheme[at+1:] + "://" + rest); err == nil && u.Host != "" {
			words[i] = scheme[:at+1] + u.Scheme + "://" + u.Host + "/[redacted]"
		}
	}
	out := strings.Join(words, " ")
	return &out
}
