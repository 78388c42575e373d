package tokens

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/evictions"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/times"
)

// evictedAtOnce bounds the sessions one revocation evicts; the events that say
// that others are there evict the rest.
const evictedAtOnce = 1000

// refreshedFor is how long a revocation outlasts the join of a participant it covers:
// six times the life of the tokens that LiveKit issues to those who joined
// (livekit-server, pkg/service/roommanager.go), since an eviction may be late.
const refreshedFor = time.Hour

// Revocations take tokens back: LiveKit would honour them until they end. What
// they say is in the database, under an id that follows from project, identity
// and room; memory holds a few bytes of each, so that minting asks the database
// only about identities that were revoked.
type Revocations struct {
	c     RevocationsConfig
	known *revokedIndex
}

// RevocationsConfig of NewRevocations. Every field except Log is required.
type RevocationsConfig struct {
	Store    *database.Revocations
	Projects *database.Projects
	Sessions *database.UsageSessions
	Quotas   *quotas.Limits
	// Evictions remove participants from the cluster.
	Evictions *evictions.Queue
	Cursors   *cursor.Codec
	Trail     *audit.Trail
	// Stored tells other replicas that there is something new to read.
	Stored func()
	Log    zerolog.Logger
	Now    func() time.Time
}

// NewRevocations builds the service. It fails if a required field is missing.
func NewRevocations(c RevocationsConfig) (*Revocations, error) {
	return &Revocations{c: c, known: newRevokedIndex(maxRevocationsKnown)}, required.Fields(c)
}

// RevokeInput revokes the tokens of an identity, for one room or all ("").
type RevokeInput struct {
	// Project is the one a person names; a key's caller may leave it empty.
	Project            models.ProjectID
	Identity, RoomName string
	// BanSeconds is how long new tokens are refused; 0 means not at all.
	BanSeconds int64
}

// Revoke takes back the tokens of an identity, has its participants evicted and
// refuses new tokens while the ban lasts. It waits for no cluster: evictions are
// retried until they are carried out. conflict too_many_revocations.
func (s *Revocations) Revoke(ctx context.Context, actor *models.Principal, in RevokeInput) (v models.Revocation, err error) {
	acting, err := inProject(ctx, s.c.Projects, s.c.Quotas, actor, models.ActionTokensRevoke, in.Project)
	if err != nil {
		return models.Revocation{}, err
	}
	if err := s.load(ctx); err != nil {
		return models.Revocation{}, err
	}
	project, now := acting.Project.ID, s.c.Now().UTC().Truncate(time.Millisecond)
	v = models.Revocation{
		ID: models.RevocationKey(project, in.RoomName, in.Identity), PublicID: models.RevocationID(ids.New(models.RevocationPrefix)),
		ProjectID: project, Identity: in.Identity, RoomName: in.RoomName, RevokedAt: now,
		BannedUntil: now.Add(time.Duration(in.BanSeconds) * time.Second),
	}
	v.ExpiresAt = times.Latest(v.BannedUntil, now.Add(models.MaxTokenTTLSeconds*time.Second))
	if s.known.of(project) >= models.MaxRevocations && !s.known.has(project, in.RoomName, in.Identity) {
		return models.Revocation{}, models.Conflict("too_many_revocations", "Too many revocations of this project are in force.")
	}
	before, err := s.before(ctx, v.ID)
	if err != nil {
		return models.Revocation{}, err
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: acting.Project.OrgID, ProjectID: acting.Project.ID, Action: "tokens.revoked", Type: "participant", ID: in.Identity, Before: before,
		After: map[string]any{"project_id": project, "room_name": in.RoomName, "banned_until": v.BannedUntil, "revocation_id": v.PublicID},
	})
	if err != nil {
		return models.Revocation{}, err
	}
	defer entry.End(ctx, &err)
	if err := s.c.Store.Put(ctx, &v); err != nil {
		return models.Revocation{}, err
	}
	s.known.add(&v)
	s.c.Stored()
	return v, errors.Join(s.evict(ctx, &v), s.c.Quotas.Slots().Release(ctx, project, in.Identity, in.RoomName))
}

// before gives the revocation that one with the same id overwrites: a process that died
// after storing it owes its event, and nothing else will tell that it was stored.
func (s *Revocations) before(ctx context.Context, id string) (map[string]any, error) {
	list, err := s.c.Store.Named(ctx, []string{id})
	if err != nil || len(list) == 0 || list[0].PublicID == "" {
		return nil, err
	}
	return map[string]any{"revocation_id": list[0].PublicID}, nil
}

// evict has the participants evicted that a revocation covers and that events
// have told of. Those whose join is not known yet are evicted when it is.
func (s *Revocations) evict(ctx context.Context, v *models.Revocation) error {
	open, err := s.c.Sessions.OpenOf(ctx, v.ProjectID, v.Identity, evictedAtOnce)
	if err != nil {
		return err
	}
	suffixed, err := s.c.Sessions.OpenOfSuffixed(ctx, v.ProjectID, v.Identity+"#", evictedAtOnce) // models.TokenIdentities
	if err != nil {
		return err
	}
	open = append(open, suffixed...)
	for i := range open {
		if v.RoomName != "" && open[i].RoomName != v.RoomName {
			continue
		}
		if err := s.c.Evictions.Add(ctx, models.EvictionOf(&open[i], models.EvictedByRevocation, s.c.Now())); err != nil {
			return err
		}
	}
	return nil
}

