package storage

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/ids"
)

// Defaults of outputs, in seconds.
const (
	defaultSegment  = 4
	defaultInterval = 10
)

// SetPath sets the path of an output that begins with base.
func SetPath(out *models.EgressOutput, base string, live, track bool) {
	switch out.Kind {
	case models.OutputFile:
		if out.FileType == "" && !track {
			out.FileType = "mp4"
		}
		out.Path = base // LiveKit completes that of a track by its codec
		if out.FileType != "" {
			out.Path += "." + out.FileType
		}
	case models.OutputHLS:
		out.Path = base + ".m3u8"
		if live {
			out.LivePlaylist = base + "-live.m3u8"
		}
		if out.SegmentSeconds == 0 {
			out.SegmentSeconds = defaultSegment
		}
	case models.OutputImages:
		out.Path = base + "-image"
		if out.IntervalSeconds == 0 {
			out.IntervalSeconds = defaultInterval
		}
	case models.OutputRTMP:
	}
}

// Folder is <prefix>/<project>/<room>; "web" is the room of what has none.
func Folder(p models.ProjectID, room string, upload *livekit.Upload) string {
	if room == "" {
		room = "web"
	}
	prefix := ""
	if upload != nil {
		prefix = upload.Prefix
	}
	return path.Join(prefix, string(p), pathSegment(room))
}

// pathSegment makes a room's name one segment of a path. The names "." and ".."
// would leave the folder; others cannot, since no room's name has a slash. Braces,
// of LiveKit's templates, are in no name either.
func pathSegment(name string) string {
	if strings.Trim(name, ".") == "" {
		return strings.Repeat("_", len(name))
	}
	return name
}

// RecordOf finds the id of a record in the paths that SetPath built; "" if there is
// none.
func RecordOf(paths []string) models.EgressID {
	const length = len(models.EgressPrefix) + 36 // of ids.New
	for _, path := range paths {
		at := strings.LastIndex(path, "-"+models.EgressPrefix)
		if at < 0 {
			continue
		}
		if id := path[at+1:]; len(id) >= length && ids.Valid(models.EgressPrefix, id[:length]) {
			return models.EgressID(id[:length])
		}
	}
	return ""
}

// maxResults bounds the results of an egress that are kept.
const maxResults = 100

// Results completes what LiveKit says an egress made with the URLs it is played back
// from, below a base URL; "" is none.
func Results(base string, made []models.EgressResult) []models.EgressResult {
	out := slices.Clone(made[:min(len(made), maxResults)])
	for i := range out {
		if out[i].Kind == models.OutputRTMP || base == "" || out[i].Path == "" {
			continue
		}
		if u, err := url.Parse(base); err == nil {
			out[i].URL = u.JoinPath(strings.Split(strings.TrimPrefix(out[i].Path, "/"), "/")...).String()
		}
	}
	return out
}
