package metering

import (
	"context"
	"slices"
	"strings"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

// An ingress has many runs, each known by its start. An event of an end that does not
// name the start ends the latest run that began before it, unless another event ended
// that run. If there is none, reconciliation ends the run.

// lacksStart reports whether an event ends a run of an ingress without naming its start.
func lacksStart(e *models.LiveKitEvent) bool {
	return e.Event == models.EventIngressEnded && e.Media != nil && e.Media.ID != "" && e.Media.StartedAt.IsZero()
}

// runsBefore gives the range of ids, without the first, of the runs that such an event
// may end.
func runsBefore(e *models.LiveKitEvent) (after, last string) {
	ingress, _, _ := strings.Cut(e.Media.ID, "@")
	return ingress + "@", livekit.RunID(ingress, orElse(e.Media.EndedAt, e.At()).UnixNano())
}

// loadRuns enters the stored runs that events without a start may end.
func (m *Recorder) loadRuns(ctx context.Context, books ledger, before map[string]models.UsageSession, events []models.LiveKitEvent) error {
	for i := range events {
		if e := &events[i]; e.ProjectID != "" && lacksStart(e) {
			after, last := runsBefore(e)
			run, err := m.sessions.Last(ctx, after, last)
			if err != nil && !models.IsKind(err, models.KindNotFound) {
				return err
			}
			if err == nil {
				books.add(before, []models.UsageSession{run})
			}
		}
	}
	return nil
}

// foldAll adds events. Those that end a run without naming its start come last, and
// name it then.
func (l ledger) foldAll(events []models.LiveKitEvent) {
	var ends []*models.LiveKitEvent
	for i := range events {
		if e := &events[i]; lacksStart(e) {
			ends = append(ends, e)
		} else {
			l.fold(e)
		}
	}
	for _, e := range ends {
		l.nameRun(e)
		l.fold(e)
	}
}

// nameRun has an event name the run that it ends, if that is known.
func (l ledger) nameRun(e *models.LiveKitEvent) {
	after, last := runsBefore(e)
	var run *models.UsageSession
	for id, s := range l {
		if s.Subject == models.SubjectIngress && s.ProjectID == e.ProjectID && id > after && id <= last && (run == nil || id > run.ID) {
			run = s
		}
	}
	if run == nil || !run.Observed.EndedAt.IsZero() && !slices.Contains(run.Observed.EndedBy, e.ID) {
		return
	}
	named := *e.Media
	named.ID, named.StartedAt = run.ID, run.Observed.StartedAt
	e.Media = &named
}
