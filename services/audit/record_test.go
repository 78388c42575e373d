package audit_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/utils/cursor"
)

// vagueEngine is a server that does not say which unique index a duplicate is in.
type vagueEngine struct{ database.Engine }

func (e vagueEngine) Insert(ctx context.Context, c string, doc any) error {
	err := e.Engine.Insert(ctx, c, doc)
	if models.IsKind(err, models.KindConflict) {
		return models.Conflict("already_exists", "Something with the same unique value exists already.").Because(err)
	}
	return err
}

func TestARecordedChangeHasOneEntryHoweverManyProcessesWriteIt(t *testing.T) {
	for name, wrap := range map[string]func(database.Engine) database.Engine{
		"a server that names the index": func(e database.Engine) database.Engine { return e },
		"a server that does not":        func(e database.Engine) database.Engine { return vagueEngine{e} },
	} {
		t.Run(name, func(t *testing.T) {
			const org, changes = models.OrganizationID("org_1"), 10
			logs := database.NewAuditLogs(wrap(testkit.NewEngine(t)))
			operator := &models.Principal{Kind: models.CallerOperator}
			var all sync.WaitGroup
			for range 3 { // processes
				trail := testkit.Must[*audit.Trail](t)(audit.NewTrail(logs, testkit.Silence{}, time.Now))
				all.Go(func() {
					for n := range changes {
						event := audit.Event{OrgID: org, Action: "egress.started", Type: "egress", ID: fmt.Sprint("egr_", n)}
						if err := trail.Record(t.Context(), audit.Record{ID: models.AuditID(fmt.Sprint("aud_", n)), Caller: audit.CallerOf(operator), Event: event, Outcome: models.AuditSuccess}); err != nil {
							t.Error(err)
						}
						entry, err := trail.Begin(t.Context(), operator, audit.Event{OrgID: org, Action: "project.updated"})
						if err != nil {
							t.Error(err)
							continue
						}
						entry.End(t.Context(), &err)
					}
				})
			}
			all.Wait()
			reader := audit.NewLogs(logs, nil, cursor.New([]byte("key")))
			check, err := reader.Verify(t.Context(), operator, org)
			if err != nil || !check.Valid || check.Entries != changes+3*changes {
				t.Errorf("%+v, %v", check, err)
			}
			trail := testkit.Must[*audit.Trail](t)(audit.NewTrail(logs, testkit.Silence{}, time.Now))
			for n := range changes {
				if has, err := trail.Has(t.Context(), org, models.AuditID(fmt.Sprint("aud_", n))); !has || err != nil {
					t.Errorf("the entry of change %d: %v, %v", n, has, err)
				}
			}
			if has, err := trail.Has(t.Context(), "org_2", "aud_1"); has || err != nil {
				t.Errorf("of another organization: %v, %v", has, err)
			}
		})
	}
}

// slowEngine delays the first entry until goOn is closed.
type slowEngine struct {
	database.Engine
	first   sync.Once
	writing chan struct{}
	goOn    chan struct{}
}

func (e *slowEngine) Insert(ctx context.Context, c string, doc any) error {
	e.first.Do(func() { close(e.writing); <-e.goOn })
	return e.Engine.Insert(ctx, c, doc)
}

func TestAnEntryWaitsForAnotherNoLongerThanItsDeadline(t *testing.T) {
	slow := &slowEngine{Engine: testkit.NewEngine(t), writing: make(chan struct{}), goOn: make(chan struct{})}
	logs := database.NewAuditLogs(slow)
	trail := testkit.Must[*audit.Trail](t)(audit.NewTrail(logs, testkit.Silence{}, time.Now))
	operator := &models.Principal{Kind: models.CallerOperator}
	event := audit.Event{OrgID: "org_1", Action: "project.updated"}
	begin := func(ctx context.Context) error {
		entry, err := trail.Begin(ctx, operator, event)
		if err == nil {
			entry.End(ctx, &err)
		}
		return err
	}
	first, others := make(chan error, 1), make(chan error, 2)
	go func() { first <- begin(t.Context()) }()
	<-slow.writing
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	go func() { others <- begin(ended) }()
	go func() {
		others <- trail.Record(ended, audit.Record{ID: "aud_1", Caller: audit.CallerOf(operator), Event: event, Outcome: models.AuditSuccess})
	}()
	for range 2 {
		select {
		case err := <-others:
			if !models.IsKind(err, models.KindUnavailable) {
				t.Errorf("%v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("it waits for the other entry")
		}
	}
	close(slow.goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := begin(t.Context()); err != nil { // the chain is free again
		t.Error(err)
	}
	if check, err := audit.NewLogs(logs, nil, cursor.New([]byte("key"))).Verify(t.Context(), operator, "org_1"); err != nil || !check.Valid || check.Entries != 2 {
		t.Errorf("%+v, %v", check, err)
	}
}
