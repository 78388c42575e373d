package quotas

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

const (
	// sheetsKept is how many quotas' places are remembered.
	sheetsKept = 10_000
	// sheetFor is how long what is remembered is believed where this process
	// is alone with the database, sharedSheetFor where others take places too:
	// then it is read anew, and what a crash left behind is put right.
	sheetFor       = time.Minute
	sharedSheetFor = 10 * time.Second
	// fullFor is the least time a quota stays full in memory where other
	// processes give places back too; fullRest times as long as reading takes
	// is the other bound, so that refusing does not become reading.
	fullFor  = 250 * time.Millisecond
	fullRest = 4
	// placesRead bounds the places, and what is there, of one quota.
	placesRead = 2_000_000
	// placeTries bounds how often a place is looked for that somebody else
	// takes first.
	placeTries = 50
	// placesReleased is how many reservations a revocation reads at a time.
	placesReleased = 1000
	// clusterLag is how much earlier than here the cluster's clock may say that
	// somebody joined.
	clusterLag = 5 * time.Second
)

// Slots lets as many in as a quota has places. A place is a document named by
// its number, so the database refuses the one who comes too late, whichever
// replica let them ask; memory only knows which number to try.
type Slots struct {
	store *database.Places
	// exact tells that no other process takes places.
	exact  bool
	now    func() time.Time
	sheets *lru.Cache[sheetKey, *sheet]
	mu     sync.Mutex
}

// claim says who wants a place of what.
type claim struct {
	owner  string
	quota  models.Quota
	limit  int64
	holder string
	// identity is of the participant it is reserved for.
	identity string
	// joined is when the holder's session began; zero for one that has not.
	joined time.Time
	// present gives the sessions that are there, by holder.
	present func(context.Context) (map[string]attendee, error)
	// reread asks the database in any case, for what is claimed seldom.
	reread bool
	// asked is when the place was asked for.
	asked time.Time
}

// NewSlots remembers the places in a repository; exact tells that no other
// process changes it.
func NewSlots(store *database.Places, exact bool, now func() time.Time) (*Slots, error) {
	sheets, err := lru.New[sheetKey, *sheet](sheetsKept)
	if err != nil {
		return nil, err
	}
	return &Slots{store: store, exact: exact, now: now, sheets: sheets}, nil
}

// errFull is why a place is not to be had; how many are taken stands beside it.
var errFull = errors.New("every place is taken")

// Reserve holds a place for a claim's holder until a time, or until they take
// it. made tells that it was not theirs before. used is how many are taken or
// reserved, theirs included. errFull if every place is.
func (p *Slots) Reserve(ctx context.Context, c claim, until time.Time) (made bool, used occupancy, err error) {
	used, err = p.attempt(ctx, c, func(sh *sheet, c claim, now time.Time) (done bool, err error) {
		if held := sh.byHolder[c.holder]; held != nil {
			shared := held.Session == "" && held.Identity != "" && held.Identity != c.identity
			if p.exact && (held.Session != "" || !until.After(held.ExpiresAt) && !shared && now.Sub(held.ReservedAt) < clusterLag) {
				return true, nil
			}
			if still, err := p.extend(ctx, sh, c, now, until, shared); still || err != nil {
				return still, err
			}
		}
		if sh.there(c.holder) {
			return true, nil
		}
		made, err = p.take(ctx, sh, c, models.Place{Identity: c.identity, ReservedAt: now, ExpiresAt: until}, now)
		return made, err
	})
	return made, used, err
}

// Open answers nil if the claim's holder has a place or could have one, or
// errFull; it takes none.
func (p *Slots) Open(ctx context.Context, c claim) (used occupancy, err error) {
	return p.attempt(ctx, c, func(sh *sheet, c claim, now time.Time) (done bool, err error) {
		if sh.has(c.holder) {
			return true, nil
		}
		full, err := p.full(ctx, sh, c, now)
		if full && err == nil && !sh.has(c.holder) {
			err = errFull
		}
		return true, err
	})
}

// Count tells how many places are used, as the database says.
func (p *Slots) Count(ctx context.Context, c claim) (used occupancy, err error) {
	c.reread = true
	return p.attempt(ctx, c, func(*sheet, claim, time.Time) (bool, error) { return true, nil })
}

