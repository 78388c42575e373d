package e2e_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"

	"pulse-control-plane/e2e/harness"
)

// TestLiveKitSendsTheWebhooksThatMeteringReliesOn checks the product's assumptions about LiveKit's webhooks. With
// RECORD_WEBHOOKS=folder it also writes them to that folder.
func TestLiveKitSendsTheWebhooksThatMeteringReliesOn(t *testing.T) {
	t.Parallel()
	relay := harness.StartWebhookRelay(t)
	redis := harness.StartRedis(t)
	in := install(t, harness.LiveKitOptions{WebhookURLs: []string{relay.URL}, RedisAddress: redis, DepartureTimeout: 1})
	node := harness.StartMediaNode(t, redis)
	project := in.project(t, "acme")
	room := project.ID() + "_standup"
	var want []string
	expect := func(kinds ...string) {
		t.Helper()
		want = append(want, kinds...)
		slices.Sort(want)
		harness.Eventually(t, soon, "the webhooks "+strings.Join(kinds, ", "), announced(t, relay, want))
	}

	alice := in.join(t, project, "standup", "alice")
	expect("room_started", "participant_joined")
	bob := in.join(t, project, "standup", "bob")
	track, err := alice.PublishAudio("microphone", frame)
	if err != nil {
		t.Fatal(err)
	}
	expect("participant_joined", "track_published")
	harness.Eventually(t, soon, "bob hears alice", func() error { return bob.HeardFrom("alice", frame) })
	if err := alice.Room.LocalParticipant.UnpublishTrack(track.SID()); err != nil {
		t.Fatal(err)
	}
	expect("track_unpublished")

	carol := in.token(t, project, "standup", "carol")
	if _, err := harness.AbortJoin(t.Context(), carol.ServerURL, carol.ParticipantToken); err != nil {
		t.Fatal(err)
	}
	expect("participant_connection_aborted")
	for _, kind := range []livekit.ParticipantInfo_Kind{livekit.ParticipantInfo_EGRESS, livekit.ParticipantInfo_AGENT} {
		worker := in.joinAsWorker(t, room, kind)
		expect("participant_joined")
		worker.Leave()
		expect("participant_left")
	}
	in.recordAndStream(t, node, room, expect)

	bob.Leave()
	expect("participant_left")
	if _, err := in.LiveKit.Rooms().RemoveParticipant(t.Context(), &livekit.RoomParticipantIdentity{Room: room, Identity: "alice"}); err != nil {
		t.Fatal(err)
	}
	expect("participant_left", "room_finished")

	hooks := relay.Seen()
	ids := map[string]bool{}
	for _, hook := range hooks {
		event := decode(t, hook)
		if err := verifySignature(hook, in.LiveKit); err != nil {
			t.Errorf("%s: %v", event.Event, err)
		}
		if ids[event.ID] || !strings.HasPrefix(event.ID, "EV_") {
			t.Errorf("%s has the id %q, want a new id that starts with EV_", event.Event, event.ID)
		}
		ids[event.ID] = true
		if err := checkShape(event, room); err != nil {
			t.Errorf("%s: %v\n%s", event.Event, err, hook.Body)
		}
	}
	record(t, hooks)
}

// TestLiveKitRepeatsAnEventThatWasNotAnswered shows why an event may arrive twice, and late, and is recognized by its id.
func TestLiveKitRepeatsAnEventThatWasNotAnswered(t *testing.T) {
	t.Parallel()
	relay := harness.StartWebhookRelay(t)
	in := install(t, harness.LiveKitOptions{WebhookURLs: []string{relay.URL}})
	project := in.project(t, "acme")
	relay.Cut(true)
	in.join(t, project, "standup", "alice")
	harness.Eventually(t, soon, "a second attempt", func() error {
		if cut := relay.Lost(); len(cut) < 2 {
			return fmt.Errorf("%d attempts", len(cut))
		}
		return nil
	})
	relay.Cut(false)
	harness.Eventually(t, soon, "the delivery of the lost event",
		announced(t, relay, []string{"participant_joined", "room_started"}))
	lost, first := relay.Lost(), relay.Seen()[0]
	if !bytes.Equal(lost[0].Body, lost[1].Body) || !bytes.Equal(lost[0].Body, first.Body) {
		t.Errorf("the attempts differ:\n%s\n%s\n%s", lost[0].Body, lost[1].Body, first.Body)
	}
}

// joinAsWorker joins the room as LiveKit's own services do: they have the cluster's key and mint their own tokens.
func (i *installation) joinAsWorker(t *testing.T, room string, kind livekit.ParticipantInfo_Kind) *harness.Participant {
	t.Helper()
	grant := &auth.VideoGrant{RoomJoin: true, Room: room, Hidden: true}
	switch kind {
	case livekit.ParticipantInfo_EGRESS:
		grant.Recorder = true
	case livekit.ParticipantInfo_AGENT:
		grant.Agent = true
	}
	token, err := auth.NewAccessToken(i.LiveKit.APIKey, i.LiveKit.APISecret).
		SetIdentity(strings.ToLower(kind.String())).SetKind(kind).SetVideoGrant(grant).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	return harness.Join(t, i.LiveKit.URL, token)
}

// recordAndStream runs an egress and an ingress of the room.
func (i *installation) recordAndStream(t *testing.T, node *harness.MediaNode, room string, expect func(...string)) {
	t.Helper()
	ctx := t.Context()
	egress := lksdk.NewEgressClient(i.LiveKit.HTTPURL, i.LiveKit.APIKey, i.LiveKit.APISecret)
	recording, err := egress.StartRoomCompositeEgress(ctx, &livekit.RoomCompositeEgressRequest{
		RoomName: room, Layout: "grid",
		FileOutputs: []*livekit.EncodedFileOutput{{FileType: livekit.EncodedFileType_MP4, Filepath: "recording.mp4"}},
	})
	if err != nil {
		t.Fatalf("start an egress: %v", err)
	}
	expect("egress_started")
	if err := node.RunEgress(ctx, recording.GetEgressId()); err != nil {
		t.Fatal(err)
	}
	expect("egress_updated")
	if _, err := egress.StopEgress(ctx, &livekit.StopEgressRequest{EgressId: recording.GetEgressId()}); err != nil {
		t.Fatalf("stop the egress: %v", err)
	}
	expect("egress_updated")
	if err := node.FinishEgress(ctx, recording.GetEgressId()); err != nil {
		t.Fatal(err)
	}
	expect("egress_ended")

	ingress := lksdk.NewIngressClient(i.LiveKit.HTTPURL, i.LiveKit.APIKey, i.LiveKit.APISecret)
	stream, err := ingress.CreateIngress(ctx, &livekit.CreateIngressRequest{
		InputType: livekit.IngressInput_RTMP_INPUT, Name: "camera", RoomName: room, ParticipantIdentity: "camera",
	})
	if err != nil {
		t.Fatalf("create an ingress: %v", err)
	}
	if err := node.PublishIngress(ctx, stream.GetIngressId(), recording.GetRoomId()); err != nil {
		t.Fatal(err)
	}
	expect("ingress_started")
	if err := node.StopIngress(ctx, stream.GetIngressId()); err != nil {
		t.Fatal(err)
	}
	expect("ingress_ended")
}

// announced checks that LiveKit has sent exactly these kinds of events so far; want is sorted.
func announced(t *testing.T, relay *harness.WebhookRelay, want []string) func() error {
	return func() error {
		var got []string
		for _, hook := range relay.Seen() {
			got = append(got, decode(t, hook).Event)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("LiveKit sent %q, want %q", got, want)
		}
		return nil
	}
}
