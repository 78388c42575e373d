package models

import (
	"strings"
	"testing"
)

const aProject = ProjectID("prj_01936d6e-1111-7abc-8def-0123456789ab")

func TestARoomNameSurvivesQualifyingAndSplitting(t *testing.T) {
	for _, room := range []string{"a", "daily", "with_underscore", "prj_x_y", "ünïcode", strings.Repeat("x", MaxRoomName)} {
		project, got, ok := SplitRoom(QualifyRoom(aProject, room))
		if !ok || project != aProject || got != room {
			t.Errorf("%q came back as %q of %q (%v)", room, got, project, ok)
		}
	}
}

func TestAForeignRoomIsNotTakenForATenants(t *testing.T) {
	for _, name := range []string{"", "lobby", "prj_", string(aProject), string(aProject) + "_", string(aProject) + "-x",
		"org_01936d6e-1111-7abc-8def-0123456789ab_x"} {
		if _, _, ok := SplitRoom(name); ok {
			t.Errorf("%q was taken for a tenant's room", name)
		}
	}
}

func TestRoomNamesOutsideTheContractAreRefused(t *testing.T) {
	for _, name := range []string{"", "a/b", `a\b`, "{room}", "a}", "tab\t", "nul\x00", "\u200e", "bad\xff",
		strings.Repeat("x", MaxRoomName+1)} {
		if ValidRoomName(name) {
			t.Errorf("%q was accepted", name)
		}
	}
}

// LiveKit refuses a qualified name of more than 256 bytes.
func TestRoomNamesAreLimitedInBytesToo(t *testing.T) {
	for _, name := range []string{strings.Repeat("会", 71), strings.Repeat("ü", 107), strings.Repeat("é", 107) + "x"} {
		if !ValidRoomName(name) || len(QualifyRoom(aProject, name)) > 256 {
			t.Errorf("%d bytes: valid %v, qualified %d", len(name), ValidRoomName(name), len(QualifyRoom(aProject, name)))
		}
	}
	for _, name := range []string{strings.Repeat("会", 72), strings.Repeat("ü", 108)} {
		if ValidRoomName(name) {
			t.Errorf("%d bytes were accepted", len(name))
		}
	}
}

func TestSpacesAndJoinersAreAcceptedWhereTheyAreSpelling(t *testing.T) {
	for _, name := range []string{"می\u200cخواهم", "क्\u200dष", "👩\u200d💻", "会議\u3000室", "a\u00a0b", "❤️\u200d🔥", "a b"} {
		if !ValidRoomName(name) {
			t.Errorf("%q was refused", name)
		}
	}
	for _, name := range []string{"\u200ca", "a\u200d", "\u200d", "a\u200c b", "a \u200cb", "a\u200c\u200db", "a\u3000\u200db", "a\u2028b", "a\u200bb", "a\ufeffb"} {
		if ValidRoomName(name) {
			t.Errorf("%q was accepted", name)
		}
	}
}

func FuzzSplitRoom(f *testing.F) {
	f.Add(QualifyRoom(aProject, "daily"))
	f.Add("lobby")
	f.Fuzz(func(t *testing.T, name string) {
		project, room, ok := SplitRoom(name)
		if ok && QualifyRoom(project, room) != name {
			t.Fatalf("%q split into %q and %q", name, project, room)
		}
	})
}
