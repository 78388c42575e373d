package routes_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"
	"google.golang.org/protobuf/proto"
)

// fakeEgress is LiveKit's egress service in this process. What is started is active
// at once, unless starting is set.
type fakeEgress struct {
	livekit.Egress
	mu sync.Mutex
	// asked are the requests in their order, with their calls' names before them.
	asked []string
	last  proto.Message
	all   []*livekit.EgressInfo
	// starting leaves what is started in that state; fails answers every call.
	starting bool
	fails    error
	// silent are those whose workers do not answer.
	silent map[string]bool
	// started is called with each egress before its start is answered.
	started func(*livekit.EgressInfo)
}

func (f *fakeEgress) note(name string, ask proto.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.last = append(f.asked, name), proto.Clone(ask)
	return f.fails
}

func (f *fakeEgress) start(name, room string, ask proto.Message, info *livekit.EgressInfo) (*livekit.EgressInfo, error) {
	if err := f.note(name, ask); err != nil {
		return nil, err
	}
	f.mu.Lock()
	info.EgressId, info.RoomName, info.RoomId = fmt.Sprintf("EG_%d", len(f.all)+1), room, "RM_hall"
	info.Status, info.StartedAt = livekit.EgressStatus_EGRESS_ACTIVE, time.Now().Add(-time.Minute).UnixNano()
	if f.starting {
		info.Status, info.StartedAt = livekit.EgressStatus_EGRESS_STARTING, 0
	}
	f.all = append(f.all, info)
	out, tell := proto.CloneOf(info), f.started
	f.mu.Unlock()
	if tell != nil {
		tell(out)
	}
	return out, nil
}

// change changes an egress that is there.
func (f *fakeEgress) change(id string, to func(*livekit.EgressInfo)) (*livekit.EgressInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, info := range f.all {
		if info.EgressId == id {
			to(info)
			return proto.CloneOf(info), nil
		}
	}
	return nil, twirp.NotFoundError("egress does not exist")
}

// calls gives the names of the calls so far.
func (f *fakeEgress) calls() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.asked, " ")
}

func (f *fakeEgress) StartRoomCompositeEgress(_ context.Context, in *livekit.RoomCompositeEgressRequest) (*livekit.EgressInfo, error) {
	return f.start("StartRoomCompositeEgress", in.RoomName, in, &livekit.EgressInfo{Request: &livekit.EgressInfo_RoomComposite{RoomComposite: in}})
}

func (f *fakeEgress) StartParticipantEgress(_ context.Context, in *livekit.ParticipantEgressRequest) (*livekit.EgressInfo, error) {
	return f.start("StartParticipantEgress", in.RoomName, in, &livekit.EgressInfo{Request: &livekit.EgressInfo_Participant{Participant: in}})
}

func (f *fakeEgress) StartTrackCompositeEgress(_ context.Context, in *livekit.TrackCompositeEgressRequest) (*livekit.EgressInfo, error) {
	return f.start("StartTrackCompositeEgress", in.RoomName, in, &livekit.EgressInfo{Request: &livekit.EgressInfo_TrackComposite{TrackComposite: in}})
}

func (f *fakeEgress) StartTrackEgress(_ context.Context, in *livekit.TrackEgressRequest) (*livekit.EgressInfo, error) {
	return f.start("StartTrackEgress", in.RoomName, in, &livekit.EgressInfo{Request: &livekit.EgressInfo_Track{Track: in}})
}

func (f *fakeEgress) StartWebEgress(_ context.Context, in *livekit.WebEgressRequest) (*livekit.EgressInfo, error) {
	return f.start("StartWebEgress", "", in, &livekit.EgressInfo{Request: &livekit.EgressInfo_Web{Web: in}})
}

func (f *fakeEgress) StopEgress(_ context.Context, in *livekit.StopEgressRequest) (*livekit.EgressInfo, error) {
	if err := f.note("StopEgress", in); err != nil {
		return nil, err
	}
	refused := false
	out, err := f.change(in.EgressId, func(info *livekit.EgressInfo) {
		if refused = info.Status != livekit.EgressStatus_EGRESS_ACTIVE; !refused {
			info.Status = livekit.EgressStatus_EGRESS_ENDING
		}
	})
	if refused {
		return nil, twirp.NewError(twirp.FailedPrecondition, "egress with status "+out.Status.String()+" cannot be stopped")
	}
	return out, err
}

func (f *fakeEgress) UpdateLayout(_ context.Context, in *livekit.UpdateLayoutRequest) (*livekit.EgressInfo, error) {
	if err := f.note("UpdateLayout", in); err != nil {
		return nil, err
	}
	return f.change(in.EgressId, func(*livekit.EgressInfo) {})
}

func (f *fakeEgress) UpdateStream(_ context.Context, in *livekit.UpdateStreamRequest) (*livekit.EgressInfo, error) {
	if err := f.note("UpdateStream", in); err != nil {
		return nil, err
	}
	f.mu.Lock()
	silent := f.silent[in.EgressId]
	f.mu.Unlock()
	if silent {
		return nil, twirp.NewError(twirp.Unavailable, "no response from servers")
	}
	return f.change(in.EgressId, func(*livekit.EgressInfo) {})
}

func (f *fakeEgress) ListEgress(_ context.Context, in *livekit.ListEgressRequest) (*livekit.ListEgressResponse, error) {
	if err := f.note("ListEgress", in); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &livekit.ListEgressResponse{}
	for _, info := range f.all {
		if (in.EgressId == "" || in.EgressId == info.EgressId) && (!in.Active || info.Status < livekit.EgressStatus_EGRESS_COMPLETE) {
			out.Items = append(out.Items, proto.CloneOf(info))
		}
	}
	return out, nil
}
