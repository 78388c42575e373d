package data

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	_ "modernc.org/sqlite"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/services/usage"
	"pulse-control-plane/utils/secret"
)

const meteredProject = models.ProjectID("prj_metered")

// testsBegan fixes the hours of these tests, whose ids are made more than once.
var testsBegan = time.Now().UTC().Truncate(time.Hour)

func meteredFrom() time.Time { return testsBegan.Add(-5*time.Hour + 10*time.Minute) }

// metered adds to a database what is metered of participants that were in a room
// for ten minutes five hours ago.
func metered(t *testing.T, path string) {
	t.Helper()
	e := open(t, path)
	defer shut(t, e)
	began := meteredFrom()
	room := func(id, kind string, at time.Time) models.LiveKitEvent {
		return models.LiveKitEvent{ID: id, Event: kind, ProjectID: meteredProject, RoomName: "hall", RoomSID: "RM_1", RoomCreatedAt: began,
			CreatedAt: at, ReceivedAt: at.Add(5 * time.Second), State: models.EventDone}
	}
	all := []models.LiveKitEvent{room("EV_room", models.EventRoomStarted, began)}
	for i := range 5 {
		for _, kind := range []string{models.EventParticipantJoined, models.EventParticipantLeft} {
			at := began
			if kind == models.EventParticipantLeft {
				at = began.Add(10 * time.Minute)
			}
			event := room(fmt.Sprintf("EV_%s_%d", kind, i), kind, at)
			event.Participant = &models.EventParticipant{SID: fmt.Sprintf("PA_%d", i), Identity: fmt.Sprint(i), Kind: models.ParticipantStandard,
				JoinedAt: began.Add(time.Second / 2)} // an event is taken to be in the middle of its second
			all = append(all, event)
		}
	}
	all = append(all, room("EV_end", models.EventRoomFinished, began.Add(time.Hour+30*time.Minute)))
	sessions, facts, totals := database.NewUsageSessions(e), database.NewUsageMetrics(e), database.NewUsageTotals(e)
	if _, err := database.NewLiveKitEvents(e).InsertMany(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if _, err := metering.NewRecorder(sessions, facts, totals, time.Now).Record(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	settled(t, e)
	value, err := facts.Sum(t.Context(), meteredProject, models.MeterParticipantSeconds, began.Add(-time.Hour), time.Now())
	if err != nil || value != 3000 {
		t.Fatalf("%v participant seconds, %v; want 3000", value, err)
	}
}

// settled computes the totals that are marked, as the server does.
func settled(t *testing.T, e database.Engine) {
	t.Helper()
	totals, err := usage.NewTotals(usage.TotalsConfig{Totals: database.NewUsageTotals(e), Facts: database.NewUsageMetrics(e),
		Sessions: database.NewUsageSessions(e), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for marked := int64(1); marked > 0; {
		if err := totals.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if marked, err = totals.Unsettled(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// checked runs the check and gives the kinds of its faults and what it wrote.
func checked(t *testing.T, path, file string, secrets Secrets) (kinds []string, written string) {
	t.Helper()
	var out bytes.Buffer
	c := Commands{Tool: tool(path), Secrets: secrets, Out: &out, Progress: t.Output()}
	err := c.Verify(t.Context(), file)
	if err != nil && !errors.Is(err, ErrFaults) {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		kind, _, found := strings.Cut(line, ": ")
		if found {
			kinds = append(kinds, kind)
		}
	}
	if (err == nil) != (out.String() == "ok\n") {
		t.Errorf("%v, but it wrote %q", err, out.String())
	}
	return kinds, out.String()
}

// change changes the database by SQL, behind the engine's back.
func change(statements ...string) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, statement := range statements {
			result, err := db.ExecContext(t.Context(), statement)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := result.RowsAffected(); err != nil || n == 0 && !strings.HasPrefix(statement, "DROP") && !strings.HasPrefix(statement, "ALTER") {
				t.Fatalf("%s changed nothing, %v", statement, err)
			}
		}
	}
}

// update changes one document as the engine does.
func update(collection, id string, set bson.D) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		e := open(t, path)
		defer shut(t, e)
		n, err := e.Update(t.Context(), collection, bson.D{{Key: "_id", Value: id}}, bson.D{{Key: "$set", Value: set}}, database.UpdateOptions{})
		if err != nil || n != 1 {
			t.Fatalf("%d documents with the id %s, %v", n, id, err)
		}
	}
}

// ids are those of what metered stores.
func totalID(w models.Window) string {
	return models.UsageTotalID(meteredProject, models.MeterParticipantSeconds, w, w.Start(meteredFrom()))
}

func factID() string {
	return "PA_1|participant_seconds|" + meteredFrom().Format("2006-01-02T15")
}

// zeroed overwrites the root page of an index.
func zeroed(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	var page int64
	err = db.QueryRowContext(t.Context(), "SELECT rootpage FROM sqlite_master WHERE name = 'livekit_events.received_at_1'").Scan(&page)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(make([]byte, 4096), (page-1)*4096)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestTheCheckFindsTheFirstFaultOfEachKind(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(*testing.T, string)
		want   []string
		says   string
	}{
		"nothing":               {func(*testing.T, string) {}, nil, "ok"},
		"a damaged page":        {zeroed, []string{"integrity"}, "page"},
		"a dropped index":       {change(`DROP INDEX "users.email_1"`), []string{"schema"}, "users.email_1"},
		"a column that differs": {change(`UPDATE usage_sessions SET room_name = 'other' WHERE _id = 'PA_3'`), []string{"columns"}, "PA_3: the column room_name"},
		"a damaged document":    {change(`UPDATE livekit_events SET doc = substr(doc, 1, 50) WHERE _id = 'EV_00000007'`), []string{"columns", "events"}, "EV_00000007"},
		"a changed audit entry": {func(t *testing.T, path string) {
			t.Helper()
			e := open(t, path)
			head, err := database.NewAuditLogs(e).Head(t.Context(), "org_1")
			shut(t, e)
			if err != nil {
				t.Fatal(err)
			}
			update("audit_logs", string(head.ID), bson.D{{Key: "action", Value: "other"}})(t, path)
		}, []string{"audit"}, "entry 3 of org_1: the entry was changed"},
		"a deleted audit entry":  {change(`DELETE FROM audit_logs WHERE org_id = 'org_0' AND seq = 2`), []string{"audit"}, "org_0"},
		"a missing proof":        {change(`DELETE FROM livekit_events WHERE _id = 'EV_participant_left_2'`), []string{"sessions"}, "PA_2: the event EV_participant_left_2"},
		"a missing session":      {change(`DELETE FROM usage_sessions WHERE _id = 'PA_4'`), []string{"events", "totals"}, "there is no usage session PA_4"},
		"a changed fact":         {update("usage_metrics", factID(), bson.D{{Key: "value", Value: 601.0}}), []string{"sessions", "totals"}, "is 601 s, its times say 600 s"},
		"a missing total":        {change(`DELETE FROM usage_totals WHERE _id = '` + totalID(models.WindowHour) + `'`), []string{"facts", "totals"}, totalID(models.WindowHour) + " is missing"},
		"a changed hourly total": {update("usage_totals", totalID(models.WindowHour), bson.D{{Key: "value", Value: 2999.0}}), []string{"totals"}, ""},
		"a changed daily total":  {update("usage_totals", totalID(models.WindowDay), bson.D{{Key: "value", Value: 3001.0}}), []string{"totals"}, "is 3001, its parts are"},
		"a changed peak": {update("usage_totals", models.UsageTotalID(meteredProject, models.MeterPeak, models.WindowHour, models.WindowHour.Start(meteredFrom())),
			bson.D{{Key: "value", Value: 7.0}}), []string{"totals"}, "its parts are 7"},
		"a total to be computed":  {update("usage_totals", totalID(models.WindowDay), bson.D{{Key: "value", Value: 1.0}, {Key: "dirty", Value: true}}), nil, "ok"},
		"events that wait":        {update("livekit_events", "EV_participant_left_2", bson.D{{Key: "state", Value: "pending"}}), nil, "ok"},
		"a dead event of nothing": {update("livekit_events", "EV_room", bson.D{{Key: "state", Value: "dead"}}), nil, "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			path := store(t, 100)
			// These events belong to no tenant, so that they announce no session.
			metered(t, path)
			c.damage(t, path)
			got, written := checked(t, path, "", someSecrets())
			if !slices.Equal(got, c.want) || !strings.Contains(written, c.says) {
				t.Errorf("faults %v, want %v with %q:\n%s", got, c.want, c.says, written)
			}
		})
	}
}

func TestTheCheckComparesTheSecretsAtHand(t *testing.T) {
	path := store(t, 0)
	for _, c := range []struct {
		given Secrets
		want  []string
	}{
		{someSecrets(), nil}, {nil, nil}, {with(DataKey, "a data key of thirty-two bytes.!"), []string{"secrets"}},
		{with(APIKeyPepper, "another"), []string{"secrets"}}, {with(JWTSecret, "replaced"), nil},
	} {
		if got, written := checked(t, path, "", c.given); !slices.Equal(got, c.want) {
			t.Errorf("faults %v, want %v:\n%s", got, c.want, written)
		}
	}
}

func TestTheCheckOfABackupComparesItWithItsManifestAndLeavesNothing(t *testing.T) {
	path := store(t, 100)
	metered(t, path)
	file := backedUp(t, path)
	t.Setenv("TMPDIR", t.TempDir())
	if got, written := checked(t, "", file, someSecrets()); got != nil {
		t.Errorf("a whole one: %s", written)
	}
	copied := filepath.Join(t.TempDir(), "pulse.db")
	m, err := extract(t.Context(), file, copied)
	if err != nil {
		t.Fatal(err)
	}
	m.Collections["organizations"]++
	lying := filepath.Join(t.TempDir(), "lying")
	if err := pack(t.Context(), m, copied, lying); err != nil {
		t.Fatal(err)
	}
	if got, written := checked(t, "", lying, someSecrets()); !slices.Equal(got, []string{"backup"}) || !strings.Contains(written, "organizations") {
		t.Errorf("one whose manifest counts another: %s", written)
	}
	if left := files(t, os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestTheCheckChangesNothing(t *testing.T) {
	path := store(t, 100)
	metered(t, path)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, written := checked(t, path, "", Secrets{DataKey: {secret.New("another")}}); got == nil {
		t.Error(written)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file has changed, %v", err)
	}
}

func TestCompactGivesSpaceBackAndRefusesADatabaseInUse(t *testing.T) {
	path := store(t, 5000)
	change(`DELETE FROM livekit_events WHERE _id > 'EV_00000100'`)(t, path)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := Commands{Tool: tool(path), Out: &out}
	e := open(t, path)
	if err := c.Shrink(t.Context()); !models.HasCode(err, "database_in_use") {
		t.Errorf("a database in use: %v", err)
	}
	shut(t, e)
	if err := c.Shrink(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil || after.Size() > before.Size()/2 || !strings.Contains(out.String(), fmt.Sprintf("%d bytes after", after.Size())) {
		t.Errorf("%d bytes before, %d after, %v: %s", before.Size(), after.Size(), err, out.String())
	}
	if got, written := checked(t, path, "", someSecrets()); got != nil {
		t.Error(written)
	}
}

func TestOnMongoDBTheCommandsSayWhatToUseInstead(t *testing.T) {
	c := Commands{Tool: tool(""), At: database.Location{URI: "mongodb://db", Name: "pulse"}}
	for says, err := range map[string]error{
		"mongodump --oplog": c.WriteBackup(t.Context(), "f"), "mongorestore --oplogReplay": c.ReadBackup(t.Context(), "f"), "compact of mongosh": c.Shrink(t.Context()),
	} {
		if !models.IsKind(err, models.KindMisconfigured) || !strings.Contains(Explain(err), says) || !strings.Contains(Explain(err), "docs/BACKUP.md") {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

func TestACheckOfADatabaseThatServersUseWritesNothing(t *testing.T) {
	e := &ensuring{Engine: sourceEngine(t, 5)}
	var out strings.Builder
	c := Commands{Tool: tool(""), Out: &out}
	if err := c.VerifyEngine(t.Context(), e); err != nil && !errors.Is(err, ErrFaults) {
		t.Fatal(err)
	}
	if writes := e.Engine.(*testkit.Engine).Writes.Load(); writes > 0 || e.times > 0 || strings.Contains(out.String(), "schema") {
		t.Errorf("%d writes, the schema was ensured %d times: %s", writes, e.times, out.String())
	}
}
