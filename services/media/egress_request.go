package media

import (
	"path"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/storage"
)

// request turns an input into LiveKit's, and completes the record with its outputs.
func (s *Egresses) request(p *models.Project, record *models.Egress, in *EgressInput) (*livekit.EgressRequest, error) {
	ask := &livekit.EgressRequest{
		Type: in.Type, Identity: in.ParticipantIdentity, URL: in.URL, Layout: in.Layout, TrackSID: in.TrackSID, AudioTrackSID: in.AudioTrackSID,
		VideoTrackSID: in.VideoTrackSID, ScreenShare: in.ScreenShare, AudioOnly: in.AudioOnly, VideoOnly: in.VideoOnly,
		Wait: in.AwaitStartSignal, Encoding: in.Encoding,
	}
	if in.RoomName != "" {
		ask.Room = models.QualifyRoom(p.ID, in.RoomName)
	}
	base, track := record.CreatedAt.Format("20060102T150405Z")+"-"+string(record.ID), in.Type == models.EgressTrack
	for i := range in.Outputs {
		out := livekit.EgressOutput{EgressOutput: in.Outputs[i].EgressOutput, Targets: in.Outputs[i].Targets}
		if out.Kind == models.OutputRTMP {
			for _, target := range out.Targets {
				out.URLs = append(out.URLs, livekit.RedactStreamURL(target.Reveal()))
			}
		} else {
			upload, err := s.c.Storages.Of(p)
			if err != nil {
				return nil, err
			}
			if out.Upload = upload; upload != nil {
				record.CDNBaseURL = upload.CDNBaseURL
			}
			storage.SetPath(&out.EgressOutput, path.Join(storage.Folder(p.ID, in.RoomName, upload), base), in.Outputs[i].Live, track)
		}
		ask.Outputs = append(ask.Outputs, out)
		record.Outputs = append(record.Outputs, out.EgressOutput)
	}
	return ask, nil
}
