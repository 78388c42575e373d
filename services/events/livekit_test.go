package events

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/clusters"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/livekitevents"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/secret"
)

// received is when the bodies of these tests come.
func received() time.Time { return time.Date(2026, 11, 29, 6, 0, 0, 400_000_000, time.UTC) }

// readEvent has a webhook body signed and read as metering's inbox does.
func readEvent(t testing.TB, body string) models.LiveKitEvent {
	t.Helper()
	cluster := livekit.Cluster{URL: "wss://livekit.test", APIKey: "devkey", APISecret: secret.New("secret-of-the-cluster-in-the-tests-0123456789")}
	clusters := testkit.Must[*clusters.Set](t)(clusters.New([]livekit.Cluster{cluster}, nil, nil, zerolog.Nop(), time.Now))
	sum := sha256.Sum256([]byte(body))
	token := testkit.Must[string](t)(auth.NewAccessToken(cluster.APIKey, cluster.APISecret.Reveal()).SetValidFor(time.Minute).
		SetSha256(base64.StdEncoding.EncodeToString(sum[:])).ToJWT())
	signature := testkit.Must[livekitevents.Signature](t)(clusters.Verifier().Authenticate(token))
	e := testkit.Must[models.LiveKitEvent](t)(clusters.Verifier().Read(signature, strings.NewReader(body), received()))
	e.ReceivedAt = received()
	return e
}

// told gives what a body tells.
func told(t testing.TB, body string) []models.Event {
	t.Helper()
	e := readEvent(t, body)
	return testkit.Must[[]models.Event](t)(ToldBy(&e, testOrg))
}

// recorded gives the webhooks of a real LiveKit server.
func recordedBodies(t testing.TB) (out []string) {
	t.Helper()
	files, err := filepath.Glob("../metering/testdata/livekit/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d bodies (%v)", len(files), err)
	}
	for _, file := range files {
		var in struct{ Body json.RawMessage }
		if err := json.Unmarshal(testkit.Must[[]byte](t)(os.ReadFile(file)), &in); err != nil {
			t.Fatal(err)
		}
		out = append(out, string(in.Body))
	}
	return out
}

func TestEventsOfARecordingUseTheTenantsNames(t *testing.T) {
	var types []string
	for _, body := range recordedBodies(t) {
		for _, e := range told(t, body) {
			types = append(types, e.Type)
			text := string(testkit.Must[[]byte](t)(Encode(&e)))
			if strings.Contains(e.Data, "prj_") || strings.Contains(text, "pulse.") || strings.Contains(text, "[redacted]") ||
				!strings.Contains(e.Data, `"room_name":"standup"`) {
				t.Errorf("%s", text)
			}
			if e.OrgID != testOrg || e.ProjectID == "" || !strings.HasSuffix(e.Order, "_standup") || e.SourceID == "" || !ids.Valid(models.EventPrefix, e.ID) {
				t.Errorf("%+v", e)
			}
		}
	}
	want := []string{RoomStarted, ParticipantJoined, ParticipantJoined, TrackPublished, TrackUnpublished, "livekit.participant_connection_aborted",
		ParticipantJoined, ParticipantLeft, ParticipantJoined, ParticipantLeft, EgressStarted, EgressUpdated, EgressUpdated, EgressEnded,
		RecordingAvailable, IngressStarted, IngressEnded, ParticipantLeft, ParticipantLeft, RoomFinished}
	if !slices.Equal(types, want) {
		t.Errorf("told %v", types)
	}
}

func TestTheSameLiveKitEventIsTheSameEvent(t *testing.T) {
	seen := map[string]bool{}
	for _, body := range recordedBodies(t) {
		first, again := told(t, body), told(t, body)
		for i := range first {
			if first[i] != again[i] || seen[first[i].ID] {
				t.Errorf("%+v, then %+v", first[i], again[i])
			}
			seen[first[i].ID] = true
		}
	}
	other := readEvent(t, recordedBodies(t)[0])
	other.Cluster = "another"
	if seen[testkit.Must[[]models.Event](t)(ToldBy(&other, testOrg))[0].ID] {
		t.Error("an event of another cluster is the same")
	}
}

