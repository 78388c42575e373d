package egressworker

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/livekit/protocol/egress"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	"github.com/livekit/protocol/rpc"
	"github.com/livekit/protocol/utils"
	"github.com/livekit/psrpc"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"
)

const reportTimeout = 5 * time.Second

// recording is one egress.
type recording struct {
	w       *worker
	outputs egress.EncodedOutput
	mu      sync.Mutex
	info    *livekit.EgressInfo
	file    *bufio.Writer
	closing func() error
	size    int64
	// closed tells that nothing more is written.
	closed bool
	// ending is closed when the recording is asked to end.
	ending chan struct{}
	once   sync.Once
}

func newRecording(w *worker, req *rpc.StartEgressRequest) (*recording, error) {
	now := time.Now().UnixNano()
	r := &recording{w: w, ending: make(chan struct{}), info: &livekit.EgressInfo{
		EgressId: req.EgressId, RoomId: req.RoomId, Status: livekit.EgressStatus_EGRESS_STARTING, UpdatedAt: now}}
	var err error
	r.outputs, err = request(req, r.info)
	return r, err
}

// run begins the recording, waits for its end and writes its results.
func (r *recording) run() error {
	select {
	case <-r.ending: // before it began
		return r.report(func(i *livekit.EgressInfo) {
			i.Status, i.EndedAt = livekit.EgressStatus_EGRESS_ABORTED, time.Now().UnixNano()
			i.Error = "Stop called before pipeline could start"
		})
	case <-time.After(r.w.StartsAfter):
	}
	room, err := r.begin()
	if room != nil {
		defer room.Disconnect()
	}
	if err == nil {
		err = r.report(func(i *livekit.EgressInfo) {
			i.Status, i.StartedAt = livekit.EgressStatus_EGRESS_ACTIVE, time.Now().UnixNano()
			for _, out := range r.outputs.GetStreamOutputs() {
				i.StreamResults = append(i.StreamResults, streaming(out.Urls)...)
			}
		})
	}
	if err != nil {
		return errors.Join(err, r.report(func(i *livekit.EgressInfo) {
			i.Status, i.EndedAt, i.Error = livekit.EgressStatus_EGRESS_FAILED, time.Now().UnixNano(), err.Error()
		}))
	}
	var limit <-chan time.Time
	if r.w.EndsAfter > 0 {
		limit = time.After(r.w.EndsAfter)
	}
	status := livekit.EgressStatus_EGRESS_COMPLETE
	select {
	case <-r.ending:
	case <-limit:
		status = livekit.EgressStatus_EGRESS_LIMIT_REACHED
	}
	return r.finish(status)
}

// streaming are the results of a stream's addresses while it runs.
func streaming(urls []string) []*livekit.StreamInfo {
	out := make([]*livekit.StreamInfo, 0, len(urls))
	for _, url := range urls {
		redacted, _ := utils.RedactStreamKey(url)
		out = append(out, &livekit.StreamInfo{Url: cmp.Or(redacted, url), StartedAt: time.Now().UnixNano(), Status: livekit.StreamInfo_ACTIVE})
	}
	return out
}

// begin opens the file and joins the room.
func (r *recording) begin() (*lksdk.Room, error) {
	f, err := os.CreateTemp(r.w.Dir, "recording-")
	if err != nil {
		return nil, err
	}
	r.file = bufio.NewWriter(f)
	r.closing = func() error { return errors.Join(r.file.Flush(), f.Close(), r.copyOut(f.Name())) }
	if r.info.RoomName == "" {
		return nil, nil // a web page
	}
	token, err := egress.BuildEgressToken(r.info.EgressId, r.w.APIKey, r.w.APISecret, r.info.RoomName)
	if err != nil {
		return nil, err
	}
	room := lksdk.NewRoom(&lksdk.RoomCallback{ParticipantCallback: lksdk.ParticipantCallback{
		OnTrackSubscribed: func(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
			go r.hear(track)
		},
	}})
	err = room.JoinWithToken(r.w.URL, token, lksdk.WithDisableRegionDiscovery(), lksdk.WithLogger(logger.GetDiscardLogger()))
	return room, err
}

// hear writes the payloads of a track.
func (r *recording) hear(track *webrtc.TrackRemote) {
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return // the track has ended
		}
		r.mu.Lock()
		if r.closed {
			r.mu.Unlock()
			return
		}
		n, _ := r.file.Write(packet.Payload) // what is wrong with the file is told when it is closed
		r.size += int64(n)
		r.mu.Unlock()
	}
}

// files are the paths that the request asks for.
func (r *recording) files() []string {
	var out []string
	for _, f := range r.outputs.GetFileOutputs() {
		out = append(out, f.Filepath)
	}
	return out
}