// Occupy gives a session the place its holder reserved, or one that is free.
// errFull if there is none.
func (p *Slots) Occupy(ctx context.Context, c claim, session string) (used occupancy, err error) {
	return p.attempt(ctx, c, func(sh *sheet, c claim, now time.Time) (done bool, err error) {
		held := sh.byHolder[c.holder]
		if held != nil && held.Session != "" && (held.Session == session || held.JoinedAt.After(c.joined)) {
			return true, nil // or somebody's who came back since
		}
		if held != nil || !p.exact {
			place, err := p.store.Occupy(ctx, c.owner, c.quota, c.holder, session, c.joined)
			if err == nil {
				sh.remember(&place)
				delete(sh.unplaced, c.holder)
				return true, nil
			}
			if !models.IsKind(err, models.KindNotFound) {
				return false, err
			}
			sh.forget(c.holder)
		}
		delete(sh.unplaced, c.holder) // they do not stand in their own way
		taken, err := p.take(ctx, sh, c, models.Place{Session: session, JoinedAt: c.joined}, now)
		if errors.Is(err, errFull) {
			sh.unplaced[c.holder] = attendee{session, c.joined}
		}
		return taken, err
	})
}

// attempt tries with what is known of a claim's quota until it is done, and
// gives how many places are used then.
func (p *Slots) attempt(ctx context.Context, c claim, try func(*sheet, claim, time.Time) (done bool, err error)) (used occupancy, err error) {
	c.asked = p.now() // before the wait: one reading answers all who wait
	sh := p.sheet(c.owner, c.quota)
	if err := sh.lock(ctx); err != nil {
		return occupancy{}, err
	}
	defer sh.unlock()
	for n := range placeTries {
		now := p.now()
		if err := p.refresh(ctx, sh, c, now, n == 0 && c.reread); err != nil {
			return occupancy{}, err
		}
		if done, err := try(sh, c, now); done || err != nil {
			return sh.occupancy(), err
		}
	}
	return occupancy{}, models.Unavailable(errors.New("places: others were first every time"))
}

// Vacate gives back the place of a session that ended. If it ended before it
// was heard of that it began, its place is reserved still; joined is when it
// began, zero if it never did: what was reserved after that is for another
// token.
func (p *Slots) Vacate(ctx context.Context, c claim, session string, joined time.Time) error {
	sh := p.sheet(c.owner, c.quota)
	if err := sh.lock(ctx); err != nil {
		return err
	}
	defer sh.unlock()
	if sh.unplaced[c.holder].session == session {
		delete(sh.unplaced, c.holder)
	}
	held, passed := sh.byHolder[c.holder], joined.Add(clusterLag)
	theirs := held != nil && held.Session == session
	unheard := held != nil && held.Session == "" && !joined.IsZero() && !held.ReservedAt.After(passed)
	known := p.exact && !sh.readAt.IsZero()
	if theirs || !known {
		if err := p.store.Vacate(ctx, c.owner, c.quota, c.holder, session); err != nil {
			return err
		}
	}
	if unheard || !known && !joined.IsZero() {
		if err := p.store.Pass(ctx, c.owner, c.quota, c.holder, passed); err != nil {
			return err
		}
	}
	if theirs || unheard {
		sh.forget(c.holder)
	}
	return nil
}

// Drop gives a reservation back, if it is for that identity alone ("" for
// whomever).
func (p *Slots) Drop(ctx context.Context, owner string, q models.Quota, holder, identity string) error {
	sh := p.sheet(owner, q)
	if err := sh.lock(ctx); err != nil {
		return err
	}
	defer sh.unlock()
	if err := p.store.DropReserved(ctx, owner, q, holder, identity); err != nil {
		return err
	}
	if held := sh.byHolder[holder]; held != nil && held.Session == "" && (identity == "" || held.Identity == identity) {
		sh.forget(holder)
	}
	return nil
}