// TestEventsContainNoSecretOfEgressOrIngress has every field that may hold one hold
// one.
func TestEventsContainNoSecretOfEgressOrIngress(t *testing.T) {
	const room = string(testkit.Project) + "_daily"
	for _, body := range []string{
		`{"event":"egress_ended","id":"EV_1","createdAt":"1795653642","egressInfo":{"egressId":"EG_1","roomName":"` + room + `","status":"EGRESS_FAILED",
		 "error":"push failed: rtmp://live.example/app/hush1?key=hush2 (see https://hush3:hush4@bucket.example/x?X-Amz-Signature=hush5)","details":"hush6",
		 "web":{"url":"https://page.example/?token=hush7","file":{"filepath":"a","s3":{"accessKey":"hush8","secret":"hush9","assumeRoleExternalId":"hush10"}}},
		 "streamResults":[{"url":"rtmp://live.example/app/hush11","duration":"1500000000","status":"FAILED","error":"hush12"}],
		 "fileResults":[{"filename":"a.mp4","location":"https://bucket.example/a.mp4?sig=hush13","size":"7"}],"manifestLocation":"hush14"}}`,
		`{"event":"ingress_started","id":"EV_2","createdAt":"1795653642","ingress_info":{"ingress_id":"IN_1","stream_key":"hush1","url":"https://x.example/hush2",
		 "room_name":"` + room + `","participant_identity":"camera","participant_metadata":"hush3","state":{"error":"cannot pull srt://hush4:hush5@x.example/hush6"}}}`,
		`{"event":"something_new","id":"EV_3","createdAt":"1795653642","room":{"name":"` + room + `","sid":"RM_1","metadata":"hush1","turnPassword":"hush2"},
		 "participant":{"identity":"alice","sid":"PA_1","metadata":"hush3"},"secretThing":{"x":"hush4"}}`,
		`{"event":"egress_refused hush","id":"EV_4","createdAt":"1795653642","egressInfo":{"egressId":"EG_1","roomName":"` + room + `","error":"hush1"}}`,
	} {
		for _, e := range told(t, body) {
			if text := string(testkit.Must[[]byte](t)(Encode(&e))); strings.Contains(strings.ReplaceAll(text, "egress_refusedhush", ""), "hush") && e.Type != "livekit.egress_refusedhush" {
				t.Errorf("%s", text)
			}
		}
	}
	failed := told(t, `{"event":"egress_ended","id":"EV_1","createdAt":"1795653642","egressInfo":{"egressId":"EG_1","roomName":"`+room+`",
		"error":"push failed: (rtmp://live.example/app/key), twice"}}`)
	if !strings.Contains(failed[0].Data, `"error":"push failed: (rtmp://live.example/[redacted] twice"`) || len(failed) != 1 {
		t.Errorf("%s", failed[0].Data)
	}
}

func TestAReconciledEventClaimsNoInputTypeOfItsIngress(t *testing.T) {
	in := said{}
	if data := in.ingress(&models.LiveKitEvent{SessionID: "IN_1@5"}, true); data.InputType != "" || data.IngressID != "IN_1" {
		t.Errorf("told %+v", data)
	}
	for written, want := range map[word]string{"": "rtmp", "URL_INPUT": "url", "whip_input": "whip", "rtmp": "rtmp"} {
		in.Ingress.InputType = written
		if data := in.ingress(&models.LiveKitEvent{SessionID: "IN_1@5"}, false); data.InputType != want {
			t.Errorf("%s is told as %s", written, data.InputType)
		}
	}
}

func TestRoomsOfNoTenantMakeNoEvents(t *testing.T) {
	r := newRig(t)
	s := testkit.Must[*Sources](t)(NewSources(SourcesConfig{Log: r.Log, Projects: database.NewProjects(r.engine), Keys: database.NewAPIKeys(r.engine), Now: r.clock.Now}))
	list := []models.LiveKitEvent{
		readEvent(t, `{"event":"room_started","id":"EV_1","createdAt":"1795653642","room":{"name":"lobby","sid":"RM_1"}}`),
		readEvent(t, `{"event":"room_started","id":"EV_2","createdAt":"1795653642","room":{"name":"`+string(testkit.Project)+`_lobby","sid":"RM_1"}}`),
	}
	if err := s.Take(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if got := r.read(t, 0); len(got) != 0 {
		t.Errorf("told %v", got)
	}
}

func TestEveryPatternOfTheCatalogueSelectsIt(t *testing.T) {
	for _, kind := range Types() {
		if !ValidPattern(kind) || !ValidPattern(models.FamilyOf(kind)+".*") || !models.EventMatches(models.FamilyOf(kind)+".*", kind) {
			t.Errorf("%s cannot be selected", kind)
		}
	}
	for pattern, valid := range map[string]bool{"*": true, "livekit.*": true, "livekit.something_new": true, "room.*": true,
		"": false, "room": false, "room.": false, ".*": false, "room.*.*": false, "*.*": false, "roo.*": false, "room.starte": false,
		"livekit.": false, "livekit.Some thing": false, "gap": false, "gap.*": false} {
		if ValidPattern(pattern) != valid {
			t.Errorf("%q is valid: %v", pattern, !valid)
		}
	}
}

func FuzzABodyTellsOnlyNames(f *testing.F) {
	for _, body := range recordedBodies(f) {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e := models.LiveKitEvent{ID: "EV_1", Event: "track_published", Body: string(body)}
		list, err := ToldBy(&e, testOrg)
		if err != nil {
			t.Fatal(err)
		}
		data, err := Encode(&list[0])
		if err != nil || !json.Valid(data) || bytes.ContainsAny(data, "\r\n") {
			t.Fatalf("%q (%v)", data, err)
		}
	})
}
