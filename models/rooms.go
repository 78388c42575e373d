package models

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxRoomName is the most characters a room name may have.
	MaxRoomName = 128
	// MaxRoomNameBytes is the most bytes it may have in UTF-8: LiveKit refuses
	// names over 256, and Pulse puts the project's id and "_" before each.
	MaxRoomNameBytes = 256 - projectIDLength - 1
)

// ValidRoomName reports whether a tenant may call a room that: 1 to 128
// characters and at most 215 bytes of printable text. Any space counts as
// printable, and so do the joiners of Persian, Indic scripts and emoji inside a
// word; / \ { } do not, since they have a meaning in LiveKit's paths and file
// templates.
func ValidRoomName(name string) bool {
	if name == "" || len(name) > MaxRoomNameBytes || !utf8.ValidString(name) || utf8.RuneCountInString(name) > MaxRoomName {
		return false
	}
	before := ' '
	for i, r := range name {
		switch {
		case r == zeroWidthNonJoiner || r == zeroWidthJoiner:
			after, size := utf8.DecodeRuneInString(name[i+len("\u200c"):])
			if size == 0 || !joinable(before) || !joinable(after) {
				return false
			}
		case !unicode.IsPrint(r) && !unicode.Is(unicode.Zs, r), strings.ContainsRune(`/\{}`, r):
			return false
		}
		before = r
	}
	return true
}

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
)

// joinable reports whether a joiner beside r stands inside a word.
func joinable(r rune) bool { return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.S) }

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
