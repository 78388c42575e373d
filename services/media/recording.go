package media

import (
	"path"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

// Recording gives the egress that starts with a room of a project
// (livekit.RoomOptions.Recording): a file of the whole room on the project's
// storage. LiveKit completes its path, <project>/<room>/<time>-<room id>.mp4, since
// neither is known before; its record is made when it starts. conflict
// storage_not_configured.
func (s *Egresses) Recording(p *models.Project, room string, r models.Recording) (*livekit.EgressRequest, error) {
	upload, err := s.c.Storages.Of(p)
	if err != nil {
		return nil, err
	}
	file := livekit.EgressOutput{Upload: upload, EgressOutput: models.EgressOutput{Kind: models.OutputFile, FileType: "mp4",
		Path: path.Join(folder(p.ID, room, upload), "{time}-{room_id}.mp4")}}
	return &livekit.EgressRequest{Type: models.EgressRoomComposite, Room: models.QualifyRoom(p.ID, room), Layout: r.Layout, AudioOnly: r.AudioOnly,
		Encoding: livekit.Encoding{Preset: r.Encoding}, Outputs: []livekit.EgressOutput{file}}, nil
}
