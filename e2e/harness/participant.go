package harness

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

const (
	joinTimeout = 15 * time.Second
	// frameDuration is the usual length of an Opus frame.
	frameDuration = 20 * time.Millisecond
)

// quietSDK silences the SDK and its WebRTC library, whose output would hide the tests' own.
var quietSDK = sync.OnceFunc(func() { lksdk.SetLogger(logger.GetDiscardLogger()) })

// Data is one data packet as a participant received it.
type Data struct {
	From    string // the sender's identity
	Topic   string
	Payload string
}

// Participant is a participant in a room that records what it receives. Its methods may be called from any goroutine.
type Participant struct {
	// Room is the SDK's own handle.
	Room *lksdk.Room

	mu      sync.Mutex
	data    []Data
	media   map[string][]byte // identity of the publisher → payload of the newest RTP packet
	left    bool
	lost    int
	reason  livekit.DisconnectReason
	leaving sync.Once
}

// Join joins the room that token names on the LiveKit server at serverURL and leaves it when the test ends; it fails the
// test if LiveKit refuses the token.
func Join(t testing.TB, serverURL, token string) *Participant {
	t.Helper()
	p, err := TryJoin(t.Context(), serverURL, token)
	if err != nil {
		t.Fatalf("join: %v", err)
	}
	t.Cleanup(p.Leave)
	return p
}

// TryJoin is [Join] for a token that may be refused: it returns LiveKit's error. On success the caller must call Leave.
func TryJoin(ctx context.Context, serverURL, token string) (*Participant, error) {
	quietSDK()
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	p := &Participant{media: map[string][]byte{}}
	p.Room = lksdk.NewRoom(&lksdk.RoomCallback{
		OnDisconnectedWithReason: func(lksdk.DisconnectionReason) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.left, p.reason = true, p.Room.DisconnectReason()
		},
		OnReconnecting: func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.lost++
		},
		ParticipantCallback: lksdk.ParticipantCallback{
			OnDataPacket:      p.receive,
			OnTrackSubscribed: p.play,
		},
	})
	err := p.Room.JoinWithContextAndToken(ctx, serverURL, token,
		lksdk.WithConnectTimeout(joinTimeout), lksdk.WithDisableRegionDiscovery(), lksdk.WithLogger(logger.GetDiscardLogger()))
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Leave leaves the room and closes the connection. Calling it twice is harmless.
func (p *Participant) Leave() { p.leaving.Do(p.Room.Disconnect) }

// Disconnected reports whether the participant has left the room, and why.
func (p *Participant) Disconnected() (bool, livekit.DisconnectReason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left, p.reason
}

// Undisturbed is nil if the participant has been in the room since it joined, on one connection.
func (p *Participant) Undisturbed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left || p.lost > 0 {
		return fmt.Errorf("left: %v (%v), lost the connection %d times", p.left, p.reason, p.lost)
	}
	return nil
}

// Identity is the participant's own identity as LiveKit knows it.
func (p *Participant) Identity() string { return p.Room.LocalParticipant.Identity() }

// Others are the identities of the other participants it sees in the room, sorted.
func (p *Participant) Others() []string {
	var all []string
	for _, r := range p.Room.GetRemoteParticipants() {
		all = append(all, r.Identity())
	}
	slices.Sort(all)
	return all
}

// SendData sends payload reliably to every participant of the room.
func (p *Participant) SendData(topic, payload string) error {
	return p.Room.LocalParticipant.PublishDataPacket(&lksdk.UserDataPacket{Payload: []byte(payload), Topic: topic},
		lksdk.WithDataPublishReliable(true))
}

// ReceivedData is every data packet so far, in the order of arrival.
func (p *Participant) ReceivedData() []Data {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.data)
}

// PublishAudio publishes an Opus track called name that sends frame every 20 ms until it is unpublished or the
// participant leaves. The content need not be decodable: LiveKit forwards payloads as they are.
func (p *Participant) PublishAudio(name string, frame []byte) (*lksdk.LocalTrackPublication, error) {
	track, err := lksdk.NewLocalSampleTrack(webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
	})
	if err != nil {
		return nil, err
	}
	if err := track.StartWrite(&repeat{frame: frame}, nil); err != nil {
		return nil, err
	}
	return p.Room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{
		Name: name, Source: livekit.TrackSource_MICROPHONE,
	})
}

// HeardFrom is nil once an RTP packet with exactly the payload frame has come from the participant called identity.
func (p *Participant) HeardFrom(identity string, frame []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	got, ok := p.media[identity]
	switch {
	case !ok:
		return fmt.Errorf("no media from %q", identity)
	case !bytes.Equal(got, frame):
		return fmt.Errorf("media from %q is % x, want % x", identity, got, frame)
	}
	return nil
}

// HearsAnything reports whether any media has arrived.
func (p *Participant) HearsAnything() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.media) > 0
}

func (p *Participant) receive(packet lksdk.DataPacket, from lksdk.DataReceiveParams) {
	user, ok := packet.(*lksdk.UserDataPacket)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.data = append(p.data, Data{From: from.SenderIdentity, Topic: user.Topic, Payload: string(user.Payload)})
}

func (p *Participant) play(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, from *lksdk.RemoteParticipant) {
	go func() {
		for {
			packet, _, err := track.ReadRTP()
			if err != nil {
				return // the track has ended, or this participant has left
			}
			if len(packet.Payload) == 0 {
				continue // padding, a bandwidth probe
			}
			p.mu.Lock()
			p.media[from.Identity()] = packet.Payload
			p.mu.Unlock()
		}
	}()
}

// repeat is a track that repeats one frame.
type repeat struct {
	lksdk.BaseSampleProvider
	frame []byte
}

func (r *repeat) NextSample(ctx context.Context) (media.Sample, error) {
	if err := ctx.Err(); err != nil {
		return media.Sample{}, err
	}
	return media.Sample{Data: r.frame, Duration: frameDuration}, nil
}
