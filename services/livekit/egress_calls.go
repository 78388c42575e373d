package livekit

import (
	"context"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

// EgressStartTimeout bounds the start of an egress. LiveKit waits about 10 s for a
// worker and may try again; without one it answers unavailable after about 23 s.
const EgressStartTimeout = 23500 * time.Millisecond

// EgressRequest asks for an egress. Room is qualified.
type EgressRequest struct {
	Type                                    models.EgressType
	Room, Identity, URL, Layout             string
	TrackSID, AudioTrackSID, VideoTrackSID  string
	ScreenShare, AudioOnly, VideoOnly, Wait bool
	Outputs                                 []EgressOutput
	Encoding                                Encoding
}

// EgressOutput is an output of an egress. URLs are the targets of rtmp, with their
// stream keys.
type EgressOutput struct {
	models.EgressOutput
	Targets []secret.Value
	// Upload is where files go; nil is the worker's own disk.
	Upload *Upload
}

// Upload is a project's storage with its secret opened.
type Upload struct {
	models.Storage
	Opened secret.Value
}

// Encoding is a preset by LiveKit's name in any case, or explicit values; zero
// values are LiveKit's defaults. Bit rates are in kbit/s, KeyFrameInterval in
// seconds.
type Encoding struct {
	Preset                   string
	Width, Height, Framerate int64
	VideoCodec               string
	VideoBitrate             int64
	AudioCodec               string
	AudioBitrate             int64
	// AudioFrequency is in Hz.
	AudioFrequency   int64
	KeyFrameInterval float64
}

// EgressState is an egress as LiveKit reports it.
type EgressState struct {
	ID, Room, RoomSID, Error string
	Type                     models.EgressType
	Status                   models.EgressStatus
	StartedAt, EndedAt       time.Time
	Results                  []models.EgressResult
	// Outputs are what it was asked to make, their targets redacted; Paths are those
	// of its files.
	Outputs                                []models.EgressOutput
	Paths                                  []string
	Layout, Identity, URL                  string
	TrackSID, AudioTrackSID, VideoTrackSID string
}

// EncodingPresets lists the names of presets in lower case.
func EncodingPresets() []string {
	out := make([]string, len(livekit.EncodingOptionsPreset_name))
	for i := range out {
		out[i] = strings.ToLower(livekit.EncodingOptionsPreset_name[int32(i)])
	}
	return out
}

// Layouts lists the layouts of LiveKit's own template
// (https://docs.livekit.io/home/egress/composite-recording/#default-layouts).
func Layouts() []string {
	return []string{"grid", "speaker", "single-speaker", "grid-light", "speaker-light", "single-speaker-light",
		"grid-dark", "speaker-dark", "single-speaker-dark"}
}

// VideoCodecs and AudioCodecs list the codecs of an Encoding.
func VideoCodecs() []string { return []string{"h264_baseline", "h264_main", "h264_high"} }

// AudioCodecs are as VideoCodecs.
func AudioCodecs() []string { return []string{"opus", "aac"} }

// StartEgress starts an egress on the cluster. Errors are those of called; that of
// a cluster without a worker is unavailable.
func (l *Client) StartEgress(ctx context.Context, r *EgressRequest) (EgressState, error) {
	ctx, cancel := context.WithTimeout(ctx, EgressStartTimeout)
	defer cancel()
	var info *livekit.EgressInfo
	var err error
	switch r.Type {
	case models.EgressRoomComposite:
		info, err = l.egress.StartRoomCompositeEgress(ctx, roomComposite(r))
	case models.EgressParticipant:
		ask := &livekit.ParticipantEgressRequest{RoomName: r.Room, Identity: r.Identity, ScreenShare: r.ScreenShare}
		ask.FileOutputs, ask.StreamOutputs, ask.SegmentOutputs, ask.ImageOutputs = outputs(r.Outputs)
		switch preset, advanced := r.Encoding.options(); {
		case preset != nil:
			ask.Options = &livekit.ParticipantEgressRequest_Preset{Preset: *preset}
		case advanced != nil:
			ask.Options = &livekit.ParticipantEgressRequest_Advanced{Advanced: advanced}
		}
		info, err = l.egress.StartParticipantEgress(ctx, ask)
	case models.EgressTrackComposite:
		ask := &livekit.TrackCompositeEgressRequest{RoomName: r.Room, AudioTrackId: r.AudioTrackSID, VideoTrackId: r.VideoTrackSID}
		ask.FileOutputs, ask.StreamOutputs, ask.SegmentOutputs, ask.ImageOutputs = outputs(r.Outputs)
		switch preset, advanced := r.Encoding.options(); {
		case preset != nil:
			ask.Options = &livekit.TrackCompositeEgressRequest_Preset{Preset: *preset}
		case advanced != nil:
			ask.Options = &livekit.TrackCompositeEgressRequest_Advanced{Advanced: advanced}
		}
		info, err = l.egress.StartTrackCompositeEgress(ctx, ask)
	case models.EgressTrack:
		info, err = l.egress.StartTrackEgress(ctx, &livekit.TrackEgressRequest{RoomName: r.Room, TrackId: r.TrackSID,
			Output: &livekit.TrackEgressRequest_File{File: directFile(&r.Outputs[0])}})
	case models.EgressWeb:
		ask := &livekit.WebEgressRequest{Url: r.URL, AudioOnly: r.AudioOnly, VideoOnly: r.VideoOnly, AwaitStartSignal: r.Wait}
		ask.FileOutputs, ask.StreamOutputs, ask.SegmentOutputs, ask.ImageOutputs = outputs(r.Outputs)
		switch preset, advanced := r.Encoding.options(); {
		case preset != nil:
			ask.Options = &livekit.WebEgressRequest_Preset{Preset: *preset}
		case advanced != nil:
			ask.Options = &livekit.WebEgressRequest_Advanced{Advanced: advanced}
		}
		info, err = l.egress.StartWebEgress(ctx, ask)
	}
	if err != nil {
		return EgressState{}, called(err)
	}
	return egressState(info), nil
}

func roomComposite(r *EgressRequest) *livekit.RoomCompositeEgressRequest {
	ask := &livekit.RoomCompositeEgressRequest{RoomName: r.Room, Layout: r.Layout, AudioOnly: r.AudioOnly, VideoOnly: r.VideoOnly}
	ask.FileOutputs, ask.StreamOutputs, ask.SegmentOutputs, ask.ImageOutputs = outputs(r.Outputs)
	switch preset, advanced := r.Encoding.options(); {
	case preset != nil:
		ask.Options = &livekit.RoomCompositeEgressRequest_Preset{Preset: *preset}
	case advanced != nil:
		ask.Options = &livekit.RoomCompositeEgressRequest_Advanced{Advanced: advanced}
	}
	return ask
}

// StopSent asks for the end of an egress. conflict if it is not active yet, or has
// ended.
func (l *Client) StopSent(ctx context.Context, id string) (EgressState, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	info, err := l.egress.StopEgress(ctx, &livekit.StopEgressRequest{EgressId: id})
	if err != nil {
		return EgressState{}, called(err)
	}
	return egressState(info), nil
}

// UpdateEgressLayout changes the layout of a running egress of a room.
func (l *Client) UpdateEgressLayout(ctx context.Context, id, layout string) (EgressState, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	info, err := l.egress.UpdateLayout(ctx, &livekit.UpdateLayoutRequest{EgressId: id, Layout: layout})
	if err != nil {
		return EgressState{}, called(err)
	}
	return egressState(info), nil
}

// UpdateEgressTargets adds and removes targets of a running egress with rtmp.
func (l *Client) UpdateEgressTargets(ctx context.Context, id string, add, remove []secret.Value) (EgressState, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	info, err := l.egress.UpdateStream(ctx, &livekit.UpdateStreamRequest{EgressId: id, AddOutputUrls: revealed(add), RemoveOutputUrls: revealed(remove)})
	if err != nil {
		return EgressState{}, called(err)
	}
	return egressState(info), nil
}

// RunningEgresses lists the egresses of the cluster that have not ended.
func (l *Client) RunningEgresses(ctx context.Context) ([]EgressState, error) {
	return l.listEgress(ctx, &livekit.ListEgressRequest{Active: true})
}

// GetEgress reads an egress, also for a while after it ended; not_found if LiveKit
// does not know it.
func (l *Client) GetEgress(ctx context.Context, id string) (EgressState, error) {
	return first(l.listEgress(ctx, &livekit.ListEgressRequest{EgressId: id}))
}

func (l *Client) listEgress(ctx context.Context, ask *livekit.ListEgressRequest) ([]EgressState, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	list, err := l.egress.ListEgress(ctx, ask)
	if err != nil {
		return nil, called(err)
	}
	return converted(list.Items, egressState), nil
}

func revealed(list []secret.Value) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.Reveal()
	}
	return out
}