// List reads a page of the revocations of a project that are in force.
func (s *Revocations) List(ctx context.Context, actor *models.Principal, project models.ProjectID, p paging.Request) (paging.Page[models.Revocation], error) {
	acting, err := inProject(ctx, s.c.Projects, s.c.Quotas, actor, models.ActionTokensRevoke, project)
	if err != nil {
		return paging.Page[models.Revocation]{}, err
	}
	id := acting.Project.ID
	return paging.ByID(s.c.Cursors, actor, "revocations|"+string(id), p, func(at database.Page) ([]models.Revocation, error) {
		return s.c.Store.List(ctx, id, s.c.Now(), at)
	}, func(v models.Revocation) string { return string(v.PublicID) })
}

// Lift ends the ban of a revocation: new tokens are given again. Tokens from
// before it stay revoked.
func (s *Revocations) Lift(ctx context.Context, actor *models.Principal, project models.ProjectID, id models.RevocationID) (err error) {
	acting, err := inProject(ctx, s.c.Projects, s.c.Quotas, actor, models.ActionTokensRevoke, project)
	if err != nil {
		return err
	}
	v, err := s.c.Store.Get(ctx, acting.Project.ID, id, s.c.Now())
	if err != nil {
		return err
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: acting.Project.OrgID, Action: "tokens.ban_lifted", Type: "participant", ID: v.Identity,
		// If this process dies, another finds out by the id whether this revocation was lifted.
		Before: map[string]any{"project_id": v.ProjectID, "room_name": v.RoomName, "banned_until": v.BannedUntil, "revocation_id": v.PublicID},
	})
	if err != nil {
		return err
	}
	defer entry.End(ctx, &err)
	return s.c.Store.Lift(ctx, acting.Project.ID, id, s.c.Now())
}

// Refuse answers with forbidden participant_revoked while an identity is banned
// from a room.
func (s *Revocations) Refuse(ctx context.Context, p models.ProjectID, identity, room string) error {
	now := s.c.Now()
	v, err := s.find(ctx, p, identity, room, func(v *models.Revocation) bool { return v.Banned(now) })
	if err != nil || v == nil {
		return err
	}
	refused := models.Forbidden("participant_revoked", "This participant's tokens were revoked, and new ones are refused until the ban ends.")
	refused.RetryAfter = v.BannedUntil.Sub(now)
	return refused
}

// find gives a revocation that matches, of the identity or one whose token
// would let its bearer call itself so, in the room or all rooms; nil without
// one.
func (s *Revocations) find(ctx context.Context, p models.ProjectID, identity, room string, matches func(*models.Revocation) bool) (*models.Revocation, error) {
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	if s.known.empty() {
		return nil, nil
	}
	var suspects []string
	for name := range models.TokenIdentities(identity) {
		for _, where := range [...]string{room, ""} {
			if s.known.has(p, where, name) {
				suspects = append(suspects, models.RevocationKey(p, where, name))
			}
		}
	}
	if len(suspects) == 0 {
		return nil, nil
	}
	found, err := s.c.Store.Named(ctx, suspects)
	if err != nil {
		return nil, err
	}
	for i := range found {
		if found[i].ProjectID == p && matches(&found[i]) {
			return &found[i], nil
		}
	}
	return nil, nil
}

var _ metering.Consumer = (*Revocations)(nil)

// Consume evicts participants who joined with a revoked token. One that does not
// prove which token it joined with counts as having the oldest.
func (s *Revocations) Consume(ctx context.Context, b *metering.Batch) error {
	for i := range b.Changes {
		session := &b.Changes[i].Session
		if session.Subject != models.SubjectParticipant || !b.Changes[i].Announced || !session.Open {
			continue
		}
		v, err := s.find(ctx, session.ProjectID, session.Identity, session.RoomName,
			func(v *models.Revocation) bool { return v.Covers(session.JoinedAt, session.TokenIssuedAt) })
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		if err := s.c.Evictions.Add(ctx, models.EvictionOf(session, models.EvictedByRevocation, s.c.Now())); err != nil {
			return err
		}
		if err := s.outlast(ctx, v, session); err != nil {
			return err
		}
	}
	return nil
}

// outlast keeps a revocation in force until the tokens have ended that LiveKit may
// have given a participant it covers: with each join LiveKit issues another one, for
// ten minutes, that says what the revoked one said.
func (s *Revocations) outlast(ctx context.Context, v *models.Revocation, session *models.UsageSession) error {
	now := s.c.Now().UTC().Truncate(time.Millisecond)
	joined := times.Latest(session.JoinedAt, now)
	if v.ExpiresAt.Sub(joined) > refreshedFor/2 {
		return nil
	}
	extended := *v
	extended.ExpiresAt = joined.Add(refreshedFor)
	if err := s.c.Store.Extend(ctx, v, now, extended.ExpiresAt); err != nil {
		return err
	}
	s.known.add(&extended)
	s.c.Stored()
	return nil
}
