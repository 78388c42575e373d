package harness

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
	"github.com/livekit/psrpc"
	"github.com/livekit/psrpc/pkg/bus/redisbus"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"
)

// StartRedis runs a Redis-compatible server (miniredis) on loopback until the test ends and returns its host:port.
// LiveKit needs one for egress and ingress.
func StartRedis(t testing.TB) string {
	t.Helper()
	return miniredis.RunT(t).Addr()
}

// MediaNode replaces LiveKit's egress and ingress services. It speaks their protocol with livekit-server, so the server's
// API, lists and webhooks are real, but it records and publishes nothing: the services need Chrome and GStreamer.
type MediaNode struct {
	io      rpc.IOInfoClient
	handler rpc.EgressHandlerServer

	mu        sync.Mutex
	egresses  map[string]*livekit.EgressInfo
	ingresses map[string]*livekit.IngressState
}

// StartMediaNode accepts egress requests of every livekit-server at the same Redis until the test ends.
func StartMediaNode(t testing.TB, redisAddress string) *MediaNode {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: redisAddress})
	bus := redisbus.New(client)
	n := &MediaNode{egresses: map[string]*livekit.EgressInfo{}, ingresses: map[string]*livekit.IngressState{}}
	var err error
	if n.io, err = rpc.NewIOInfoClient(bus); err != nil {
		t.Fatal(err)
	}
	if n.handler, err = rpc.NewEgressHandlerServer(n, bus); err != nil {
		t.Fatal(err)
	}
	node, err := rpc.NewEgressInternalServer(n, bus)
	if err != nil {
		t.Fatal(err)
	}
	if err := node.RegisterStartEgressTopic(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		node.Kill()
		n.handler.Kill()
		n.io.Close()
		client.Close()
	})
	return n
}

