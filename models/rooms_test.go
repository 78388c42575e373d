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
		strings.Repeat("x", MaxRoomName+1), strings.Repeat("ü", 107) + "xx", strings.Repeat("会", 72),
		"\u200c", "\u200dx", "x\u200d", "x \u200dx", "x\u200d x", "x\u200d\u200cx", ".\u200dx", "x\u200b", "\u2028", "\u202e"} {
		if ValidRoomName(name) {
			t.Errorf("%q was accepted", name)
		}
	}
}

func TestRoomNamesHoldWhatLiveKitAcceptsUnderTheirQualifiedName(t *testing.T) {
	for _, name := range []string{strings.Repeat("x", 128), strings.Repeat("ü", 107) + "x", strings.Repeat("会", 71) + "xx",
		"می\u200cخواهم", "क्\u200dष", "👩\u200d💻", "会\u3000議", "salle\u00a0b", " "} {
		if !ValidRoomName(name) {
			t.Errorf("%q was refused", name)
		}
		const liveKitsLimit = 256
		if n := len(QualifyRoom(aProject, name)); n > liveKitsLimit {
			t.Errorf("%q is %d bytes long on the cluster", name, n)
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