// options is LiveKit's form of an encoding; nil, nil is its default.
func (e *Encoding) options() (*livekit.EncodingOptionsPreset, *livekit.EncodingOptions) {
	if e.Preset != "" {
		preset := livekit.EncodingOptionsPreset(livekit.EncodingOptionsPreset_value[strings.ToUpper(e.Preset)])
		return &preset, nil
	}
	if *e == (Encoding{}) {
		return nil, nil
	}
	out := &livekit.EncodingOptions{Width: int32(e.Width), Height: int32(e.Height), Framerate: int32(e.Framerate), VideoBitrate: int32(e.VideoBitrate),
		AudioBitrate: int32(e.AudioBitrate), AudioFrequency: int32(e.AudioFrequency), KeyFrameInterval: e.KeyFrameInterval}
	switch e.VideoCodec {
	case "h264_baseline":
		out.VideoCodec = livekit.VideoCodec_H264_BASELINE
	case "h264_main":
		out.VideoCodec = livekit.VideoCodec_H264_MAIN
	case "h264_high":
		out.VideoCodec = livekit.VideoCodec_H264_HIGH
	}
	switch e.AudioCodec {
	case "opus":
		out.AudioCodec = livekit.AudioCodec_OPUS
	case "aac":
		out.AudioCodec = livekit.AudioCodec_AAC
	}
	return nil, out
}

