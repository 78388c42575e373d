package models

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxRoomName is the most characters a room name may have.
const MaxRoomName = 128

// ValidRoomName tells whether a tenant may call a room that: 1 to 128
// printable characters, none of / \ { }, which have a meaning in LiveKit's
// paths and file templates.
func ValidRoomName(name string) bool {
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > MaxRoomName {
		return false
	}
	for _, r := range name {
		if !unicode.IsPrint(r) || strings.ContainsRune(`/\{}`, r) {
			return false
		}
	}
	return true
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
