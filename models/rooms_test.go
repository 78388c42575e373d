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
	if !ValidRoomName(strings.Repeat("ü", MaxRoomName)) {
		t.Error("the limit counts characters, not bytes")
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
