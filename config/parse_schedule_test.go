package config

import (
	"strings"
	"testing"
	"time"
)

func TestABackupScheduleIsACronExpressionInUTC(t *testing.T) {
	from := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"0 3 * * *": "2026-03-29T03:00:00Z", "@daily": "2026-03-29T00:00:00Z", "@hourly": "2026-03-28T13:00:00Z",
		"@every 6h": "2026-03-28T18:00:00Z", "*/15 * * * *": "2026-03-28T12:15:00Z", "0 4 * * SUN": "2026-03-29T04:00:00Z",
		"CRON_TZ=Europe/Berlin 0 4 * * *": "2026-03-29T02:00:00Z",
	} {
		var b Backups
		if err := schedule(&b, text); err != nil || b.Next(from).UTC().Format(time.RFC3339) != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"daily", "0 3 * *", "0 3 * * * *", "@every 1s", "@every -1h", "0 0 30 2 *", "@reboot", "61 * * * *", "CRON_TZ=Nowhere 0 3 * * *"} {
		if err := schedule(&Backups{}, text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestABackupScheduleWithMongoDBIsRefused(t *testing.T) {
	_, err := Load([]string{"DATA_DIR=" + t.TempDir(), "MONGO_URI=mongodb://db", "BACKUP_SCHEDULE=@daily"}, "")
	if err == nil || !strings.Contains(err.Error(), "BACKUP_SCHEDULE") || !strings.Contains(err.Error(), "docs/BACKUP.md") {
		t.Error(err)
	}
}
