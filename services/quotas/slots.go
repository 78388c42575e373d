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
	// sheetsKept is how many quotas' slots are cached.
	sheetsKept = 10_000
	// sheetFor is how long a cached sheet is valid if only this process uses the
	// database, sharedSheetFor if others take slots too. Rereading it also repairs
	// what a crash left.
	sheetFor       = time.Minute
	sharedSheetFor = 10 * time.Second
	// A quota that other processes release slots of counts as full, without
	// rereading, for fullFor and at least fullRest times the duration of a read,
	// so that refusals do not cost a read each.
	fullFor  = 250 * time.Millisecond
	fullRest = 4
	// slotsRead bounds the slots and open sessions of one quota.
	slotsRead = 2_000_000
	// slotTries bounds the attempts to take a slot that another process takes
	// first.
	slotTries = 50
	// slotsReleased is how many reservations a revocation reads at a time.
	slotsReleased = 1000
	// clusterLag is how far the cluster's clock may be behind this one's.
	clusterLag = 5 * time.Second
)

// Slots admits as many holders as a quota has slots. A slot is a document whose id
// contains its number, so the database refuses a second holder, whichever replica
// asks; memory only knows which number to try.
type Slots struct {
	store *database.Slots
	// exact is true if no other process takes slots.
	exact  bool
	now    func() time.Time
	sheets *lru.Cache[sheetKey, *sheet]
	mu     sync.Mutex
}

// claim names a quota and the holder that wants a slot of it.
type claim struct {
	owner  string
	quota  models.Quota
	limit  int64
	holder string
	// identity is the participant's that the slot is reserved for.
	identity string
	// client is true if a key alone asks for the slot.
	client bool
	// joined is the start of the holder's usage session; zero before it starts.
	joined time.Time
	// present returns the open usage sessions by holder.
	present func(context.Context) (map[string]holding, error)
	// reread forces a read of the database, for quotas that are claimed seldom.
	reread bool
	// asked is the time of the request.
	asked time.Time
}

// NewSlots caches the slots in a repository; exact says that no other process
// changes them.
func NewSlots(store *database.Slots, exact bool, now func() time.Time) (*Slots, error) {
	sheets, err := lru.New[sheetKey, *sheet](sheetsKept)
	if err != nil {
		return nil, err
	}
	return &Slots{store: store, exact: exact, now: now, sheets: sheets}, nil
}

// errFull and errClientShare are why there is no slot; how many are taken stands
// beside them.
var (
	errFull        = errors.New("every slot is taken")
	errClientShare = errors.New("keys alone have reserved their share of the slots")
)

// clientShare is how many of the slots callers with a key alone may reserve at a
// time: 80 %, so that the server's key finds one. Of one or two slots it is all,
// or no client could join with a key alone.
func clientShare(limit int64) int64 {
	const percent = 80
	return max(limit*percent/100, min(limit, 2))
}

// Reserve holds a slot for a claim's holder until a time, or until they take
// it. made is true if it was not theirs before. used is how many are taken or
// reserved, theirs included. errFull if every slot is, errClientShare if a key
// alone asks and its share is.
func (p *Slots) Reserve(ctx context.Context, c claim, until time.Time) (made bool, used slotUse, err error) {
	used, err = p.attempt(ctx, c, func(sh *sheet, c claim, now time.Time) (done bool, err error) {
		if held := sh.byHolder[c.holder]; held != nil {
			shared := held.Session == "" && held.Identity != "" && held.Identity != c.identity
			vouched := held.Client && !c.client
			if p.exact && (held.Session != "" || !until.After(held.ExpiresAt) && !shared && !vouched && now.Sub(held.ReservedAt) < clusterLag) {
				return true, nil
			}
			if still, err := p.extend(ctx, sh, c, now, until, shared); still || err != nil {
				return still, err
			}
		}
		if sh.there(c.holder) {
			return true, nil
		}
		made, err = p.take(ctx, sh, c, models.Slot{Identity: c.identity, Client: c.client, ReservedAt: now, ExpiresAt: until}, now)
		return made, err
	})
	return made, used, err
}

