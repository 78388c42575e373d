package models

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxRoomName is the most characters a room name may have.
	MaxRoomName = 128
	// maxQualifiedRoom is the longest room name LiveKit accepts, in bytes
	// (config.LimitConfig.MaxRoomNameLength of livekit-server).
	maxQualifiedRoom = 256
	// MaxRoomNameBytes is what the project's id leaves of it.
	MaxRoomNameBytes = maxQualifiedRoom - projectIDLength - 1
)

// ValidRoomName tells whether a tenant may call a room that: 1 to 128 letters,
// marks, numbers, signs and spaces of any script, with joiners (U+200C, U+200D)
// between them, at most MaxRoomNameBytes, and none of / \ { }, which have a
// meaning in LiveKit's paths and file templates.
func ValidRoomName(name string) bool {
	if name == "" || len(name) > MaxRoomNameBytes || !utf8.ValidString(name) || utf8.RuneCountInString(name) > MaxRoomName {
		return false
	}
	joined, last := false, ' ' // whether the last rune was a joiner, and the one before
	for _, r := range name {
		switch {
		case r == '\u200c' || r == '\u200d':
			if joined || unicode.IsSpace(last) {
				return false
			}
			joined = true
			continue
		case !unicode.IsGraphic(r) || strings.ContainsRune(`/\{}`, r) || joined && unicode.IsSpace(r):
			return false
		}
		joined, last = false, r
	}
	return !joined
}

// QualifyRoom gives the name a project's room has on the LiveKit cluster,
// which knows one namespace for all tenants: "<project id>_<room>".
func QualifyRoom(project ProjectID, room string) string {
	return string(project) + "_" + room
}

// projectIDLength is that of "prj_" and a UUID's 36 characters.
const projectIDLength = len(ProjectPrefix) + 36

// SplitRoom takes a name from the LiveKit cluster apart. ok is false for a
// room that is not Pulse's.
func SplitRoom(qualified string) (project ProjectID, room string, ok bool) {
	if len(qualified) < projectIDLength+2 || qualified[projectIDLength] != '_' ||
		!strings.HasPrefix(qualified, ProjectPrefix) {
		return "", "", false
	}
	return ProjectID(qualified[:projectIDLength]), qualified[projectIDLength+1:], true
}
