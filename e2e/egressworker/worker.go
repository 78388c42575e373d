package egressworker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/livekit/protocol/egress"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
	"github.com/livekit/psrpc"
	"github.com/livekit/psrpc/pkg/bus/redisbus"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"
)

// Config of a worker.
type Config struct {
	// RedisAddress is host:port of the Redis of livekit-server.
	RedisAddress string
	// URL, APIKey and APISecret are livekit-server's; the worker joins rooms with them.
	URL, APIKey, APISecret string
	// Dir is where files are written.
	Dir string
	// StartsAfter is how long a recording takes to begin: its state is starting until then.
	StartsAfter time.Duration
	// EndsAfter ends a recording with the state limit_reached; 0 never does.
	EndsAfter time.Duration
}

// variable holds the Config in the environment of a process that is a worker.
const variable = "PULSE_E2E_EGRESS_WORKER"

// Environment is what a process is started with to be a worker: its [Main] runs then.
func (c *Config) Environment() (string, error) {
	text, err := json.Marshal(c)
	return variable + "=" + string(text), err
}

// Asked reports whether this process was started to be a worker.
func Asked() bool { return os.Getenv(variable) != "" }

// Main runs the worker that the environment describes until SIGTERM, and returns the exit status.
func Main() int {
	var c Config
	err := json.Unmarshal([]byte(os.Getenv(variable)), &c)
	if err == nil && (c.RedisAddress == "" || c.Dir == "") {
		err = errors.New("RedisAddress and Dir are required")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err == nil {
		err = Run(ctx, c, func() { fmt.Println(Ready) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Ready is the line that Main prints when the worker takes recordings.
const Ready = "egress worker: ready"

// Run takes recordings until ctx ends. ready is called when it can.
func Run(ctx context.Context, c Config, ready func()) error {
	client := redis.NewClient(&redis.Options{Addr: c.RedisAddress})
	defer client.Close()
	bus := redisbus.New(client)
	w := &worker{Config: c, recordings: map[string]*recording{}}
	var err error
	if w.io, err = rpc.NewIOInfoClient(bus); err != nil {
		return err
	}
	defer w.io.Close()
	if w.handler, err = rpc.NewEgressHandlerServer(w, bus); err != nil {
		return err
	}
	defer w.handler.Kill()
	node, err := rpc.NewEgressInternalServer(w, bus)
	if err != nil {
		return err
	}
	defer node.Kill()
	if err := node.RegisterStartEgressTopic(""); err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return nil
}

// worker is rpc's EgressInternalServerImpl and EgressHandlerServerImpl.
type worker struct {
	Config
	io         rpc.IOInfoClient
	handler    rpc.EgressHandlerServer
	mu         sync.Mutex
	recordings map[string]*recording
}

// StartEgressAffinity offers this worker for every request.
func (w *worker) StartEgressAffinity(context.Context, *rpc.StartEgressRequest) float32 { return 1 }

// ListActiveEgress names what is being recorded.
func (w *worker) ListActiveEgress(context.Context, *rpc.ListActiveEgressRequest) (*rpc.ListActiveEgressResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := &rpc.ListActiveEgressResponse{}
	for id := range w.recordings {
		out.EgressIds = append(out.EgressIds, id)
	}
	return out, nil
}

// StartEgress takes a recording and begins it.
func (w *worker) StartEgress(_ context.Context, req *rpc.StartEgressRequest) (*livekit.EgressInfo, error) {
	r, err := newRecording(w, proto.CloneOf(req))
	if err != nil {
		return nil, err
	}
	id := r.info.EgressId
	for _, register := range []func(string) error{w.handler.RegisterStopEgressTopic, w.handler.RegisterUpdateStreamTopic, w.handler.RegisterUpdateEgressTopic} {
		if err := register(id); err != nil {
			return nil, psrpc.NewError(psrpc.Internal, err)
		}
	}
	w.mu.Lock()
	w.recordings[id] = r
	w.mu.Unlock()
	answer := proto.CloneOf(r.info)
	go func() {
		if err := r.run(); err != nil {
			fmt.Fprintln(os.Stderr, id, err)
		}
		w.handler.DeregisterStopEgressTopic(id)
		w.handler.DeregisterUpdateStreamTopic(id)
		w.handler.DeregisterUpdateEgressTopic(id)
		w.mu.Lock()
		delete(w.recordings, id)
		w.mu.Unlock()
	}()
	return answer, nil
}

func (w *worker) recording(id string) (*recording, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.recordings[id]; r != nil {
		return r, nil
	}
	return nil, psrpc.NewErrorf(psrpc.NotFound, "no egress %s", id)
}

// StopEgress ends a recording; the answer is its state while it ends.
func (w *worker) StopEgress(ctx context.Context, req *livekit.StopEgressRequest) (*livekit.EgressInfo, error) {
	r, err := w.recording(req.EgressId)
	if err != nil {
		return nil, err
	}
	return r.end(ctx)
}

// UpdateStream adds and takes away addresses of a stream.
func (w *worker) UpdateStream(ctx context.Context, req *livekit.UpdateStreamRequest) (*livekit.EgressInfo, error) {
	r, err := w.recording(req.EgressId)
	if err != nil {
		return nil, err
	}
	return r.streams(ctx, req.AddOutputUrls, req.RemoveOutputUrls)
}

// UpdateEgress is for egresses that were started with LiveKit's second API, which this worker does not know.
func (w *worker) UpdateEgress(context.Context, *livekit.UpdateEgressRequest) (*livekit.EgressInfo, error) {
	return nil, psrpc.NewErrorf(psrpc.Unimplemented, "only UpdateStream is known")
}

// request reads what is common to the kinds of requests, and puts the request into info without its secrets, as LiveKit's
// egress service does.
func request(req *rpc.StartEgressRequest, info *livekit.EgressInfo) (egress.EncodedOutput, error) {
	switch r := req.Request.(type) {
	case *rpc.StartEgressRequest_RoomComposite:
		q := proto.CloneOf(r.RoomComposite)
		egress.RedactEncodedOutputs(q)
		info.RoomName, info.Request = q.RoomName, &livekit.EgressInfo_RoomComposite{RoomComposite: q}
		return r.RoomComposite, nil
	case *rpc.StartEgressRequest_Participant:
		q := proto.CloneOf(r.Participant)
		egress.RedactEncodedOutputs(q)
		info.RoomName, info.Request = q.RoomName, &livekit.EgressInfo_Participant{Participant: q}
		return r.Participant, nil
	case *rpc.StartEgressRequest_TrackComposite:
		q := proto.CloneOf(r.TrackComposite)
		egress.RedactEncodedOutputs(q)
		info.RoomName, info.Request = q.RoomName, &livekit.EgressInfo_TrackComposite{TrackComposite: q}
		return r.TrackComposite, nil
	case *rpc.StartEgressRequest_Web:
		q := proto.CloneOf(r.Web)
		egress.RedactEncodedOutputs(q)
		info.Request, info.SourceType = &livekit.EgressInfo_Web{Web: q}, livekit.EgressSourceType_EGRESS_SOURCE_TYPE_WEB
		return r.Web, nil
	case *rpc.StartEgressRequest_Track:
		q := proto.CloneOf(r.Track)
		egress.RedactDirectOutputs(q)
		info.RoomName, info.Request = q.RoomName, &livekit.EgressInfo_Track{Track: q}
		if q.GetFile() == nil {
			return nil, psrpc.NewError(psrpc.Unimplemented, errors.New("tracks are written to files only"))
		}
		return &livekit.RoomCompositeEgressRequest{FileOutputs: []*livekit.EncodedFileOutput{{Filepath: q.GetFile().Filepath}}}, nil
	}
	return nil, psrpc.NewErrorf(psrpc.InvalidArgument, "unknown kind of egress request: %T", req.Request)
}
