package replicas_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
)

// inRoom is how long each person is in their room by LiveKit's times.
const inRoom = 10 * time.Minute

// hourOfEvents is a whole hour that is over, in which all people come and go.
func hourOfEvents() time.Time { return time.Now().UTC().Truncate(time.Hour).Add(-2 * time.Hour) }

// event is a webhook as LiveKit's server writes it: a person comes to one of 20 rooms or leaves it.
func event(project string, hour time.Time, kind string, person int) []byte {
	left := hour.Add(30 * time.Minute)
	joined, room := left.Add(time.Second/2-inRoom), person%20
	return fmt.Appendf(nil, `{"event":%q,"id":"EV_%s_%s_%d","createdAt":"%d","room":{"sid":"RM_%s%d","name":"%s_room-%d","creationTime":"%d",`+
		`"creationTimeMs":"%d"},"participant":{"sid":"PA_%s%d","identity":"person-%d","state":"ACTIVE","joinedAt":"%d","joinedAtMs":"%d",`+
		`"permission":{"canSubscribe":true,"canPublish":true,"canPublishData":true}}}`,
		kind, kind, project, person, left.Unix(), project[len(project)-8:], room, project, room, joined.Unix(), joined.UnixMilli(),
		project[len(project)-8:], person, person, joined.Unix(), joined.UnixMilli())
}

// deliver sends an event to a replica as LiveKit does, and returns an error unless it is acknowledged.
func (r *replica) deliver(ctx context.Context, body []byte) error {
	sum := sha256.Sum256(body)
	token, err := auth.NewAccessToken(clusterKey, clusterSecret).SetValidFor(5 * time.Minute).
		SetSha256(base64.StdEncoding.EncodeToString(sum[:])).ToJWT()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/v1/webhooks/livekit", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", token)
	request.Header.Set("Content-Type", "application/webhook+json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s: %s", answer.Status, text)
	}
	return err
}

// usage is what a replica says of a project: its sessions, how many are open, their seconds, and the total.
type usage struct {
	sessions, open  int
	seconds, totals float64
}

func (r *replica) usage(t *testing.T, key http.Header, hour time.Time) (u usage, err error) {
	t.Helper()
	var report struct {
		Totals struct {
			ParticipantSeconds float64 `json:"participant_seconds"`
		} `json:"totals"`
	}
	path := "/v1/usage?start=" + hour.Format(time.RFC3339) + "&end=" + hour.Add(time.Hour).Format(time.RFC3339)
	if err := r.api.Do(t.Context(), http.MethodGet, path, key, nil, &report); err != nil {
		return u, err
	}
	u.totals = report.Totals.ParticipantSeconds
	for path := "/v1/usage/sessions?subject=participant&limit=100"; path != ""; {
		var page struct {
			Items []struct {
				LeftAt          *time.Time `json:"left_at"`
				DurationSeconds float64    `json:"duration_seconds"`
			} `json:"items"`
			NextCursor *string `json:"next_cursor"`
		}
		if err := r.api.Do(t.Context(), http.MethodGet, path, key, nil, &page); err != nil {
			return u, err
		}
		for _, s := range page.Items {
			u.sessions++
			u.seconds += s.DurationSeconds
			if s.LeftAt == nil {
				u.open++
			}
		}
		path = ""
		if page.NextCursor != nil {
			path = "/v1/usage/sessions?subject=participant&limit=100&cursor=" + *page.NextCursor
		}
	}
	return u, nil
}
