package routes_test

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/livekit/protocol/ingress"
	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"
	"google.golang.org/protobuf/proto"
)

// fakeIngress is LiveKit's ingress service in this process. It checks and defaults as
// livekit-server does.
type fakeIngress struct {
	livekit.Ingress
	mu    sync.Mutex
	asked []string
	last  proto.Message
	all   []*livekit.IngressInfo
	made  int
	// fails answers every call; unheard does so after a creation was carried out.
	fails, unheard error
	// blind leaves every ingress out of lists; one by its id is found.
	blind bool
	// created is called with each ingress before its creation is answered.
	created func(*livekit.IngressInfo)
	// updated is called before a change is answered.
	updated func()
}

// streamKey is the key of the nth ingress.
func streamKey(n int) string { return fmt.Sprintf("s3cr3t-stream-key-%d", n) }

func (f *fakeIngress) note(name string, ask proto.Message) error {
	f.asked, f.last = append(f.asked, name), proto.Clone(ask)
	return f.fails
}

// calls gives the names of the calls so far.
func (f *fakeIngress) calls() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.asked, " ")
}

func (f *fakeIngress) CreateIngress(_ context.Context, in *livekit.CreateIngressRequest) (*livekit.IngressInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("CreateIngress", in); err != nil {
		return nil, err
	}
	f.made++
	transcode := in.InputType != livekit.IngressInput_WHIP_INPUT
	info := &livekit.IngressInfo{IngressId: fmt.Sprintf("IN_%d", f.made), Name: in.Name, InputType: in.InputType, RoomName: in.RoomName, Url: in.Url,
		ParticipantIdentity: in.ParticipantIdentity, ParticipantName: in.ParticipantName, ParticipantMetadata: in.ParticipantMetadata,
		EnableTranscoding: in.EnableTranscoding, Enabled: in.Enabled, Audio: in.Audio, Video: in.Video, State: &livekit.IngressState{}}
	switch in.InputType {
	case livekit.IngressInput_RTMP_INPUT:
		info.Url = "rtmp://ingress.example:1935/live"
	case livekit.IngressInput_WHIP_INPUT:
		info.Url = "https://ingress.example/w"
	}
	if in.InputType != livekit.IngressInput_URL_INPUT {
		info.StreamKey, info.Reusable = streamKey(f.made), true
	}
	if err := ingress.Validate(info); err != nil {
		return nil, twirp.InvalidArgumentError("ingress", err.Error())
	}
	if info.EnableTranscoding == nil {
		info.EnableTranscoding = &transcode
	}
	f.all = append(f.all, info)
	if f.created != nil {
		f.created(info)
	}
	return proto.CloneOf(info), f.unheard
}

// change changes an ingress that is there.
func (f *fakeIngress) change(id string, to func(*livekit.IngressInfo)) (*livekit.IngressInfo, error) {
	for _, info := range f.all {
		if info.IngressId == id {
			to(info)
			return proto.CloneOf(info), nil
		}
	}
	return nil, twirp.NotFoundError("ingress does not exist")
}

// becomes changes an ingress that is there, as its worker would.
func (f *fakeIngress) becomes(id string, to func(*livekit.IngressInfo)) (*livekit.IngressInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.change(id, to)
}

func (f *fakeIngress) UpdateIngress(_ context.Context, in *livekit.UpdateIngressRequest) (*livekit.IngressInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("UpdateIngress", in); err != nil {
		return nil, err
	}
	return f.change(in.IngressId, func(info *livekit.IngressInfo) {
		for into, text := range map[*string]string{&info.Name: in.Name, &info.RoomName: in.RoomName, &info.ParticipantIdentity: in.ParticipantIdentity,
			&info.ParticipantName: in.ParticipantName, &info.ParticipantMetadata: in.ParticipantMetadata} {
			if text != "" {
				*into = text
			}
		}
		if in.Enabled != nil {
			info.Enabled = in.Enabled
		}
		if in.Audio != nil {
			info.Audio = in.Audio
		}
		if in.Video != nil {
			info.Video = in.Video
		}
		if f.updated != nil {
			f.updated()
		}
	})
}

func (f *fakeIngress) ListIngress(_ context.Context, in *livekit.ListIngressRequest) (*livekit.ListIngressResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("ListIngress", in); err != nil {
		return nil, err
	}
	out := &livekit.ListIngressResponse{}
	for _, info := range f.all {
		if in.IngressId == info.IngressId || in.IngressId == "" && !f.blind && (in.RoomName == "" || in.RoomName == info.RoomName) {
			out.Items = append(out.Items, proto.CloneOf(info))
		}
	}
	return out, nil
}

func (f *fakeIngress) DeleteIngress(_ context.Context, in *livekit.DeleteIngressRequest) (*livekit.IngressInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("DeleteIngress", in); err != nil {
		return nil, err
	}
	for i, info := range f.all {
		if info.IngressId == in.IngressId {
			f.all = append(f.all[:i:i], f.all[i+1:]...)
			return info, nil
		}
	}
	return nil, twirp.NotFoundError("ingress does not exist")
}