// Open answers nil if the claim's holder has a slot or could reserve one, or as
// Reserve does; it takes none.
func (p *Slots) Open(ctx context.Context, c claim) (used slotUse, err error) {
	return p.attempt(ctx, c, func(sh *sheet, c claim, now time.Time) (done bool, err error) {
		if sh.has(c.holder) {
			return true, nil
		}
		err = p.full(ctx, sh, c, now)
		if sh.has(c.holder) && isFull(err) {
			err = nil
		}
		return true, err
	})
}

// Count reads from the database how many slots are used.
func (p *Slots) Count(ctx context.Context, c claim) (used slotUse, err error) {
	c.reread = true
	return p.attempt(ctx, c, func(*sheet, claim, time.Time) (bool, error) { return true, nil })
}

// Assign gives a usage session the slot that its holder reserved, or a free one.
// errFull if there is none.
func (p *Slots) Assign(ctx context.Context, c claim, session string) (used slotUse, err error) {
	return p.attempt(ctx, c, func(sh *sheet, c claim, now time.Time) (done bool, err error) {
		held := sh.byHolder[c.holder]
		if held != nil && held.Session != "" && (held.Session == session || held.JoinedAt.After(c.joined)) {
			return true, nil // a later usage session of the holder may have it
		}
		if held != nil || !p.exact {
			slot, err := p.store.Assign(ctx, c.owner, c.quota, c.holder, session, c.joined)
			if err == nil {
				sh.remember(&slot)
				delete(sh.waiting, c.holder)
				return true, nil
			}
			if !models.IsKind(err, models.KindNotFound) {
				return false, err
			}
			sh.forget(c.holder)
		}
		delete(sh.waiting, c.holder) // a holder does not count against its own claim
		taken, err := p.take(ctx, sh, c, models.Slot{Session: session, JoinedAt: c.joined}, now)
		if errors.Is(err, errFull) {
			sh.waiting[c.holder] = holding{session, c.joined}
		}
		return taken, err
	})
}

// attempt calls try with the sheet of a claim's quota until it is done, and
// returns how many slots are used then.
func (p *Slots) attempt(ctx context.Context, c claim, try func(*sheet, claim, time.Time) (done bool, err error)) (used slotUse, err error) {
	c.asked = p.now() // before the wait: one read serves all waiting claims
	sh := p.sheet(c.owner, c.quota)
	if err := sh.lock(ctx); err != nil {
		return slotUse{}, err
	}
	defer sh.unlock()
	for n := range slotTries {
		now := p.now()
		if err := p.refresh(ctx, sh, c, now, n == 0 && c.reread); err != nil {
			return slotUse{}, err
		}
		if done, err := try(sh, c, now); done || err != nil {
			return sh.usage(), err
		}
	}
	return slotUse{}, models.Unavailable(errors.New("slots: other processes took every slot that was tried"))
}

