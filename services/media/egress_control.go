package media

import (
	"context"
	"fmt"
	"slices"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/fields"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/utils/secret"
)

const (
	// stopWait is how long a stop waits for an egress to be active.
	stopWait = 10 * time.Second
	// stopRetry is the time between two looks at an egress that is to stop.
	stopRetry = 250 * time.Millisecond
)

// owned finds an egress that a caller may change.
func (s *Egresses) owned(ctx context.Context, actor *models.Principal, named models.ProjectID, id string) (models.Egress, error) {
	project, err := lookup.Project(ctx, s.c.Projects, actor, models.ActionEgressWrite, named)
	if err != nil {
		return models.Egress{}, err
	}
	return s.c.Store.Get(ctx, project.ID, id)
}

func (s *Egresses) begin(ctx context.Context, actor *models.Principal, record *models.Egress, action string, after map[string]any) (*audit.Entry, error) {
	after["project_id"] = record.ProjectID
	return s.c.Trail.Begin(ctx, actor, audit.Event{OrgID: record.OrgID, Action: action, Type: "egress", ID: record.PublicID(), After: after})
}

// errEnded refuses a change of an egress that has ended.
func errEnded() error { return models.Conflict("egress_ended", "The egress has ended.") }

// change updates a record, again if others changed it meanwhile. The audit entry of its
// start is stored before a new state.
func (s *Egresses) change(ctx context.Context, record models.Egress, to func(*models.Egress) (database.EgressChange, bool)) (models.Egress, error) {
	return database.UpdateLatest(record, to, func(r *models.Egress, c database.EgressChange) (models.Egress, error) {
		if r.Asked != nil && (c.Status != nil || c.Entered) {
			if err := s.entered(ctx, r, &c); err != nil {
				return models.Egress{}, err
			}
		}
		return s.c.Store.Update(ctx, r, c, s.now())
	}, func(r *models.Egress) (models.Egress, error) { return s.c.Store.Get(ctx, r.ProjectID, string(r.ID)) })
}

// Stop ends an egress. One that is not active yet is stopped as soon as it is: the
// call waits for that, and after StopWait answers with the egress as it is, which
// StopAsked stops later. conflict egress_ended if it has ended.
func (s *Egresses) Stop(ctx context.Context, actor *models.Principal, named models.ProjectID, id string) (record models.Egress, err error) {
	record, err = s.owned(ctx, actor, named, id)
	if err != nil {
		return models.Egress{}, err
	}
	if !record.Open {
		return models.Egress{}, errEnded()
	}
	client, err := s.client(&record)
	if err != nil {
		return models.Egress{}, err
	}
	entry, err := s.begin(ctx, actor, &record, "egress.stopped", map[string]any{})
	if err != nil {
		return models.Egress{}, err
	}
	defer entry.End(ctx, &err)
	asked := true
	record, err = s.change(ctx, record, func(r *models.Egress) (database.EgressChange, bool) {
		return database.EgressChange{StopAsked: &asked}, r.Open && !r.StopAsked
	})
	if err != nil {
		return models.Egress{}, err
	}
	waiting, cancel := context.WithTimeout(ctx, s.c.StopWait)
	defer cancel()
	for {
		if record, err = s.stop(ctx, client, record); err != nil || record.Status != models.EgressStarting {
			return record, err
		}
		select {
		case <-waiting.Done():
			return record, nil
		case <-time.After(stopRetry):
		}
		if record, err = s.c.Store.Get(ctx, record.ProjectID, string(record.ID)); err != nil || !record.Open {
			return record, err
		}
	}
}

// stop has LiveKit end an egress, unless it is not active yet: then LiveKit would
// abort it, and nothing would be recorded.
func (s *Egresses) stop(ctx context.Context, client *livekit.Client, record models.Egress) (models.Egress, error) {
	if record.EgressID == "" {
		return record, nil
	}
	if record.Status == models.EgressStarting {
		var err error
		if record, err = s.refresh(ctx, client, record); err != nil || record.Status == models.EgressStarting {
			return record, err
		}
	}
	if record.Status != models.EgressActive {
		return record, nil
	}
	state, err := client.StopSent(ctx, record.EgressID)
	switch {
	case err == nil:
		return s.apply(ctx, record, &state)
	case models.IsKind(err, models.KindConflict) || models.IsKind(err, models.KindNotFound):
		refused := err
		if record, err = s.refresh(ctx, client, record); err == nil && record.Status == models.EgressActive {
			err = refused
		}
	}
	return record, err
}

// refresh brings a record up to date with what LiveKit knows.
func (s *Egresses) refresh(ctx context.Context, client *livekit.Client, record models.Egress) (models.Egress, error) {
	state, err := client.GetEgress(ctx, record.EgressID)
	if models.IsKind(err, models.KindNotFound) {
		return record, s.presume(ctx, &record, models.EgressAborted, "LiveKit does not know the egress any more.")
	}
	if err != nil {
		return record, err
	}
	return s.apply(ctx, record, &state)
}

// EgressUpdate changes a running egress: its layout, or the targets of rtmp.
type EgressUpdate struct {
	Layout               *string
	AddURLs, RemovedURLs []secret.Value
}