// copyOut copies the recording to the paths of its outputs.
func (r *recording) copyOut(recorded string) error {
	defer os.Remove(recorded)
	content, err := os.ReadFile(recorded)
	if err != nil {
		return err
	}
	paths := r.files()
	for _, s := range r.outputs.GetSegmentOutputs() {
		paths = append(paths, s.FilenamePrefix+"_00000.ts")
		playlist := fmt.Sprintf("#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:6\n#EXTINF:6.0,\n%s_00000.ts\n#EXT-X-ENDLIST\n", filepath.Base(s.FilenamePrefix))
		if err := r.write(s.PlaylistName, []byte(playlist)); err != nil {
			return err
		}
	}
	for _, path := range paths {
		if err := r.write(path, content); err != nil {
			return err
		}
	}
	return nil
}

func (r *recording) write(path string, content []byte) error {
	path = filepath.Join(r.w.Dir, filepath.Clean("/"+path)) // nothing outside of Dir
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

// finish closes the file and reports the results.
func (r *recording) finish(status livekit.EgressStatus) error {
	if _, err := r.end(context.Background()); err != nil {
		return err
	}
	r.mu.Lock()
	r.closed = true
	err := r.closing()
	r.mu.Unlock()
	return errors.Join(err, r.report(func(i *livekit.EgressInfo) {
		i.Status, i.EndedAt = status, time.Now().UnixNano()
		if err != nil {
			i.Status, i.Error = livekit.EgressStatus_EGRESS_FAILED, err.Error()
		}
		ran := i.EndedAt - i.StartedAt
		for _, name := range r.files() {
			i.FileResults = append(i.FileResults, &livekit.FileInfo{Filename: name, Location: name, Size: r.size, StartedAt: i.StartedAt, EndedAt: i.EndedAt, Duration: ran})
		}
		for _, s := range r.outputs.GetSegmentOutputs() {
			i.SegmentResults = append(i.SegmentResults, &livekit.SegmentsInfo{PlaylistName: s.PlaylistName, PlaylistLocation: s.PlaylistName,
				Size: r.size, SegmentCount: 1, StartedAt: i.StartedAt, EndedAt: i.EndedAt, Duration: ran})
		}
		for _, s := range i.StreamResults {
			if s.EndedAt == 0 {
				s.EndedAt, s.Status, s.Duration = i.EndedAt, livekit.StreamInfo_FINISHED, i.EndedAt-s.StartedAt
			}
		}
	}))
}

// end reports that the recording ends, and lets it.
func (r *recording) end(ctx context.Context) (*livekit.EgressInfo, error) {
	r.mu.Lock()
	active := r.info.Status == livekit.EgressStatus_EGRESS_ACTIVE
	r.mu.Unlock()
	var err error
	if active {
		err = r.reportWithin(ctx, func(i *livekit.EgressInfo) { i.Status = livekit.EgressStatus_EGRESS_ENDING })
	}
	r.once.Do(func() { close(r.ending) })
	r.mu.Lock()
	defer r.mu.Unlock()
	return proto.CloneOf(r.info), err
}

// streams changes the addresses of a stream.
func (r *recording) streams(ctx context.Context, add, remove []string) (*livekit.EgressInfo, error) {
	r.mu.Lock()
	known := len(r.info.StreamResults) > 0
	r.mu.Unlock()
	if !known {
		return nil, psrpc.NewErrorf(psrpc.InvalidArgument, "not a stream")
	}
	err := r.reportWithin(ctx, func(i *livekit.EgressInfo) {
		for _, s := range i.StreamResults {
			gone := slices.ContainsFunc(remove, func(url string) bool {
				redacted, _ := utils.RedactStreamKey(url)
				return s.Url == cmp.Or(redacted, url)
			})
			if gone && s.EndedAt == 0 {
				s.EndedAt, s.Status = time.Now().UnixNano(), livekit.StreamInfo_FINISHED
				s.Duration = s.EndedAt - s.StartedAt
			}
		}
		i.StreamResults = append(i.StreamResults, streaming(add)...)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	return proto.CloneOf(r.info), err
}

func (r *recording) report(change func(*livekit.EgressInfo)) error {
	return r.reportWithin(context.Background(), change)
}

// reportWithin changes the state and tells livekit-server, in order.
func (r *recording) reportWithin(ctx context.Context, change func(*livekit.EgressInfo)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r.info)
	r.info.UpdatedAt = time.Now().UnixNano()
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	_, err := r.w.io.UpdateEgress(ctx, r.info)
	return err
}