// Release gives back what is reserved for an identity of a project alone, in
// one room or ("") all.
func (p *Slots) Release(ctx context.Context, project models.ProjectID, identity, room string) error {
	owner := string(project)
	if room != "" {
		return errors.Join(p.Drop(ctx, owner, models.QuotaConcurrentParticipants, participantHolder(room, identity), identity),
			p.Drop(ctx, owner, models.QuotaRooms, room, identity))
	}
	for {
		reserved, err := p.store.ReservedOf(ctx, owner, identity, placesReleased)
		if err != nil {
			return err
		}
		for i := range reserved {
			if err := p.Drop(ctx, owner, reserved[i].Quota, reserved[i].Holder, identity); err != nil {
				return err
			}
		}
		if len(reserved) < placesReleased {
			return nil
		}
	}
}

// RoomEnded makes the places of a room's participants be read anew, if
// somebody in it has one still.
func (p *Slots) RoomEnded(ctx context.Context, project models.ProjectID, room string) error {
	sh := p.sheet(string(project), models.QuotaConcurrentParticipants)
	if err := sh.lock(ctx); err != nil {
		return err
	}
	defer sh.unlock()
	inRoom := participantHolder(room, "")
	for holder, place := range sh.byHolder {
		if place.Session != "" && strings.HasPrefix(holder, inRoom) {
			sh.readAt = time.Time{}
			return nil
		}
	}
	for holder := range sh.unplaced {
		if strings.HasPrefix(holder, inRoom) {
			sh.readAt = time.Time{}
			return nil
		}
	}
	return nil
}

// participantHolder names a participant among a project's: no room's name has
// a slash, and an identity is in a room once.
func participantHolder(room, identity string) string { return room + "/" + identity }

// extend makes a holder's reservation last longer; still tells that they have
// a place.
func (p *Slots) extend(ctx context.Context, sh *sheet, c claim, now, until time.Time, shared bool) (still bool, err error) {
	place, err := p.store.Extend(ctx, c.owner, c.quota, c.holder, now, until, shared)
	if models.IsKind(err, models.KindNotFound) {
		place, err = p.store.Held(ctx, c.owner, c.quota, c.holder)
	}
	switch {
	case models.IsKind(err, models.KindNotFound):
		sh.forget(c.holder)
		return false, nil
	case err != nil:
		return false, err
	case !place.Live(now):
		sh.forget(c.holder)
		return false, nil
	}
	sh.remember(&place)
	return true, nil
}

// full tells whether every place is taken. Where that may have changed it is
// read anew.
func (p *Slots) full(ctx context.Context, sh *sheet, c claim, now time.Time) (bool, error) {
	if sh.ahead(c) < c.limit {
		return false, nil
	}
	if p.exact || !sh.readAt.Before(c.asked) || now.Sub(sh.readEnd) < max(fullFor, fullRest*sh.readEnd.Sub(sh.readAt)) {
		return true, nil
	}
	err := p.load(ctx, sh, c, now)
	return sh.ahead(c) >= c.limit, err
}

// take tries one free number. It was not taken, without an error, if somebody
// else was first: then the sheet knows more than before.
func (p *Slots) take(ctx context.Context, sh *sheet, c claim, place models.Place, now time.Time) (taken bool, err error) {
	full, err := p.full(ctx, sh, c, now)
	switch {
	case err != nil:
		return false, err
	case sh.has(c.holder):
		return false, nil // as the reading found out
	case full:
		return false, errFull
	}
	number := sh.free(c.limit, !p.exact)
	place.ID, place.Owner, place.Quota = models.PlaceID(c.owner, c.quota, number), c.owner, c.quota
	place.Number, place.Holder = number, c.holder
	err = p.store.Take(ctx, &place)
	if err == nil {
		sh.remember(&place)
		return true, nil
	}
	if !models.IsKind(err, models.KindConflict) {
		return false, err
	}
	// Either the holder has a place or the number has a holder.
	return false, errors.Join(
		p.learn(ctx, sh, now, func() (models.Place, error) { return p.store.Held(ctx, c.owner, c.quota, c.holder) }),
		p.learn(ctx, sh, now, func() (models.Place, error) { return p.store.Numbered(ctx, place.ID) }))
}

// learn remembers a place that was met, unless it has gone or ended.
func (p *Slots) learn(ctx context.Context, sh *sheet, now time.Time, met func() (models.Place, error)) error {
	place, err := met()
	switch {
	case models.IsKind(err, models.KindNotFound):
		return nil
	case err != nil:
		return err
	case !place.Live(now):
		return p.store.DropExpired(ctx, place.ID, now)
	}
	sh.remember(&place)
	return nil
}