// Update changes a running egress. invalid for a layout of what is not a
// room_composite, for targets of an egress without rtmp, too many of them, or those
// it does not have; conflict egress_ended, or failed_precondition if it is not
// active yet.
func (s *Egresses) Update(ctx context.Context, actor *models.Principal, named models.ProjectID, id string, u EgressUpdate) (record models.Egress, err error) {
	record, err = s.owned(ctx, actor, named, id)
	if err != nil {
		return models.Egress{}, err
	}
	if err := s.checkUpdate(ctx, &record, &u); err != nil {
		return models.Egress{}, err
	}
	if !record.Open {
		return models.Egress{}, errEnded()
	}
	if record.EgressID == "" {
		return models.Egress{}, models.Conflict("failed_precondition", "The egress is not active yet.")
	}
	client, err := s.client(&record)
	if err != nil {
		return models.Egress{}, err
	}
	entry, err := s.begin(ctx, actor, &record, "egress.updated", map[string]any{"layout": u.Layout, "add_urls": len(u.AddURLs), "remove_urls": len(u.RemovedURLs)})
	if err != nil {
		return models.Egress{}, err
	}
	defer entry.End(ctx, &err)
	var state livekit.EgressState
	if u.Layout != nil {
		state, err = client.UpdateEgressLayout(ctx, record.EgressID, *u.Layout)
	} else {
		state, err = client.UpdateEgressTargets(ctx, record.EgressID, u.AddURLs, u.RemovedURLs)
	}
	if models.IsKind(err, models.KindNotFound) {
		err = models.Conflict("egress_ended", "The egress is not running.").Because(err)
	}
	if err != nil {
		return models.Egress{}, err
	}
	record, err = s.change(ctx, record, func(r *models.Egress) (database.EgressChange, bool) {
		if u.Layout != nil {
			return database.EgressChange{Layout: u.Layout}, true
		}
		outputs := u.outputs(r)
		return database.EgressChange{Outputs: &outputs}, true
	})
	if err != nil {
		return models.Egress{}, err
	}
	return s.apply(ctx, record, &state)
}

// outputs gives the outputs of an egress after an update.
func (u *EgressUpdate) outputs(record *models.Egress) []models.EgressOutput {
	out := slices.Clone(record.Outputs)
	at := rtmpOf(record)
	if at < 0 {
		return out
	}
	urls := slices.Clone(out[at].URLs)
	for _, target := range u.RemovedURLs {
		if n := slices.Index(urls, livekit.RedactStreamURL(target.Reveal())); n >= 0 {
			urls = slices.Delete(urls, n, n+1)
		}
	}
	for _, target := range u.AddURLs {
		urls = append(urls, livekit.RedactStreamURL(target.Reveal()))
	}
	out[at].URLs = urls
	return out
}

// rtmpOf finds the output of the kind rtmp; -1 without one.
func rtmpOf(record *models.Egress) int {
	return slices.IndexFunc(record.Outputs, func(o models.EgressOutput) bool { return o.Kind == models.OutputRTMP })
}

// checkUpdate reports every field that is wrong.
func (s *Egresses) checkUpdate(ctx context.Context, record *models.Egress, u *EgressUpdate) error {
	var wrong fields.Errors
	targets, at := len(u.AddURLs)+len(u.RemovedURLs), rtmpOf(record)
	switch {
	case u.Layout == nil && targets == 0:
		wrong.Say("layout", "is required, unless add_urls or remove_urls is given")
	case u.Layout != nil && targets > 0:
		wrong.Say("layout", "must not be combined with add_urls and remove_urls")
	}
	if u.Layout != nil {
		if record.Type != models.EgressRoomComposite {
			wrong.Say("layout", "is not a field of the type "+string(record.Type))
		} else if !slices.Contains(livekit.Layouts(), *u.Layout) {
			wrong.OneOf("layout", *u.Layout+" ", livekit.Layouts()) // also an empty one
		}
	}
	for field, list := range map[string][]secret.Value{"add_urls": u.AddURLs, "remove_urls": u.RemovedURLs} {
		switch {
		case len(list) > MaxTargets:
			wrong.Say(field, fmt.Sprintf("must be at most %d items", MaxTargets))
		case len(list) > 0 && at < 0:
			wrong.Say(field, "needs an egress that was started with an output of the kind rtmp")
		}
	}
	if len(wrong) > 0 || targets == 0 {
		return wrong.Err()
	}
	s.judgeAll(ctx, "add_urls", u.AddURLs, &wrong)
	had := slices.Clone(record.Outputs[at].URLs)
	for i, target := range u.RemovedURLs {
		n := slices.Index(had, livekit.RedactStreamURL(target.Reveal()))
		if n < 0 {
			wrong.Say(fmt.Sprintf("remove_urls[%d]", i), "is not a target of this egress")
			continue
		}
		had = slices.Delete(had, n, n+1)
	}
	if len(had)+len(u.AddURLs) > MaxTargets {
		wrong.Say("add_urls", fmt.Sprintf("would make more than %d targets", MaxTargets))
	}
	return wrong.Err()
}
