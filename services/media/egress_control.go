package media

import (
	"context"
	"fmt"
	"slices"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/utils/secret"
)

// owned finds an egress that a caller may change, and begins its audit entry.
func (s *Egresses) owned(ctx context.Context, actor *models.Principal, named models.ProjectID, id string) (models.Egress, *livekit.Client, error) {
	project, err := lookup.Project(ctx, s.c.Projects, actor, models.ActionEgressWrite, named)
	if err != nil {
		return models.Egress{}, nil, err
	}
	record, err := s.c.Store.Get(ctx, project.ID, id)
	if err != nil {
		return models.Egress{}, nil, err
	}
	client, err := s.client(&record)
	return record, client, err
}

func (s *Egresses) begin(ctx context.Context, actor *models.Principal, record *models.Egress, action string, after map[string]any) (*audit.Entry, error) {
	return s.c.Trail.Begin(ctx, actor, audit.Event{OrgID: record.OrgID, Action: action, Type: "egress", ID: record.PublicID(), After: after})
}

// Stop ends an egress. One that is not active yet is stopped as soon as it is: the
// call waits for that, and if it takes too long the worker stops it. One that has
// ended stays as it is.
func (s *Egresses) Stop(ctx context.Context, actor *models.Principal, named models.ProjectID, id string) (record models.Egress, err error) {
	record, client, err := s.owned(ctx, actor, named, id)
	if err != nil || !record.Open {
		return record, err
	}
	entry, err := s.begin(ctx, actor, &record, "egress.stopped", map[string]any{"project_id": record.ProjectID})
	if err != nil {
		return models.Egress{}, err
	}
	defer entry.End(ctx, &err)
	asked := true
	if record, err = s.c.Store.Update(ctx, record.ProjectID, record.ID, nil, database.EgressChange{StopAsked: &asked}, s.now()); err != nil {
		return models.Egress{}, err
	}
	waiting, cancel := context.WithTimeout(ctx, stopWait)
	defer cancel()
	for {
		stopped, err := s.stop(ctx, client, record)
		if err != nil || stopped.Status != models.EgressStarting {
			return stopped, err
		}
		select {
		case <-waiting.Done():
			return stopped, nil // the worker stops it
		case <-time.After(stopRetry):
		}
		if record, err = s.c.Store.Get(ctx, record.ProjectID, string(record.ID)); err != nil || !record.Open {
			return record, err
		}
	}
}

// stop asks LiveKit for the end of an egress. One that cannot be stopped yet stays
// as it is; one that has ended gets its final state.
func (s *Egresses) stop(ctx context.Context, client *livekit.Client, record models.Egress) (models.Egress, error) {
	if record.EgressID == "" {
		return record, nil
	}
	state, err := client.StopSent(ctx, record.EgressID)
	if models.IsKind(err, models.KindConflict) || models.IsKind(err, models.KindNotFound) {
		if state, err = client.GetEgress(ctx, record.EgressID); models.IsKind(err, models.KindNotFound) {
			return s.lost(ctx, record)
		}
	}
	if err != nil {
		return models.Egress{}, err
	}
	return s.apply(ctx, record, &state)
}

// EgressUpdate changes a running egress: its layout, or the targets of rtmp.
type EgressUpdate struct {
	Layout         *string
	AddTargets     []secret.Value
	RemovedTargets []secret.Value
}

// Update changes a running egress. conflict egress_ended if it has ended; invalid
// for a layout of what is not a room_composite, for targets of an egress without
// rtmp, or too many.
func (s *Egresses) Update(ctx context.Context, actor *models.Principal, named models.ProjectID, id string, u EgressUpdate) (record models.Egress, err error) {
	record, client, err := s.owned(ctx, actor, named, id)
	if err != nil {
		return models.Egress{}, err
	}
	outputs, err := s.checkUpdate(ctx, &record, u)
	if err != nil {
		return models.Egress{}, err
	}
	if !record.Open || record.EgressID == "" {
		return models.Egress{}, models.Conflict("egress_ended", "The egress is not running.")
	}
	entry, err := s.begin(ctx, actor, &record, "egress.updated", map[string]any{"project_id": record.ProjectID, "layout": u.Layout,
		"add_urls": len(u.AddTargets), "remove_urls": len(u.RemovedTargets)})
	if err != nil {
		return models.Egress{}, err
	}
	defer entry.End(ctx, &err)
	var state livekit.EgressState
	var change database.EgressChange
	if u.Layout != nil {
		if state, err = client.UpdateEgressLayout(ctx, record.EgressID, *u.Layout); err != nil {
			return models.Egress{}, gone(err)
		}
		change.Layout = u.Layout
	}
	if len(u.AddTargets)+len(u.RemovedTargets) > 0 {
		if state, err = client.UpdateEgressTargets(ctx, record.EgressID, u.AddTargets, u.RemovedTargets); err != nil {
			return models.Egress{}, gone(err)
		}
		change.Outputs = &outputs
	}
	if record, err = s.c.Store.Update(ctx, record.ProjectID, record.ID, nil, change, s.now()); err != nil {
		return models.Egress{}, err
	}
	return s.apply(ctx, record, &state)
}

// gone turns LiveKit's not_found of an egress Pulse knows into a conflict.
func gone(err error) error {
	if models.IsKind(err, models.KindNotFound) {
		return models.Conflict("egress_ended", "The egress is not running.").Because(err)
	}
	return err
}

// checkUpdate gives the outputs of an egress after an update.
func (s *Egresses) checkUpdate(ctx context.Context, record *models.Egress, u EgressUpdate) ([]models.EgressOutput, error) {
	var wrong []models.FieldError
	say := func(field, message string) {
		wrong = append(wrong, models.FieldError{Location: field, Message: message})
	}
	if u.Layout == nil && len(u.AddTargets)+len(u.RemovedTargets) == 0 {
		say("layout", "or add_urls or remove_urls is required")
	}
	if u.Layout != nil && record.Type != models.EgressRoomComposite {
		say("layout", "is not a field of the type "+string(record.Type))
	}
	outputs := slices.Clone(record.Outputs)
	at := slices.IndexFunc(outputs, func(o models.EgressOutput) bool { return o.Kind == models.OutputRTMP })
	for i, target := range u.AddTargets {
		if err := s.c.Targets.CheckURL(ctx, target.Reveal()); err != nil {
			say(fmt.Sprintf("add_urls[%d]", i), refusedURL(err))
		}
	}
	switch {
	case at >= 0:
		urls := slices.Clone(outputs[at].URLs)
		for _, target := range u.RemovedTargets {
			if n := slices.Index(urls, livekit.RedactStreamURL(target.Reveal())); n >= 0 {
				urls = slices.Delete(urls, n, n+1)
			}
		}
		for _, target := range u.AddTargets {
			urls = append(urls, livekit.RedactStreamURL(target.Reveal()))
		}
		if len(urls) > MaxTargets {
			say("add_urls", fmt.Sprintf("an egress has at most %d targets", MaxTargets))
		}
		outputs[at].URLs = urls
	case len(u.AddTargets)+len(u.RemovedTargets) > 0:
		say("add_urls", "and remove_urls need an egress that was started with an output of the kind rtmp")
	}
	if len(wrong) > 0 {
		return nil, models.Invalid(wrong...)
	}
	return outputs, nil
}