func outputs(list []EgressOutput) (files []*livekit.EncodedFileOutput, streams []*livekit.StreamOutput, segments []*livekit.SegmentedFileOutput, images []*livekit.ImageOutput) {
	for i := range list {
		o := &list[i]
		switch o.Kind {
		case models.OutputFile:
			files = append(files, fileOutput(o))
		case models.OutputRTMP:
			streams = append(streams, &livekit.StreamOutput{Protocol: livekit.StreamProtocol_RTMP, Urls: revealed(o.Targets)})
		case models.OutputHLS:
			segments = append(segments, segmentOutput(o))
		case models.OutputImages:
			images = append(images, imageOutput(o))
		}
	}
	return files, streams, segments, images
}

func fileOutput(o *EgressOutput) *livekit.EncodedFileOutput {
	out := &livekit.EncodedFileOutput{FileType: livekit.EncodedFileType_MP4, Filepath: o.Path, DisableManifest: true}
	if o.FileType == "ogg" {
		out.FileType = livekit.EncodedFileType_OGG
	}
	switch s3, gcs, azure := o.Upload.proto(); {
	case s3 != nil:
		out.Output = &livekit.EncodedFileOutput_S3{S3: s3}
	case gcs != nil:
		out.Output = &livekit.EncodedFileOutput_Gcp{Gcp: gcs}
	case azure != nil:
		out.Output = &livekit.EncodedFileOutput_Azure{Azure: azure}
	}
	return out
}

func directFile(o *EgressOutput) *livekit.DirectFileOutput {
	out := &livekit.DirectFileOutput{Filepath: o.Path, DisableManifest: true}
	switch s3, gcs, azure := o.Upload.proto(); {
	case s3 != nil:
		out.Output = &livekit.DirectFileOutput_S3{S3: s3}
	case gcs != nil:
		out.Output = &livekit.DirectFileOutput_Gcp{Gcp: gcs}
	case azure != nil:
		out.Output = &livekit.DirectFileOutput_Azure{Azure: azure}
	}
	return out
}

func segmentOutput(o *EgressOutput) *livekit.SegmentedFileOutput {
	out := &livekit.SegmentedFileOutput{Protocol: livekit.SegmentedFileProtocol_HLS_PROTOCOL, FilenamePrefix: strings.TrimSuffix(o.Path, ".m3u8"),
		PlaylistName: o.Path, LivePlaylistName: o.LivePlaylist, SegmentDuration: uint32(o.SegmentSeconds), DisableManifest: true}
	switch s3, gcs, azure := o.Upload.proto(); {
	case s3 != nil:
		out.Output = &livekit.SegmentedFileOutput_S3{S3: s3}
	case gcs != nil:
		out.Output = &livekit.SegmentedFileOutput_Gcp{Gcp: gcs}
	case azure != nil:
		out.Output = &livekit.SegmentedFileOutput_Azure{Azure: azure}
	}
	return out
}

func imageOutput(o *EgressOutput) *livekit.ImageOutput {
	out := &livekit.ImageOutput{CaptureInterval: uint32(o.IntervalSeconds), Width: int32(o.Width), Height: int32(o.Height),
		FilenamePrefix: o.Path, ImageCodec: livekit.ImageCodec_IC_JPEG, DisableManifest: true}
	switch s3, gcs, azure := o.Upload.proto(); {
	case s3 != nil:
		out.Output = &livekit.ImageOutput_S3{S3: s3}
	case gcs != nil:
		out.Output = &livekit.ImageOutput_Gcp{Gcp: gcs}
	case azure != nil:
		out.Output = &livekit.ImageOutput_Azure{Azure: azure}
	}
	return out
}

// proto is LiveKit's form of a storage; all nil is the worker's own disk.
func (u *Upload) proto() (*livekit.S3Upload, *livekit.GCPUpload, *livekit.AzureBlobUpload) {
	if u == nil {
		return nil, nil, nil
	}
	switch u.Kind {
	case models.StorageS3:
		return &livekit.S3Upload{AccessKey: u.AccessKey, Secret: u.Opened.Reveal(), Region: u.Region, Endpoint: u.Endpoint, Bucket: u.Bucket,
			ForcePathStyle: u.ForcePathStyle}, nil, nil
	case models.StorageGCS:
		return nil, &livekit.GCPUpload{Credentials: u.Opened.Reveal(), Bucket: u.Bucket}, nil
	case models.StorageAzure:
		return nil, nil, &livekit.AzureBlobUpload{AccountName: u.AccountName, AccountKey: u.Opened.Reveal(), ContainerName: u.Container}
	case models.StorageLocal:
	}
	return nil, nil, nil
}
