package data_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/livekit/protocol/auth"

	"pulse-control-plane/e2e/harness"
)

const (
	// stay is how long each participant is in its room.
	stay = 10 * time.Minute
	// peopleARoom is how many participants a room has.
	peopleARoom = 20
)

// webhook is an event of LiveKit about one participant.
type webhook struct {
	id, kind string
	person   int
	body     []byte
}

// joined and left are the events of a person, who is in a room for ten minutes of an hour. LiveKit's times of events are
// whole seconds; Pulse takes an event that arrives late to have happened in the middle of its second.
func joined(project string, hour time.Time, person int) webhook {
	return about(project, hour, "participant_joined", person)
}

func left(project string, hour time.Time, person int) webhook {
	return about(project, hour, "participant_left", person)
}

func about(project string, hour time.Time, kind string, person int) webhook {
	end := hour.Add(30 * time.Minute)
	from, room := end.Add(time.Second/2-stay), person/peopleARoom
	id := fmt.Sprintf("EV_%s_%d", kind, person)
	return webhook{id, kind, person, fmt.Appendf(nil, `{"event":%q,"id":%q,"createdAt":"%d","room":{"sid":"RM_%d","name":"%s_room-%d",`+
		`"creationTime":"%d","creationTimeMs":"%d"},"participant":{"sid":"PA_%d","identity":"somebody-%d","state":"ACTIVE",`+
		`"joinedAt":"%d","joinedAtMs":"%d","permission":{"canSubscribe":true,"canPublish":true,"canPublishData":true}}}`,
		kind, id, end.Unix(), room, project, room, from.Unix(), from.UnixMilli(), person, person, from.Unix(), from.UnixMilli())}
}

// send delivers an event as LiveKit does. Only a nil error is an acknowledgement.
func (w webhook) send(ctx context.Context, client *http.Client, url string, cluster *harness.LiveKit) error {
	sum := sha256.Sum256(w.body)
	token, err := auth.NewAccessToken(cluster.APIKey, cluster.APISecret).SetValidFor(5 * time.Minute).
		SetSha256(base64.StdEncoding.EncodeToString(sum[:])).ToJWT()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/webhooks/livekit", bytes.NewReader(w.body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", token)
	request.Header.Set("Content-Type", "application/webhook+json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("an event is answered %s: %s", response.Status, text)
	}
	return err
}

// participantSeconds is what Pulse has metered of a project in an hour.
func participantSeconds(ctx context.Context, api *harness.API, p harness.Project, hour time.Time) (float64, error) {
	var usage struct {
		Totals struct {
			ParticipantSeconds float64 `json:"participant_seconds"`
		} `json:"totals"`
	}
	err := api.Do(ctx, http.MethodGet, "/v1/usage?start="+hour.Format(time.RFC3339)+"&end="+hour.Add(time.Hour).Format(time.RFC3339),
		harness.AsServer(p), nil, &usage)
	return usage.Totals.ParticipantSeconds, err
}

// operations is a part of GET /v1/operations.
type operations struct {
	Inbox   struct{ Waiting, Dead int64 }
	Backups struct {
		Enabled       bool       `json:"enabled"`
		LastSuccessAt *time.Time `json:"last_success_at"`
	}
}

func readOperations(ctx context.Context, api *harness.API) (o operations, err error) {
	err = api.Do(ctx, http.MethodGet, "/v1/operations", http.Header{"Authorization": {"Bearer " + operatorToken}}, nil, &o)
	return o, err
}

// worked returns nil once every event that was taken in is processed.
func worked(ctx context.Context, api *harness.API) error {
	o, err := readOperations(ctx, api)
	if err == nil && (o.Inbox.Waiting > 0 || o.Inbox.Dead > 0) {
		err = fmt.Errorf("%d events wait, %d are dead", o.Inbox.Waiting, o.Inbox.Dead)
	}
	return err
}
