package data

import (
	"context"
	"math"
	"slices"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/services/usage"
)

const (
	// tolerance is how much two sums of the same seconds may differ, relatively, by
	// the order in which they were added.
	tolerance = 1e-9
	// settling is how long counters may be ahead of their totals: a start computes
	// the totals of the last two hours again.
	settling = 2 * time.Hour
	// proofKept is how long the events of a session are there for certain.
	proofKept = database.EventRetention - 24*time.Hour
)

// same compares two sums.
func same(a, b float64) bool { return math.Abs(a-b) <= tolerance*max(1, math.Abs(a), math.Abs(b)) }

// audit verifies the chain of every organization.
func (k *check) audit(ctx context.Context) error {
	logs := audit.NewLogs(database.NewAuditLogs(k.engine), nil, nil)
	return k.look.EachChain(ctx, func(head models.AuditEntry) error {
		k.working("audit trails: %s", head.OrgID)
		found, err := logs.VerifyChain(ctx, head.OrgID)
		if err == nil && !found.Valid {
			return k.fault(faultAudit, "entry %d of %s: %s", found.FirstInvalid, head.OrgID, found.Reason)
		}
		return err
	})
}

// sessions looks for the events that prove each usage session, and for its facts.
func (k *check) sessions(ctx context.Context) (err error) {
	if k.pending, err = k.look.PendingProjects(ctx); err != nil {
		return err
	}
	seen := 0
	return k.look.EachUsageSession(ctx, func(batch []models.UsageSession) error {
		seen += len(batch)
		k.working("usage sessions: %d", seen)
		if err := k.proofs(ctx, batch); err != nil {
			return err
		}
		return k.sessionFacts(ctx, batch)
	})
}

// proofs looks for the events that sessions name.
func (k *check) proofs(ctx context.Context, batch []models.UsageSession) error {
	needed := map[string]*models.UsageSession{}
	for i := range batch {
		s := &batch[i]
		if k.at.Sub(s.JoinedAt) > proofKept {
			continue // its events are being deleted
		}
		for _, id := range s.EventIDs {
			needed[id] = s
		}
	}
	return k.eachOf(needed, func(ids []string) error {
		found, err := k.look.LiveKitEvents(ctx, ids)
		if err != nil {
			return err
		}
		have := map[string]models.ProjectID{}
		for i := range found {
			have[found[i].ID] = found[i].ProjectID
		}
		for _, id := range ids {
			s := needed[id]
			project, there := have[id]
			switch {
			case !there:
				return k.fault(faultSessions, "%s: the event %s that proves it is missing", s.ID, id)
			case project != s.ProjectID:
				return k.fault(faultSessions, "%s of %s: the event %s that proves it is of %s", s.ID, s.ProjectID, id, project)
			}
		}
		return nil
	})
}

