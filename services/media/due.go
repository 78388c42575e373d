package media

import (
	"context"
	"errors"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/storage"
)

const (
	// startsAtOnce is how many automatic recordings one process starts at a time, and
	// startsOfProject those of one project: each may take as long as LiveKit looks for a
	// worker, and others need not wait for that.
	startsAtOnce, startsOfProject = 16, 4
	// startsPerPass bounds one pass.
	startsPerPass = 100
	// dueRetry is how often a pass looks for what became due while it starts others.
	dueRetry = time.Second
)

// dueStarts is a pass of StartDue.
type dueStarts struct {
	s *Egresses
	// last is the project whose turn was last, running how many are being started of
	// each.
	last    models.ProjectID
	running map[models.ProjectID]int
	ended   chan dueStart
	claimed int
	errs    []error
}

type dueStart struct {
	project models.ProjectID
	err     error
}

// StartDue starts the automatic recordings that are due, one of each project in turn.
// Each is claimed by a lease, when there is a slot for it, so that any replica may; one
// that no egress worker takes is tried again for some minutes. It is the pass of a
// worker and returns how many it claimed.
func (s *Egresses) StartDue(ctx context.Context) (int, error) {
	d := &dueStarts{s: s, running: map[models.ProjectID]int{}, ended: make(chan dueStart, startsAtOnce)}
	until, bounded := ctx.Deadline()
	for ctx.Err() == nil && d.claimed < startsPerPass && (!bounded || time.Until(until) > livekit.EgressStartTimeout+settleTimeout) {
		claimed, err := false, error(nil)
		if d.under() < startsAtOnce {
			claimed, err = d.next(ctx)
		}
		if err != nil {
			d.errs = append(d.errs, err)
			break
		}
		if claimed {
			continue
		}
		if d.under() == 0 {
			break
		}
		d.wait(time.After(dueRetry))
	}
	for d.under() > 0 {
		d.wait(nil)
	}
	return d.claimed, errors.Join(d.errs...)
}

// under is how many are being started.
func (d *dueStarts) under() (n int) {
	for _, running := range d.running {
		n += running
	}
	return n
}

// wait waits until a start ended, or the time is over.
func (d *dueStarts) wait(over <-chan time.Time) {
	select {
	case e := <-d.ended:
		d.errs = append(d.errs, e.err)
		if d.running[e.project]--; d.running[e.project] == 0 {
			delete(d.running, e.project)
		}
	case <-over:
	}
}

// next starts a recording of the next project that has one due; false if none has that
// may start another.
func (d *dueStarts) next(ctx context.Context) (claimed bool, err error) {
	now, from, wrapped := d.s.now(), d.last, false
	for {
		project, err := d.s.c.Store.NextDue(ctx, d.last, now)
		switch {
		case models.IsKind(err, models.KindNotFound) && !wrapped && from != "":
			d.last, wrapped = "", true
			continue
		case models.IsKind(err, models.KindNotFound), err == nil && wrapped && project > from:
			return false, nil
		case err != nil:
			return false, err
		}
		d.last = project
		if d.running[project] >= startsOfProject {
			continue
		}
		record, err := d.s.c.Store.ClaimDue(ctx, project, now, now.Add(confirmWithin))
		if models.IsKind(err, models.KindNotFound) { // another replica took it
			continue
		}
		if err != nil {
			return false, err
		}
		d.claimed++
		d.running[project]++
		go func() { d.ended <- dueStart{project, d.s.startDue(ctx, record)} }()
		return true, nil
	}
}

// startDue starts an automatic recording that was claimed.
func (s *Egresses) startDue(ctx context.Context, record models.Egress) (err error) {
	begun := func(r *models.Egress) (database.EgressChange, bool) {
		return database.EgressChange{Begun: true}, r.DueAt != nil
	}
	project, err := s.c.Projects.Named(ctx, record.ProjectID)
	if models.IsKind(err, models.KindNotFound) || err == nil && project.IsDeleted {
		s.discard(ctx, &record)
		return nil
	}
	if err != nil {
		return err
	}
	client, err := s.client(&record)
	if err != nil { // its cluster was taken out, maybe for a moment
		return s.notRecorded(ctx, &record, err)
	}
	if record.EgressID == "" && record.Attempts > 1 { // an earlier attempt may have started it
		list, err := client.RunningEgresses(ctx)
		if err != nil {
			return s.notRecorded(ctx, &record, err)
		}
		for i := range list {
			if storage.RecordOf(list[i].Paths) == record.ID {
				if record, err = s.apply(ctx, record, &list[i]); err != nil {
					return err
				}
			}
		}
	}
	if record.EgressID != "" {
		_, err = s.change(ctx, record, begun)
		return err
	}
	asked := record
	asked.Outputs = nil
	ask, err := s.request(&project, &asked, recordingOf(&project, record.RoomName))
	if err != nil {
		return s.notRecorded(ctx, &record, err)
	}
	if err := s.c.Quotas.AdmitEgress(ctx, project.ID); err != nil {
		return s.notRecorded(ctx, &record, err)
	}
	if record, err = s.change(ctx, record, func(r *models.Egress) (database.EgressChange, bool) {
		return database.EgressChange{Outputs: &asked.Outputs, CDNBaseURL: &asked.CDNBaseURL}, r.Outputs == nil
	}); err != nil {
		return err
	}
	state, err := s.startAudited(ctx, &record, client, ask)
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err != nil {
		return s.notRecorded(settling, &record, err)
	}
	if record, err = s.apply(settling, record, &state); err != nil {
		return err
	}
	_, err = s.change(settling, record, begun)
	return err
}
