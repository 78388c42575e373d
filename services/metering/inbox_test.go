package metering

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/clusters"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/shards"
	"pulse-control-plane/utils/secret"
)

func testCluster() livekit.Cluster {
	return livekit.Cluster{URL: "wss://livekit.test", APIKey: "devkey", APISecret: secret.New("secret-of-the-cluster-in-the-tests-0123456789")}
}

// signed returns the Authorization header that LiveKit would send with a body.
func testClusters(t testing.TB) *clusters.Set {
	t.Helper()
	clusters, err := clusters.New([]livekit.Cluster{testCluster()}, nil, nil, zerolog.Nop(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return clusters
}

func signed(t testing.TB, c livekit.Cluster, body []byte) string {
	t.Helper()
	sum := sha256.Sum256(body)
	token, err := auth.NewAccessToken(c.APIKey, c.APISecret.Reveal()).SetValidFor(5 * time.Minute).
		SetSha256(base64.StdEncoding.EncodeToString(sum[:])).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// readEvent reads a body that the test's cluster signed.
func readEvent(t testing.TB, body []byte, received time.Time) models.LiveKitEvent {
	t.Helper()
	verifier := testClusters(t).Verifier()
	signature, err := verifier.Authenticate(signed(t, testCluster(), body))
	if err != nil {
		t.Fatal(err)
	}
	e, err := verifier.Read(signature, bytes.NewReader(body), received)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// tokenAttribute gives the attribute pulse.token of a token that the test's
// cluster would admit somebody with.
func tokenAttribute(t testing.TB, project models.ProjectID, room string, id models.TokenID, identity string) string {
	t.Helper()
	token := livekit.NewSigner(testCluster()).Sign(&livekit.Mint{ID: id, Project: project, Room: room, Identity: identity,
		Grants: &models.VideoGrants{}, IssuedAt: aMorning, ExpiresAt: aMorning.Add(time.Hour)})
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Attributes map[string]string `json:"attributes"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Attributes["pulse.token"]
}

func joinedBody(t testing.TB, id string) []byte {
	t.Helper()
	return fmt.Appendf(nil, `{"event":"participant_joined","id":%q,"createdAt":"%d","room":{"sid":"RM_1","name":"%s_daily",
		"creationTimeMs":"%d","turnPassword":"tell-nobody"},"participant":{"sid":"PA_1","identity":"ann","joinedAtMs":"%d",
		"attributes":{"pulse.token":%q}},"newThing":{"turnPassword":"kept, it is not the room's"}}`,
		id, aMorning.Unix(), testProject, aMorning.UnixMilli(), aMorning.UnixMilli(), tokenAttribute(t, testProject, "daily", "tok_1", "ann"))
}

func TestARepeatedEventIsStoredOnce(t *testing.T) {
	r := newRig(t)
	body := joinedBody(t, "EV_1")
	for range 3 {
		if err := r.inbox.Receive(context.Background(), signed(t, testCluster(), body), bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := r.inbox.Backlog(context.Background()); n != 1 || err != nil {
		t.Errorf("%d events, %v", n, err)
	}
}

func TestEventsNotSignedByAClusterAreRefused(t *testing.T) {
	r := newRig(t)
	body := joinedBody(t, "EV_1")
	other := testCluster()
	other.APISecret = secret.New("another-secret-that-is-long-enough-012345")
	stranger := testCluster()
	stranger.APIKey = "stranger"
	for name, authorization := range map[string]string{
		"nothing": "", "garbage": "Bearer x.y.z", "another secret": signed(t, other, body),
		"an unknown key": signed(t, stranger, body), "another body": signed(t, testCluster(), append([]byte(" "), body...)),
	} {
		if err := r.inbox.Receive(context.Background(), authorization, bytes.NewReader(body)); !models.HasCode(err, "invalid_signature") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, _ := r.inbox.Backlog(context.Background()); n != 0 {
		t.Errorf("%d events were kept", n)
	}
}

func TestAnEventIsAcknowledgedOnlyWhenItIsDurable(t *testing.T) {
	r := newRig(t)
	body := joinedBody(t, "EV_1")
	r.engine.Fatal = 1
	if err := r.inbox.Receive(context.Background(), signed(t, testCluster(), body), bytes.NewReader(body)); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("the database is away and the answer is %v", err)
	}
}

func TestSecretsOfAnEventAreNotKept(t *testing.T) {
	e := readEvent(t, joinedBody(t, "EV_1"), aMorning)
	if strings.Contains(e.Body, "tell-nobody") {
		t.Error("the TURN password is in the record")
	}
	if !strings.Contains(e.Body, "kept, it is not") || !json.Valid([]byte(e.Body)) {
		t.Errorf("what is new was not kept: %s", e.Body)
	}
	if e.ProjectID != testProject || e.RoomName != "daily" || e.Participant.TokenID != "tok_1" || !e.Participant.JoinedAt.Equal(aMorning) {
		t.Errorf("understood as %+v of %+v", e, e.Participant)
	}
	ingress := []byte(`{"event":"ingress_started","id":"EV_2","ingressInfo":{"ingressId":"IN_1","streamKey":"s3cr3t","state":{"startedAt":"5000000"}}}`)
	if e := readEvent(t, ingress, aMorning); e.Event != "ingress_started" || strings.Contains(e.Body, "s3cr3t") {
		t.Errorf("the stream key is in the record: %s", e.Body)
	}
}

func TestAnUnreadableSignedBodyIsStoredAsDeadWithoutContent(t *testing.T) {
	r := newRig(t)
	body := []byte(`{"event": "room_started", "room": "not a room, with a secret"`)
	if err := r.inbox.Receive(context.Background(), signed(t, testCluster(), body), bytes.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	if n, err := r.inbox.Dead(context.Background()); n != 1 || err != nil {
		t.Fatalf("%d dead, %v", n, err)
	}
	if err := r.inbox.Check(context.Background()); err == nil {
		t.Error("the status says nothing of it")
	}
}

// stubborn fails at one event a given number of times and records the order of the
// others.
type stubborn struct {
	mu       sync.Mutex
	poison   string
	failures int
	panics   bool
	seen     []string
}

func (s *stubborn) Consume(_ context.Context, b *Batch) error {
	events := b.Events
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range events {
		if events[i].ID == s.poison && s.failures != 0 {
			s.failures--
			if s.panics {
				panic("poison")
			}
			return errors.New("poison")
		}
	}
	for i := range events {
		s.seen = append(s.seen, events[i].ID)
	}
	return nil
}

func numbered(room string, from, to int) (out []models.LiveKitEvent) {
	for n := from; n < to; n++ {
		out = append(out, models.LiveKitEvent{ID: fmt.Sprintf("EV_%s_%d", room, n), Event: "x", RoomKey: room,
			CreatedAt: aMorning, ReceivedAt: aMorning})
	}
	return out
}

func TestAFailedEventDelaysOnlyItsRoom(t *testing.T) {
	r := newRig(t)
	r.keep(append(numbered("a", 0, 4), numbered("b", 0, 4)...))
	s := &stubborn{poison: "EV_a_1", failures: 5, panics: true}
	w := r.worker("one", s)
	for range 40 {
		if _, err := w.Work(context.Background()); err != nil {
			t.Fatal(err)
		}
		r.now = r.now.Add(200 * time.Millisecond)
		if len(s.seen) == 5 { // b, and what came before in a
			r.keep(numbered("a", 4, 5))
		}
	}
	var a, b []string
	for _, id := range s.seen {
		if strings.HasPrefix(id, "EV_a") {
			a = append(a, id)
		} else {
			b = append(b, id)
		}
	}
	if !slices.Equal(a, []string{"EV_a_0", "EV_a_1", "EV_a_2", "EV_a_3", "EV_a_4"}) {
		t.Errorf("the room's order: %v", a)
	}
	if !slices.Equal(b, []string{"EV_b_0", "EV_b_1", "EV_b_2", "EV_b_3"}) {
		t.Errorf("the other room's order: %v", b)
	}
	if s.seen[len(s.seen)-1] != "EV_a_4" {
		t.Errorf("order of all: %v", s.seen)
	}
}

func TestAnEventIsDeadAfterTenFailuresAndItsRoomContinues(t *testing.T) {
	r := newRig(t)
	r.keep(numbered("a", 0, 3))
	s := &stubborn{poison: "EV_a_1", failures: -1}
	w := r.worker("one", s)
	for range 20 {
		if _, err := w.Work(context.Background()); err != nil {
			t.Fatal(err)
		}
		r.now = r.now.Add(lastRetry)
	}
	if !slices.Equal(s.seen, []string{"EV_a_0", "EV_a_2"}) {
		t.Errorf("seen %v", s.seen)
	}
	if n, _ := r.inbox.Dead(context.Background()); n != 1 {
		t.Errorf("%d dead", n)
	}
	if n, _ := r.inbox.Backlog(context.Background()); n != 0 {
		t.Errorf("%d are still pending", n)
	}
}

func TestAShardHasOneWorkerAndAnotherTakesOverWhenItDies(t *testing.T) {
	r := newRig(t)
	r.keep(numbered("a", 0, 2))
	first, second := &stubborn{poison: "EV_a_0", failures: -1}, &stubborn{}
	w1, w2 := r.worker("one", first), r.worker("two", second)
	ctx := context.Background()
	if _, err := w1.Work(ctx); err != nil { // acquires the leases and finishes nothing
		t.Fatal(err)
	}
	r.now = r.now.Add(time.Second)
	if n, err := w2.Work(ctx); n != 0 || err != nil {
		t.Fatalf("the second did %d beside the first (%v)", n, err)
	}
	r.now = r.now.Add(shards.TTL)
	if err := r.drain(w2); err != nil || !slices.Equal(second.seen, []string{"EV_a_0", "EV_a_1"}) {
		t.Fatalf("the second did %v after the first died (%v)", second.seen, err)
	}
}

func FuzzReadEvent(f *testing.F) {
	f.Add(joinedBody(f, "EV_1"))
	f.Add([]byte(`{"egressInfo":{"egressId":"EG_1","roomName":"x","file":{"s3":{"secret":"hush"}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e := readEvent(t, body, aMorning)
		if e.ID == "" || e.RoomKey == "" {
			t.Errorf("an event without a name or room: %+v", e)
		}
		books := ledger{}
		books.fold(&e)
		for _, s := range books {
			s.Settle()
			meteredHours(s)
		}
	})
}

// electing fails every write until it has done so a number of times.
type electing struct {
	database.Engine
	left atomic.Int64
}

func (e *electing) InsertMany(ctx context.Context, c string, docs []any) ([]int, error) {
	if e.left.Add(-1) >= 0 {
		return nil, models.Unavailable(errors.New("not primary"))
	}
	return e.Engine.InsertMany(ctx, c, docs)
}

func TestAnEventWaitsForAnElectionAsLongAsItsRequestMay(t *testing.T) {
	engine := &electing{Engine: testkit.NewEngine(t)}
	inbox := testkit.Must[*Inbox](t)(NewInbox(InboxConfig{Events: database.NewLiveKitEvents(engine), Sequences: database.NewSequences(engine),
		Clusters: testClusters(t), Now: time.Now}))
	engine.left.Store(4)
	if _, err := inbox.Keep(t.Context(), &models.LiveKitEvent{ID: "EV_1", RoomKey: "r"}); err != nil {
		t.Fatal(err)
	}
	if n, err := inbox.Backlog(t.Context()); err != nil || n != 1 {
		t.Errorf("%d events, %v", n, err)
	}
	engine.left.Store(1_000_000)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := inbox.Keep(ctx, &models.LiveKitEvent{ID: "EV_2", RoomKey: "r"}); !models.IsKind(err, models.KindUnavailable) || ctx.Err() == nil {
		t.Errorf("at the deadline: %v", err)
	}
}
