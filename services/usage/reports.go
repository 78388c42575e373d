package usage

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/times"
)

const (
	// maxUsageRows is the maximum number of windows in one report.
	maxUsageRows = 1000
	// openSessions bounds the open sessions of one report.
	openSessions = 200_000
	// totalsRead bounds the totals one answer is made of: those of all meters
	// for each row, or each day of a month's row.
	totalsRead = maxUsageRows * 31 * 11
)

// Reports read a project's usage and its evidence.
type Reports struct{ c Config }

// Config of New; every field is required.
type Config struct {
	Projects *database.Projects
	Sessions *database.UsageSessions
	Facts    *database.UsageMetrics
	Events   *database.LiveKitEvents
	Totals   *Totals
	Cursors  *cursor.Codec
	Now      func() time.Time
}

// New builds the service. It fails if a required field is missing.
func New(c Config) (*Reports, error) {
	return &Reports{c}, required.Fields(c)
}

// Query asks for the usage of a project in [Start, End). Zero values mean the
// caller's own project, the last 24 hours, and hourly rows.
type Query struct {
	ProjectID  models.ProjectID
	Start, End time.Time
	Window     models.Window
}

// Row is the usage in [Start, End).
type Row struct {
	Start, End time.Time
	Values     map[models.Meter]float64
}

// Report is the usage of a project in whole windows: Start and End are the
// requested ones, widened to window boundaries.
type Report struct {
	ProjectID  models.ProjectID
	Start, End time.Time
	Window     models.Window
	Totals     map[models.Meter]float64
	Items      []Row
}

// Get reports a project's usage: ended sessions and, up to now, open ones. invalid
// for a range that is empty or has more than 1000 windows.
func (s *Reports) Get(ctx context.Context, actor *models.Principal, q Query) (Report, error) {
	project, err := s.Project(ctx, actor, q.ProjectID)
	if err != nil {
		return Report{}, err
	}
	return s.Report(ctx, project, q)
}

// Report is Get without a permission check.
func (s *Reports) Report(ctx context.Context, project models.ProjectID, q Query) (Report, error) {
	now := s.c.Now().UTC()
	report, err := newReport(project, q, now)
	if err != nil {
		return Report{}, err
	}
	stored := models.WindowDay
	if report.Window == models.WindowHour {
		stored = models.WindowHour
	}
	totals, err := s.c.Totals.Current(ctx, project, stored, report.Start, report.End)
	if err != nil {
		return Report{}, err
	}
	row := 0
	for i := range totals { // in order of time, as the rows
		for row < len(report.Items)-1 && !totals[i].Start.Before(report.Items[row].End) {
			row++
		}
		values, m := report.Items[row].Values, totals[i].Meter
		values[m] = combine(m, values[m], totals[i].Value)
	}
	if err := s.addOpen(ctx, project, &report, now); err != nil {
		return Report{}, err
	}
	for _, row := range report.Items {
		for m, value := range row.Values {
			report.Totals[m] = combine(m, report.Totals[m], value)
		}
	}
	return report, nil
}

// newReport makes the rows of a report, all zero.
func newReport(project models.ProjectID, q Query, now time.Time) (Report, error) {
	r := Report{ProjectID: project, Window: q.Window, Totals: zeroes()}
	if r.Window == "" {
		r.Window = models.WindowHour
	}
	start, end, err := usageRange(q.Start, q.End, now)
	if err != nil {
		return r, err
	}
	r.Start = r.Window.Start(start)
	at := r.Start
	for at.Before(end) {
		if len(r.Items) == maxUsageRows {
			return r, models.Invalid(models.FieldError{Location: "end",
				Message: fmt.Sprintf("is more than %d windows after start; use a shorter range or a longer window", maxUsageRows)})
		}
		next := r.Window.Next(at)
		r.Items = append(r.Items, Row{Start: at, End: next, Values: zeroes()})
		at = next
	}
	r.End = at
	return r, nil
}

// usageRange applies the defaults of a range: the end of this hour, and 24 hours
// before the end.
func usageRange(start, end, now time.Time) (time.Time, time.Time, error) {
	if end.IsZero() {
		end = models.WindowHour.Next(models.WindowHour.Start(now))
	}
	if start.IsZero() {
		start = end.Add(-24 * time.Hour)
	}
	if !start.Before(end) {
		return start, end, models.Invalid(models.FieldError{Location: "end", Message: "must be after start"})
	}
	return start, end, nil
}

func zeroes() map[models.Meter]float64 {
	out := make(map[models.Meter]float64, len(models.Meters()))
	for _, m := range models.Meters() {
		out[m] = 0
	}
	return out
}

