package storage

import (
	"testing"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

func TestFilesStayInTheFolderOfTheirProjectWhateverTheRoomIsCalled(t *testing.T) {
	upload := &livekit.Upload{Storage: models.Storage{Prefix: "acme/recordings"}}
	for room, want := range map[string]string{"hall": "prj_1/hall", "": "prj_1/web", ".": "prj_1/_", "..": "prj_1/__", "a..b": "prj_1/a..b", "день 1": "prj_1/день 1", "~": "prj_1/~"} {
		if got := Folder("prj_1", room, nil); got != want {
			t.Errorf("%q is in %s, want %s", room, got, want)
		}
		if got := Folder("prj_1", room, upload); got != "acme/recordings/"+want {
			t.Errorf("%q is in %s with a prefix", room, got)
		}
	}
}

func TestResultsArePlayedBackFromTheCDN(t *testing.T) {
	got := Results("https://cdn.example.com/media/", []models.EgressResult{
		{Kind: models.OutputFile, Path: "prj_1/a b?#/f.mp4"}, {Kind: models.OutputRTMP, Path: "rtmp://a/live/***"}})
	if got[0].URL != "https://cdn.example.com/media/prj_1/a%20b%3F%23/f.mp4" || got[1].URL != "" {
		t.Errorf("got %+v", got)
	}
	if n := len(Results("", make([]models.EgressResult, maxResults+1))); n != maxResults {
		t.Errorf("%d results are kept", n)
	}
}
