package usage

import (
	"context"
	"slices"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/utils/times"
)

const (
	// exportPage is how many facts are read at a time.
	exportPage = 1000
	// explainedOpen bounds the open usage sessions on the first page.
	explainedOpen = 1000
)

// ExplainQuery asks for the parts of a meter's total in [Start, End).
type ExplainQuery struct {
	ProjectID  models.ProjectID
	Meter      models.Meter
	Start, End time.Time
}

// Explanation is a total and one page of the items that add up to it.
type Explanation struct {
	ProjectID  models.ProjectID
	Meter      models.Meter
	Start, End time.Time
	Total      float64
	Items      []ExplainedFact
	NextCursor string
}

// ExplainedFact is one item: a usage session's share of one hour and the events
// that prove it. Counter meters (tokens, requests) have no usage session.
type ExplainedFact struct {
	models.UsageFact
	// Open is true for an open usage session, which counts up to now.
	Open   bool
	Events []models.LiveKitEvent
}

// Explain breaks a total down, in whole hours. The items of all pages add up to
// the total. invalid for a peak, which is not a sum.
func (s *Reports) Explain(ctx context.Context, actor *models.Principal, q ExplainQuery, p paging.Request) (Explanation, error) {
	project, err := s.Project(ctx, actor, q.ProjectID)
	if err != nil {
		return Explanation{}, err
	}
	report, err := s.Get(ctx, actor, Query{ProjectID: project, Start: q.Start, End: q.End, Window: models.WindowHour})
	if err != nil {
		return Explanation{}, err
	}
	out := Explanation{ProjectID: project, Meter: q.Meter, Start: report.Start, End: report.End, Total: report.Totals[q.Meter]}
	scope := "usage_explain|" + string(project) + "|" + string(q.Meter)
	filter := database.FactFilter{Meter: q.Meter, Start: report.Start, End: report.End}
	if filter.AfterTime, filter.AfterID, err = s.position(scope, p.Cursor); err != nil {
		return Explanation{}, err
	}
	if p.Cursor == "" && q.Meter.Timed() {
		if out.Items, err = s.explainOpen(ctx, project, q.Meter, report.Start, report.End); err != nil {
			return Explanation{}, err
		}
	}
	facts, err := s.c.Facts.List(ctx, project, filter, int64(p.Limit)+1)
	if err != nil {
		return Explanation{}, err
	}
	if len(facts) > p.Limit {
		facts = facts[:p.Limit]
		last := &facts[p.Limit-1]
		out.NextCursor = s.cursor(scope, last.Timestamp, last.ID)
	}
	for _, f := range facts {
		out.Items = append(out.Items, ExplainedFact{UsageFact: f})
	}
	return out, s.attachEvents(ctx, project, out.Items)
}

func (s *Reports) explainOpen(ctx context.Context, project models.ProjectID, m models.Meter, start, end time.Time) ([]ExplainedFact, error) {
	var out []ExplainedFact
	now := s.c.Now().UTC()
	err := s.c.Sessions.EachOpen(ctx, project, explainedOpen, func(open models.UsageSession) error {
		at, seconds := times.Overlap(open.JoinedAt, now, start, end)
		if open.Meter() == m && seconds > 0 {
			out = append(out, ExplainedFact{Open: true, UsageFact: models.UsageFact{ID: open.ID, ProjectID: project, Meter: m,
				Timestamp: at, Value: seconds, SessionID: open.ID, RoomName: open.RoomName, EventIDs: open.EventIDs}})
		}
		return nil
	})
	return out, err
}

// attachEvents reads the events that facts name. Events past their retention are
// deleted; their ids remain.
func (s *Reports) attachEvents(ctx context.Context, project models.ProjectID, items []ExplainedFact) error {
	named := map[string]bool{}
	for i := range items {
		for _, id := range items[i].EventIDs {
			named[id] = true
		}
	}
	ids := make([]string, 0, len(named))
	for id := range named {
		ids = append(ids, id)
	}
	found := map[string]models.LiveKitEvent{}
	for len(ids) > 0 {
		batch := ids[:min(len(ids), database.MaxBatch)]
		ids = ids[len(batch):]
		events, err := s.c.Events.Get(ctx, project, batch)
		if err != nil {
			return err
		}
		for _, e := range events {
			found[e.ID] = e
		}
	}
	for i := range items {
		for _, id := range items[i].EventIDs {
			if e, there := found[id]; there {
				items[i].Events = append(items[i].Events, e)
			}
		}
		slices.SortStableFunc(items[i].Events, func(a, b models.LiveKitEvent) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	}
	return nil
}

// Export checks that the caller may read the facts of a project in [Start, End)
// and returns a function that calls each for every fact in time order. It reads
// page by page, so that a slow client occupies no database reader.
func (s *Reports) Export(ctx context.Context, actor *models.Principal, q Query) (func(context.Context, func(models.UsageFact) error) error, error) {
	project, err := s.Project(ctx, actor, q.ProjectID)
	if err != nil {
		return nil, err
	}
	filter := database.FactFilter{}
	if filter.Start, filter.End, err = usageRange(q.Start, q.End, s.c.Now().UTC()); err != nil {
		return nil, err
	}
	return func(ctx context.Context, each func(models.UsageFact) error) error {
		for {
			facts, err := s.c.Facts.List(ctx, project, filter, exportPage)
			if err != nil {
				return err
			}
			for _, f := range facts {
				if err := each(f); err != nil {
					return err
				}
			}
			if len(facts) < exportPage {
				return nil
			}
			last := &facts[len(facts)-1]
			filter.AfterTime, filter.AfterID = last.Timestamp, last.ID
		}
	}, nil
}

// ExportSessions checks that the caller may read the usage sessions of a project
// and returns a function that calls each for every one that began in [Start, End):
// by subject, the latest first.
func (s *Reports) ExportSessions(ctx context.Context, actor *models.Principal, q Query) (func(context.Context, func(models.UsageSession) error) error, error) {
	project, err := s.Project(ctx, actor, q.ProjectID)
	if err != nil {
		return nil, err
	}
	start, end, err := usageRange(q.Start, q.End, s.c.Now().UTC())
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, each func(models.UsageSession) error) error {
		for _, subject := range []models.Subject{models.SubjectParticipant, models.SubjectRoom, models.SubjectEgress, models.SubjectIngress} {
			filter := database.UsageSessionFilter{Subject: subject, Start: start, End: end}
			for {
				page, err := s.c.Sessions.List(ctx, project, filter, exportPage)
				if err != nil {
					return err
				}
				for _, session := range page {
					if err := each(session); err != nil {
						return err
					}
				}
				if len(page) < exportPage {
					break
				}
				last := &page[len(page)-1]
				filter.JoinedBefore, filter.AfterID = last.JoinedAt, last.ID
			}
		}
		return nil
	}, nil
}
