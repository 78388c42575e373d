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
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/times"
)

const (
	// revocationsOverlap is how far a read goes back: replicas' clocks differ.
	revocationsOverlap = 10 * time.Second
	// revocationsRead is how many revocations one read returns.
	revocationsRead = 10_000
	// evictedNow bounds the sessions that one revocation ends at once; events
	// that mention the rest evict them.
	evictedNow = 100
)

// Revocations revokes tokens, which LiveKit itself accepts until they expire. All
// revocations in force are in memory, so that minting reads no database.
type Revocations struct {
	c RevocationsConfig

	inForce sync.Map // revoked → *models.Revocation
	count   atomic.Int64
	// loading serializes reads of the store; read is the time up to which it was
	// read.
	loading sync.Mutex
	read    time.Time
	loaded  atomic.Bool
}

type revoked struct {
	project        models.ProjectID
	identity, room string
}

// RevocationsConfig of NewRevocations. Every field except Log is required.
type RevocationsConfig struct {
	Store    *database.Revocations
	Sessions *database.UsageSessions
	// Slots reserved for a revoked identity are released.
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

// RevokeInput revokes the tokens of an identity, for one room or all ("").
type RevokeInput struct {
	Identity, RoomName string
	// BanSeconds is how long new tokens are refused; 0 means not at all.
	BanSeconds int64
}

// Revoke revokes the tokens of an identity, evicts the participant from its rooms
// and refuses new tokens until the ban ends. unavailable if LiveKit did not answer;
// the tokens are revoked all the same, and the request can be repeated.
func (s *Revocations) Revoke(ctx context.Context, actor *models.Principal, in RevokeInput) (v models.Revocation, err error) {
	if err := actor.May(models.ActionTokensRevoke); err != nil {
		return models.Revocation{}, err
	}
	now := s.c.Now().UTC().Truncate(time.Millisecond)
	v = models.Revocation{
		ID:        string(actor.Project.ID) + "/" + in.RoomName + "/" + in.Identity, // a room name has no slash
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
	return v, errors.Join(s.evictNow(ctx, actor.Project.ID, in), s.c.Slots.Release(ctx, actor.Project.ID, in.Identity, in.RoomName))
}

// evictNow evicts a participant from one room, or from every room that events have
// mentioned. What the cluster does not do now becomes an eviction.
func (s *Revocations) evictNow(ctx context.Context, p models.ProjectID, in RevokeInput) error {
	open, err := s.c.Sessions.OpenOf(ctx, p, in.Identity, evictedNow)
	if err != nil {
		return err
	}
	byRoom := map[string][]models.UsageSession{}
	if in.RoomName != "" {
		byRoom[in.RoomName] = nil // the join event may not have arrived yet
	}
	for i := range open {
		if room := open[i].RoomName; in.RoomName == "" || room == in.RoomName {
			byRoom[room] = append(byRoom[room], open[i])
		}
	}
	var group errgroup.Group // without a context: a failed room must not cancel others
	group.SetLimit(evictions.AtOnce)
	for room, of := range byRoom {
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
	return group.Wait()
}

// Refuse returns forbidden participant_revoked while an identity is banned from a
// room. It reads memory only, after the first load.
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
		refused := models.Forbidden("participant_revoked", "This participant's tokens were revoked, and new ones are refused until the ban ends.")
		refused.RetryAfter = v.BannedUntil.Sub(now)
		return refused
	}
	return nil
}

// find returns a matching revocation of a room or of all rooms.
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

// Refresh reads what other processes revoked and drops expired revocations.
func (s *Revocations) Refresh(ctx context.Context) error {
	defer s.forget(s.c.Now())
	return s.load(ctx)
}

// load reads the revocations since the last read.
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

// forget drops expired revocations.
func (s *Revocations) forget(now time.Time) {
	s.inForce.Range(func(key, value any) bool {
		if !now.Before(value.(*models.Revocation).ExpiresAt) && s.inForce.CompareAndDelete(key, value) {
			s.count.Add(-1)
		}
		return true
	})
}

var _ metering.Consumer = (*Revocations)(nil)

// Consume evicts participants who joined with a revoked token. It runs after the
// Recorder, which knows whether their sessions are still open.
func (s *Revocations) Consume(ctx context.Context, events []models.LiveKitEvent) error {
	if !s.loaded.Load() {
		if err := s.load(ctx); err != nil {
			return err
		}
	}
	if s.count.Load() == 0 {
		return nil
	}
	for i := range events {
		e := &events[i]
		p := e.Participant
		if e.ProjectID == "" || p == nil || p.JoinedAt.IsZero() ||
			e.Event != models.EventParticipantJoined && e.Event != models.EventFoundPresent {
			continue
		}
		issued, _ := ids.Time(string(p.TokenID))
		if s.find(e.ProjectID, p.Identity, e.RoomName, func(v *models.Revocation) bool { return v.Covers(p.JoinedAt, issued) }) == nil {
			continue
		}
		session, err := s.c.Sessions.Get(ctx, e.ProjectID, p.SID)
		if err != nil && !models.IsKind(err, models.KindNotFound) {
			return err
		}
		if err != nil || !session.Open {
			continue // the participant has left
		}
		if err := s.c.Evictions.Add(ctx, models.EvictionOf(&session, models.EvictedByRevocation, s.c.Now())); err != nil {
			return err
		}
	}
	return nil
}
