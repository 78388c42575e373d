package tokens

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/evictions"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/times"
)

const (
	// revocationsOverlap is how far back one looks: clocks of replicas differ.
	revocationsOverlap = 10 * time.Second
	// revocationsRead is how many are read at a time.
	revocationsRead = 10_000
	// removedAtOnce bounds the rooms one revocation removes somebody from now;
	// the rest are left by the events that say they are there.
	removedAtOnce = 100
)

// Revocations take tokens back: LiveKit would honour them until they end. All
// that are in force are in memory, so that minting asks no database.
type Revocations struct {
	c RevocationsConfig

	inForce sync.Map // revoked → *models.Revocation
	count   atomic.Int64
	// loading is held by the one who reads the store; read is the time up to
	// which that was done.
	loading sync.Mutex
	read    time.Time
	loaded  atomic.Bool
}

type revoked struct {
	project        models.ProjectID
	identity, room string
}

// RevocationsConfig of NewRevocations; every field but Log is required.
type RevocationsConfig struct {
	Store    *database.Revocations
	Sessions *database.UsageSessions
	// Slots reserved for a revoked identity are given back.
	Slots     *quotas.Slots
	Evictions *evictions.Queue
	Cluster   evictions.Cluster
	Trail     *audit.Trail
	Log       zerolog.Logger
	Now       func() time.Time
}

// NewRevocations builds the service. It fails if a required field is missing.
func NewRevocations(c RevocationsConfig) (*Revocations, error) {
	return &Revocations{c: c}, required.Fields(c)
}

// RevokeInput takes back the tokens of an identity, for one room or all ("").
type RevokeInput struct {
	Identity, RoomName string
	// BanSeconds is how long new tokens are refused; 0 is not at all.
	BanSeconds int64
}

// Revoke takes back the tokens of somebody, removes them from the rooms they
// are in and refuses new tokens while the ban lasts. unavailable if LiveKit
// could not be asked to remove them; the tokens are taken back nevertheless,
// and the same request may be made again.
func (s *Revocations) Revoke(ctx context.Context, actor *models.Principal, in RevokeInput) (v models.Revocation, err error) {
	if err := actor.May(models.ActionTokensRevoke); err != nil {
		return models.Revocation{}, err
	}
	now := s.c.Now().UTC().Truncate(time.Millisecond)
	v = models.Revocation{
		ID:        string(actor.Project.ID) + "/" + in.RoomName + "/" + in.Identity, // no room's name has a slash
		ProjectID: actor.Project.ID, Identity: in.Identity, RoomName: in.RoomName, RevokedAt: now,
		BannedUntil: now.Add(time.Duration(in.BanSeconds) * time.Second),
	}
	v.ExpiresAt = times.Latest(v.BannedUntil, now.Add(models.MaxTokenTTLSeconds*time.Second))
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: actor.OrgID, Action: "tokens.revoked", Type: "participant", ID: in.Identity,
		After: map[string]any{"project_id": v.ProjectID, "room_name": in.RoomName, "banned_until": v.BannedUntil},
	})
	if err != nil {
		return models.Revocation{}, err
	}
	defer entry.End(ctx, &err)
	if err := s.c.Store.Put(ctx, &v); err != nil {
		return models.Revocation{}, err
	}
	s.remember(&v)
	return v, errors.Join(s.removeNow(ctx, actor.Project.ID, in), s.c.Slots.Release(ctx, actor.Project.ID, in.Identity, in.RoomName))
}

// removeNow ends the stays of somebody, in one room or all they are in as far
// as events have told. Those the cluster does not end now it ends later.
func (s *Revocations) removeNow(ctx context.Context, p models.ProjectID, in RevokeInput) error {
	open, err := s.c.Sessions.OpenOf(ctx, p, in.Identity, removedAtOnce)
	if err != nil {
		return err
	}
	stays := map[string][]models.UsageSession{}
	if in.RoomName != "" {
		stays[in.RoomName] = nil // they may have joined just now
	}
	for i := range open {
		if room := open[i].RoomName; in.RoomName == "" || room == in.RoomName {
			stays[room] = append(stays[room], open[i])
		}
	}
	var group errgroup.Group // one room that fails keeps them in no other
	group.SetLimit(evictions.AtOnce)
	for room, of := range stays {
		group.Go(func() error {
			failed := s.c.Cluster.RemoveParticipant(ctx, models.QualifyRoom(p, room), in.Identity)
			for i := range of {
				if failed == nil {
					break
				}
				if err := s.c.Evictions.Add(ctx, models.EvictionOf(&of[i], models.EvictedByRevocation, s.c.Now())); err != nil {
					return err
				}
			}
			return failed
		})
	}
	group.Go(func() error { return s.evictSuffixed(ctx, p, in) })
	return group.Wait()
}