// addOpen adds open sessions. Open participants count together at the end of a
// window for its peak; ended ones are in the stored peaks.
func (s *Reports) addOpen(ctx context.Context, project models.ProjectID, r *Report, now time.Time) error {
	present := make([]float64, len(r.Items))
	err := s.c.Sessions.EachOpen(ctx, project, openSessions, func(open models.UsageSession) error {
		meter := open.Meter()
		if meter == "" {
			return nil
		}
		for i := range r.Items {
			row := &r.Items[i]
			if !row.Start.Before(now) {
				break
			}
			_, seconds := times.Overlap(open.JoinedAt, now, row.Start, row.End)
			row.Values[meter] += seconds
			if meter == models.MeterParticipantSeconds && open.JoinedAt.Before(row.End) {
				present[i]++
			}
		}
		return nil
	})
	for i := range r.Items {
		r.Items[i].Values[models.MeterPeak] = max(r.Items[i].Values[models.MeterPeak], present[i])
	}
	return err
}

// Project returns the project that a caller asks about: a key's own, or the one a
// person or the operator names.
func (s *Reports) Project(ctx context.Context, actor *models.Principal, asked models.ProjectID) (models.ProjectID, error) {
	if err := actor.May(models.ActionUsageRead); err != nil {
		return "", err
	}
	if actor.Project != nil {
		if asked != "" && asked != actor.Project.ID {
			return "", models.NotFound()
		}
		return actor.Project.ID, nil
	}
	if asked == "" {
		return "", models.Invalid(models.FieldError{Location: "project_id", Message: "is required for a person or the operator"})
	}
	project, err := s.c.Projects.Get(ctx, actor.Tenant(), asked)
	return project.ID, err
}

// SessionQuery narrows a list of usage sessions; empty fields narrow
// nothing, but that no subject is participants.
type SessionQuery struct {
	ProjectID                         models.ProjectID
	RoomName, Identity, RoomSID, Kind string
	Subject                           models.Subject
	// Open leaves those that have not ended, or (false) those that have.
	Open *bool
	// Start and End leave those that joined in [Start, End).
	Start, End time.Time
}

// Sessions lists the usage sessions of a project, the latest to join first.
func (s *Reports) Sessions(ctx context.Context, actor *models.Principal, q SessionQuery, p paging.Request) (paging.Page[models.UsageSession], error) {
	project, err := s.Project(ctx, actor, q.ProjectID)
	if err != nil {
		return paging.Page[models.UsageSession]{}, err
	}
	scope := "usage_sessions|" + string(project)
	filter := database.UsageSessionFilter{RoomName: q.RoomName, Identity: q.Identity, RoomSID: q.RoomSID, Kind: q.Kind,
		Subject: q.Subject, Open: q.Open, Start: q.Start, End: q.End}
	if filter.JoinedBefore, filter.AfterID, err = s.position(scope, p.Cursor); err != nil {
		return paging.Page[models.UsageSession]{}, err
	}
	items, err := s.c.Sessions.List(ctx, project, filter, int64(p.Limit)+1)
	if err != nil {
		return paging.Page[models.UsageSession]{}, err
	}
	out := paging.Page[models.UsageSession]{Items: items}
	if len(items) > p.Limit {
		out.Items = items[:p.Limit]
		last := &items[p.Limit-1]
		out.NextCursor = s.cursor(scope, last.JoinedAt, last.ID)
	}
	return out, nil
}

// Session reads one usage session of a project, of any subject.
func (s *Reports) Session(ctx context.Context, actor *models.Principal, project models.ProjectID, id string) (models.UsageSession, error) {
	project, err := s.Project(ctx, actor, project)
	if err != nil {
		return models.UsageSession{}, err
	}
	return s.c.Sessions.Get(ctx, project, id)
}

// cursor encodes a position in a list that is sorted by a time and an id.
func (s *Reports) cursor(scope string, at time.Time, id string) string {
	return s.c.Cursors.Encode(scope, strconv.FormatInt(at.UnixMilli(), 36), id)
}

// position decodes such a cursor; the zero time and "" without one.
func (s *Reports) position(scope, text string) (time.Time, string, error) {
	if text == "" {
		return time.Time{}, "", nil
	}
	parts, err := s.c.Cursors.Decode(scope, text)
	if err == nil && len(parts) == 2 {
		if ms, err := strconv.ParseInt(parts[0], 36, 64); err == nil {
			return time.UnixMilli(ms).UTC(), parts[1], nil
		}
	}
	return time.Time{}, "", models.Invalid(models.FieldError{Location: "cursor",
		Message: "is not a cursor of this list; send next_cursor unchanged"})
}

// Now is the time up to which open sessions count.
func (s *Reports) Now() time.Time { return s.c.Now().UTC() }