// StartEgress accepts a request of livekit-server, which then sends egress_started.
func (n *MediaNode) StartEgress(_ context.Context, req *rpc.StartEgressRequest) (*livekit.EgressInfo, error) {
	info := &livekit.EgressInfo{
		EgressId: req.GetEgressId(), RoomId: req.GetRoomId(), Status: livekit.EgressStatus_EGRESS_STARTING,
		StartedAt: time.Now().UnixNano(), UpdatedAt: time.Now().UnixNano(),
	}
	switch r := req.GetRequest().(type) {
	case *rpc.StartEgressRequest_RoomComposite:
		info.RoomName, info.Request = r.RoomComposite.GetRoomName(), &livekit.EgressInfo_RoomComposite{RoomComposite: r.RoomComposite}
	case *rpc.StartEgressRequest_Participant:
		info.RoomName, info.Request = r.Participant.GetRoomName(), &livekit.EgressInfo_Participant{Participant: r.Participant}
	case *rpc.StartEgressRequest_TrackComposite:
		info.RoomName, info.Request = r.TrackComposite.GetRoomName(), &livekit.EgressInfo_TrackComposite{TrackComposite: r.TrackComposite}
	case *rpc.StartEgressRequest_Track:
		info.RoomName, info.Request = r.Track.GetRoomName(), &livekit.EgressInfo_Track{Track: r.Track}
	case *rpc.StartEgressRequest_Web:
		info.Request, info.SourceType = &livekit.EgressInfo_Web{Web: r.Web}, livekit.EgressSourceType_EGRESS_SOURCE_TYPE_WEB
	case *rpc.StartEgressRequest_Egress:
		info.RoomName, info.Request = r.Egress.GetRoomName(), &livekit.EgressInfo_Egress{Egress: r.Egress}
	default:
		return nil, psrpc.NewErrorf(psrpc.InvalidArgument, "unknown kind of egress request: %T", r)
	}
	if err := n.handler.RegisterStopEgressTopic(info.EgressId); err != nil {
		return nil, psrpc.NewError(psrpc.Internal, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.egresses[info.EgressId] = info
	return proto.CloneOf(info), nil
}

// StartEgressAffinity offers this node for every request.
func (n *MediaNode) StartEgressAffinity(context.Context, *rpc.StartEgressRequest) float32 { return 1 }

// ListActiveEgress is not called by livekit-server.
func (n *MediaNode) ListActiveEgress(context.Context, *rpc.ListActiveEgressRequest) (*rpc.ListActiveEgressResponse, error) {
	return &rpc.ListActiveEgressResponse{}, nil
}

// UpdateEgress refuses: this node records nothing.
func (n *MediaNode) UpdateEgress(context.Context, *livekit.UpdateEgressRequest) (*livekit.EgressInfo, error) {
	return nil, psrpc.NewErrorf(psrpc.Unimplemented, "this node records nothing")
}

// UpdateStream refuses, like UpdateEgress.
func (n *MediaNode) UpdateStream(context.Context, *livekit.UpdateStreamRequest) (*livekit.EgressInfo, error) {
	return nil, psrpc.NewErrorf(psrpc.Unimplemented, "this node records nothing")
}

// StopEgress ends an egress on behalf of livekit-server, which then sends egress_updated; see FinishEgress.
func (n *MediaNode) StopEgress(ctx context.Context, req *livekit.StopEgressRequest) (*livekit.EgressInfo, error) {
	return n.report(ctx, req.GetEgressId(), func(info *livekit.EgressInfo) { info.Status = livekit.EgressStatus_EGRESS_ENDING })
}

// RunEgress reports to livekit-server that the recording runs: egress_updated.
func (n *MediaNode) RunEgress(ctx context.Context, id string) error {
	_, err := n.report(ctx, id, func(info *livekit.EgressInfo) { info.Status = livekit.EgressStatus_EGRESS_ACTIVE })
	return err
}

// FinishEgress reports that the recording is complete, with one file: egress_ended.
func (n *MediaNode) FinishEgress(ctx context.Context, id string) error {
	_, err := n.report(ctx, id, func(info *livekit.EgressInfo) {
		info.Status, info.EndedAt = livekit.EgressStatus_EGRESS_COMPLETE, time.Now().UnixNano()
		info.FileResults = []*livekit.FileInfo{{
			Filename: "recording.mp4", Location: "recording.mp4", Size: 4096,
			StartedAt: info.StartedAt, EndedAt: info.EndedAt, Duration: info.EndedAt - info.StartedAt,
		}}
	})
	return err
}

func (n *MediaNode) report(ctx context.Context, id string, change func(*livekit.EgressInfo)) (*livekit.EgressInfo, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	info, ok := n.egresses[id]
	if !ok {
		return nil, psrpc.NewErrorf(psrpc.NotFound, "no egress %s", id)
	}
	change(info)
	info.UpdatedAt = time.Now().UnixNano()
	if _, err := n.io.UpdateEgress(ctx, info); err != nil {
		return nil, fmt.Errorf("report the egress to livekit-server: %w", err)
	}
	return proto.CloneOf(info), nil
}

// PublishIngress reports a stream into the ingress, for the room with the sid roomSID: ingress_started.
func (n *MediaNode) PublishIngress(ctx context.Context, id, roomSID string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	state := &livekit.IngressState{
		Status: livekit.IngressState_ENDPOINT_PUBLISHING, RoomId: roomSID, StartedAt: time.Now().UnixNano(),
	}
	n.ingresses[id] = state
	return n.reportIngress(ctx, id, state)
}

// StopIngress reports that the stream has ended: ingress_ended.
func (n *MediaNode) StopIngress(ctx context.Context, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	state, ok := n.ingresses[id]
	if !ok {
		return fmt.Errorf("the ingress %s has no stream", id)
	}
	state.Status, state.EndedAt = livekit.IngressState_ENDPOINT_INACTIVE, time.Now().UnixNano()
	return n.reportIngress(ctx, id, state)
}

func (n *MediaNode) reportIngress(ctx context.Context, id string, state *livekit.IngressState) error {
	state.UpdatedAt = time.Now().UnixNano() // an older state than the stored one is refused
	if _, err := n.io.UpdateIngressState(ctx, &rpc.UpdateIngressStateRequest{IngressId: id, State: state}); err != nil {
		return fmt.Errorf("report the ingress to livekit-server: %w", err)
	}
	return nil
}