// evictSuffixed evicts those who joined with a token of an identity under that
// identity and a suffix (models.IssuedIdentities).
func (s *Revocations) evictSuffixed(ctx context.Context, p models.ProjectID, in RevokeInput) error {
	open, err := s.c.Sessions.OpenOfSuffixed(ctx, p, in.Identity+"#", removedAtOnce)
	if err != nil {
		return err
	}
	for i := range open {
		session := &open[i]
		if in.RoomName != "" && session.RoomName != in.RoomName || session.TokenID != "" && session.IssuedFor() != in.Identity {
			continue
		}
		if err := s.c.Evictions.Add(ctx, models.EvictionOf(session, models.EvictedByRevocation, s.c.Now())); err != nil {
			return err
		}
	}
	return nil
}

// Refuse answers with forbidden participant_revoked while somebody is banned
// from a room. It looks into memory only, once everything is there.
func (s *Revocations) Refuse(ctx context.Context, p models.ProjectID, identity, room string) error {
	if !s.loaded.Load() {
		if err := s.load(ctx); err != nil {
			return err
		}
	}
	if s.count.Load() == 0 {
		return nil
	}
	now := s.c.Now()
	if v := s.find(p, identity, room, func(v *models.Revocation) bool { return v.Banned(now) }); v != nil {
		refused := models.Forbidden("participant_revoked", "This participant's tokens were revoked; new ones may be had later.")
		refused.RetryAfter = v.BannedUntil.Sub(now)
		return refused
	}
	return nil
}

// find looks for a revocation of a room or of all rooms.
func (s *Revocations) find(p models.ProjectID, identity, room string, matches func(*models.Revocation) bool) *models.Revocation {
	for _, key := range [...]revoked{{p, identity, room}, {p, identity, ""}} {
		if v, ok := s.inForce.Load(key); ok && matches(v.(*models.Revocation)) {
			return v.(*models.Revocation)
		}
	}
	return nil
}

func (s *Revocations) remember(v *models.Revocation) {
	key := revoked{v.ProjectID, v.Identity, v.RoomName}
	for {
		old, known := s.inForce.LoadOrStore(key, v)
		if !known {
			s.count.Add(1)
			return
		}
		if !v.RevokedAt.After(old.(*models.Revocation).RevokedAt) || s.inForce.CompareAndSwap(key, old, v) {
			return
		}
	}
}

// Refresh brings the memory up to date with what other processes revoked, and
// drops what has expired.
func (s *Revocations) Refresh(ctx context.Context) error {
	defer s.forget(s.c.Now())
	return s.load(ctx)
}

// load reads what was revoked since it was read last.
func (s *Revocations) load(ctx context.Context) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	from := s.read.Add(-revocationsOverlap)
	for {
		list, err := s.c.Store.Since(ctx, from, revocationsRead)
		if err != nil {
			return err
		}
		for i := range list {
			s.remember(&list[i])
			s.read = times.Latest(s.read, list[i].RevokedAt)
		}
		if len(list) < revocationsRead || !list[len(list)-1].RevokedAt.After(from) {
			break
		}
		from = list[len(list)-1].RevokedAt
	}
	s.loaded.Store(true)
	return nil
}

// forget lets go of what has expired.
func (s *Revocations) forget(now time.Time) {
	s.inForce.Range(func(key, value any) bool {
		if !now.Before(value.(*models.Revocation).ExpiresAt) && s.inForce.CompareAndDelete(key, value) {
			s.count.Add(-1)
		}
		return true
	})
}

var _ metering.Consumer = (*Revocations)(nil)

// Consume evicts participants who joined with a token that was revoked.
func (s *Revocations) Consume(ctx context.Context, b *metering.Batch) error {
	if !s.loaded.Load() {
		if err := s.load(ctx); err != nil {
			return err
		}
	}
	if s.count.Load() == 0 {
		return nil
	}
	for i := range b.Changes {
		session := &b.Changes[i].Session
		if session.Subject != models.SubjectParticipant || !b.Changes[i].Announced || !session.Open || !s.covers(session) {
			continue
		}
		if err := s.c.Evictions.Add(ctx, models.EvictionOf(session, models.EvictedByRevocation, s.c.Now())); err != nil {
			return err
		}
	}
	return nil
}

// covers tells whether a participant has to leave. One that does not prove which
// token it joined with counts as having the oldest, issued for any identity that
// could have become its own.
func (s *Revocations) covers(session *models.UsageSession) bool {
	for identity := range models.IssuedIdentities(session.Identity) {
		if session.TokenID != "" {
			identity = session.IssuedFor()
		}
		if s.find(session.ProjectID, identity, session.RoomName, func(v *models.Revocation) bool { return v.Covers(session.JoinedAt, session.TokenIssuedAt) }) != nil {
			return true
		}
		if session.TokenID != "" {
			return false
		}
	}
	return false
}