// Vacate releases the slot of a usage session that ended. If the end arrived
// before the start, the slot is still reserved. joined is the start, zero if it
// never started; a reservation made after it belongs to another token.
func (p *Slots) Vacate(ctx context.Context, c claim, session string, joined time.Time) error {
	sh := p.sheet(c.owner, c.quota)
	if err := sh.lock(ctx); err != nil {
		return err
	}
	defer sh.unlock()
	if sh.waiting[c.holder].session == session {
		delete(sh.waiting, c.holder)
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

// Drop releases a reservation, if it is for that identity only ("" for any).
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

// Release releases the reservations for one identity of a project, in one room or
// ("") all.
func (p *Slots) Release(ctx context.Context, project models.ProjectID, identity, room string) error {
	owner := string(project)
	if room != "" {
		return errors.Join(p.Drop(ctx, owner, models.QuotaConcurrentParticipants, participantHolder(room, identity), identity),
			p.Drop(ctx, owner, models.QuotaConcurrentAgents, participantHolder(room, identity), identity),
			p.Drop(ctx, owner, models.QuotaRooms, room, identity))
	}
	for {
		reserved, err := p.store.ReservedOf(ctx, owner, identity, slotsReleased)
		if err != nil {
			return err
		}
		for i := range reserved {
			if err := p.Drop(ctx, owner, reserved[i].Quota, reserved[i].Holder, identity); err != nil {
				return err
			}
		}
		if len(reserved) < slotsReleased {
			return nil
		}
	}
}

// RoomEnded makes the slots of a room's participants be read anew, if
// a participant in it still has one.
func (p *Slots) RoomEnded(ctx context.Context, project models.ProjectID, q models.Quota, room string) error {
	sh := p.sheet(string(project), q)
	if err := sh.lock(ctx); err != nil {
		return err
	}
	defer sh.unlock()
	inRoom := participantHolder(room, "")
	for holder, slot := range sh.byHolder {
		if slot.Session != "" && strings.HasPrefix(holder, inRoom) {
			sh.readAt = time.Time{}
			return nil
		}
	}
	for holder := range sh.waiting {
		if strings.HasPrefix(holder, inRoom) {
			sh.readAt = time.Time{}
			return nil
		}
	}
	return nil
}

// participantHolder names a participant within a project. A room name has no
// slash, and an identity is in a room only once.
func participantHolder(room, identity string) string { return room + "/" + identity }

// extend extends a holder's reservation; still is true if the holder has a slot.
func (p *Slots) extend(ctx context.Context, sh *sheet, c claim, now, until time.Time, shared bool) (still bool, err error) {
	slot, err := p.store.Extend(ctx, c.owner, c.quota, c.holder, now, until, shared, !c.client)
	if models.IsKind(err, models.KindNotFound) {
		slot, err = p.store.Held(ctx, c.owner, c.quota, c.holder)
	}
	switch {
	case models.IsKind(err, models.KindNotFound):
		sh.forget(c.holder)
		return false, nil
	case err != nil:
		return false, err
	case !slot.Live(now):
		sh.forget(c.holder)
		return false, nil
	}
	sh.remember(&slot)
	return true, nil
}

// full gives errFull or errClientShare if a claim can have no further slot.
// Where that may have changed the slots are read anew.
func (p *Slots) full(ctx context.Context, sh *sheet, c claim, now time.Time) error {
	err := sh.full(c)
	if err == nil || p.exact || !sh.readAt.Before(c.asked) || now.Sub(sh.readEnd) < max(fullFor, fullRest*sh.readEnd.Sub(sh.readAt)) {
		return err
	}
	if err := p.load(ctx, sh, c, now); err != nil {
		return err
	}
	return sh.full(c)
}

func isFull(err error) bool { return errors.Is(err, errFull) || errors.Is(err, errClientShare) }

// take tries one free number. If another process was first, it returns false
// without an error and the sheet has learned that slot.
func (p *Slots) take(ctx context.Context, sh *sheet, c claim, slot models.Slot, now time.Time) (taken bool, err error) {
	err = p.full(ctx, sh, c, now)
	switch {
	case err != nil && !isFull(err):
		return false, err
	case sh.has(c.holder):
		return false, nil // the read found one
	case err != nil:
		return false, err
	}
	number := sh.free(c.limit, !p.exact)
	slot.ID, slot.Owner, slot.Quota = models.SlotID(c.owner, c.quota, number), c.owner, c.quota
	slot.Number, slot.Holder = number, c.holder
	err = p.store.Take(ctx, &slot)
	if err == nil {
		sh.remember(&slot)
		return true, nil
	}
	if !models.IsKind(err, models.KindConflict) {
		return false, err
	}
	// Either the holder already has a slot or the number already has a holder.
	return false, errors.Join(
		p.learn(ctx, sh, now, func() (models.Slot, error) { return p.store.Held(ctx, c.owner, c.quota, c.holder) }),
		p.learn(ctx, sh, now, func() (models.Slot, error) { return p.store.Numbered(ctx, slot.ID) }))
}

// learn caches a conflicting slot, unless it is gone or expired.
func (p *Slots) learn(ctx context.Context, sh *sheet, now time.Time, met func() (models.Slot, error)) error {
	slot, err := met()
	switch {
	case models.IsKind(err, models.KindNotFound):
		return nil
	case err != nil:
		return err
	case !slot.Live(now):
		return p.store.DropExpired(ctx, slot.ID, now)
	}
	sh.remember(&slot)
	return nil
}