// eachOf passes the keys of a map in their order, up to MaxBatch at a time.
func (*check) eachOf(needed map[string]*models.UsageSession, each func([]string) error) error {
	ids := make([]string, 0, len(needed))
	for id := range needed {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for chunk := range slices.Chunk(ids, database.MaxBatch) {
		if err := each(chunk); err != nil {
			return err
		}
	}
	return nil
}

// sessionFacts compares the facts of sessions with their times. While events of a
// project wait, facts may be missing: the events are processed again.
func (k *check) sessionFacts(ctx context.Context, batch []models.UsageSession) error {
	want, of := map[string]models.UsageFact{}, map[string]*models.UsageSession{}
	for i := range batch {
		s := &batch[i]
		if k.pending[s.ProjectID] {
			continue
		}
		for _, f := range metering.FactsOf(s, k.at) {
			want[f.ID], of[f.ID] = f, s
		}
	}
	return k.eachOf(of, func(ids []string) error {
		found, err := k.look.UsageFacts(ctx, ids)
		if err != nil {
			return err
		}
		have := map[string]float64{}
		for i := range found {
			have[found[i].ID] = found[i].Value
		}
		for _, id := range ids {
			if value, there := have[id]; !there || !same(value, want[id].Value) {
				return k.fault(faultSessions, "%s: its fact %s is %v s, its times say %v s", of[id].ID, id, value, want[id].Value)
			}
		}
		return nil
	})
}

// events looks for the usage session of every processed event that announces one.
func (k *check) events(ctx context.Context) error {
	store, seen := database.NewUsageSessions(k.engine), 0
	return k.look.EachLiveKitEvent(ctx, func(batch []models.LiveKitEvent) error {
		seen += len(batch)
		k.working("LiveKit events: %d", seen)
		var ids []string
		for i := range batch {
			if batch[i].State == models.EventDone {
				ids = append(ids, metering.SessionsNamed(&batch[i])...)
			}
		}
		have := map[string]models.ProjectID{}
		for chunk := range slices.Chunk(ids, database.MaxBatch) {
			found, err := store.Named(ctx, chunk)
			if err != nil {
				return err
			}
			for j := range found {
				have[found[j].ID] = found[j].ProjectID
			}
		}
		for i := range batch {
			e := &batch[i]
			named := metering.SessionsNamed(e)
			if e.State != models.EventDone || len(named) == 0 {
				continue
			}
			if !slices.ContainsFunc(named, func(id string) bool { return have[id] == e.ProjectID }) {
				return k.fault(faultEvents, "%s (%s) is processed, but there is no usage session %s", e.ID, e.Event, named[0])
			}
		}
		return nil
	})
}

// facts looks for the hourly total of every fact.
func (k *check) facts(ctx context.Context) error {
	seen := 0
	return k.look.EachUsageFact(ctx, func(batch []models.UsageFact) error {
		seen += len(batch)
		k.working("usage facts: %d", seen)
		totals := map[string]*models.UsageFact{}
		var ids []string
		for i := range batch {
			f := &batch[i]
			if id := metering.HourTotalOf(f); totals[id] == nil && f.Value != 0 && !k.pending[f.ProjectID] && !k.unsettled(f.Timestamp) {
				totals[id] = f
				ids = append(ids, id)
			}
		}
		for chunk := range slices.Chunk(ids, database.MaxBatch) {
			found, err := k.look.UsageTotals(ctx, chunk)
			if err != nil {
				return err
			}
			for i := range found {
				delete(totals, found[i].ID)
			}
		}
		for _, id := range ids {
			if f := totals[id]; f != nil {
				return k.fault(faultFacts, "%s is part of no usage total; %s is missing", f.ID, id)
			}
		}
		return nil
	})
}

// unsettled tells whether counters may be ahead of the totals of an hour.
func (k *check) unsettled(hour time.Time) bool { return k.at.Sub(hour) < settling+time.Hour }

// totals computes every total again that is not waiting to be computed: hours from
// their facts, or peaks from usage sessions, as long as those are kept, days from
// their hours.
func (k *check) totals(ctx context.Context) error {
	computing, err := usage.NewTotals(usage.TotalsConfig{Totals: database.NewUsageTotals(k.engine), Facts: database.NewUsageMetrics(k.engine),
		Sessions: database.NewUsageSessions(k.engine), Now: func() time.Time { return k.at }})
	if err != nil {
		return err
	}
	seen := 0
	return k.look.EachUsageTotal(ctx, func(batch []models.UsageTotal) error {
		for i := range batch {
			t := &batch[i]
			if seen++; seen%100 == 0 {
				k.working("usage totals: %d", seen)
			}
			if t.Dirty || t.Window == models.WindowHour && (k.pending[t.ProjectID] || k.unsettled(t.Start) || !metering.FactsKept(t.Start, k.at)) {
				continue
			}
			value, err := computing.Computed(ctx, *t)
			if err != nil {
				return err
			}
			if !same(t.Value, value) {
				return k.fault(faultTotals, "%s is %v, its parts are %v", t.ID, t.Value, value)
			}
		}
		return nil
	})
}
