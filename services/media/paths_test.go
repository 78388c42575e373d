package media

import (
	"testing"
	"time"

	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/storage"
	"pulse-control-plane/utils/secret"
)

// vault seals for the tests, and opens what it sealed for a project.
func vault(t *testing.T, local bool) *storage.Vault {
	t.Helper()
	return storage.NewVault(testkit.Sealed(t, "projects", "storage.secret"), local)
}

func TestARecordingOfARoomGoesToTheProjectsStorage(t *testing.T) {
	v := vault(t, false)
	s := &Egresses{c: EgressConfig{Storages: v}}
	project := models.Project{ID: "prj_1"}
	project.Recording = models.Recording{Layout: "grid", Encoding: "h264_1080p_30", AudioOnly: true}
	record := models.Egress{ID: "egr_01a2063f-e6cc-7690-9e88-10046bbf09e7", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	unused := record
	if _, err := s.request(&project, &unused, recordingOf(&project, "hall")); !models.HasCode(err, "storage_not_configured") {
		t.Errorf("without a storage: %v", err)
	}
	sealed, err := v.Seal(project.ID, secret.New("hush"))
	if err != nil {
		t.Fatal(err)
	}
	project.Storage = &models.Storage{Kind: models.StorageS3, Bucket: "b", Prefix: "x", Secret: sealed}
	ask, err := s.request(&project, &record, recordingOf(&project, "hall"))
	if err != nil {
		t.Fatal(err)
	}
	out := ask.Outputs[0]
	if ask.Room != "prj_1_hall" || ask.Layout != "grid" || !ask.AudioOnly || ask.Encoding.Preset != "h264_1080p_30" ||
		out.Path != "x/prj_1/hall/20260102T030405Z-"+string(record.ID)+".mp4" || out.Upload.Opened.Reveal() != "hush" || out.Upload.Bucket != "b" {
		t.Errorf("got %+v", ask)
	}
	if id := storage.RecordOf([]string{out.Path}); id != record.ID {
		t.Errorf("it is taken for the record %q", id)
	}
}
