package quotas

import (
	"context"
	"math/rand/v2"
	"time"

	"pulse-control-plane/models"
)

type sheetKey struct {
	owner string
	quota models.Quota
}

// sheet is what is known of one quota's places. Its lock is held while a place
// is taken, so that one process has one number tried at a time.
type sheet struct {
	locked chan struct{}
	// readAt and readEnd are when the places were read, from and to; limit is
	// the one that was in force.
	readAt, readEnd time.Time
	limit           int64
	byHolder        map[string]*models.Place
	byNumber        map[int64]*models.Place
	// unplaced are there without a place, by holder: they came before there
	// was a limit, or beyond it and are about to go. They count.
	unplaced map[string]attendee
	// lowest is the least number that may be free, greatest the greatest that
	// was ever seen.
	lowest, greatest int64
	// ends is the first end of a reservation.
	ends time.Time
	// reserved is how many of the places are not taken yet.
	reserved int64
}

// occupancy is how many places of a quota are used, and how many of those are
// reserved only.
type occupancy struct{ used, reserved int64 }

func (sh *sheet) occupancy() occupancy { return occupancy{sh.used(), sh.reserved} }

// attendee is a session that is there, since a time.
type attendee struct {
	session string
	joined  time.Time
}

// lock waits for the sheet, no longer than ctx.
func (sh *sheet) lock(ctx context.Context) error {
	select {
	case sh.locked <- struct{}{}:
		return nil
	case <-ctx.Done():
		return models.Unavailable(ctx.Err())
	}
}

func (sh *sheet) unlock() { <-sh.locked }

func (p *Slots) sheet(owner string, q models.Quota) *sheet {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := sheetKey{owner, q}
	sh, known := p.sheets.Get(key)
	if !known {
		sh = &sheet{locked: make(chan struct{}, 1)}
		p.sheets.Add(key, sh)
	}
	return sh
}

// Forget makes the places of a quota be read anew when one is wanted next.
func (p *Slots) Forget(owner string, q models.Quota) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sheets.Remove(sheetKey{owner, q})
}

// refresh reads the places if what is known of them is too old, or was under
// another limit, or in any case, and lets go of reservations that ended.
func (p *Slots) refresh(ctx context.Context, sh *sheet, c claim, now time.Time, reread bool) error {
	if err := ctx.Err(); err != nil {
		return models.Unavailable(err)
	}
	good := sheetFor
	if !p.exact {
		good = sharedSheetFor
	}
	age := now.Sub(sh.readAt)
	if sh.readAt.IsZero() || age >= good || age < 0 || c.limit != sh.limit || reread {
		return p.load(ctx, sh, c, now)
	}
	sh.expire(now)
	return nil
}

// load reads the places of a quota and who is there, in this order: whoever
// has a place was there before they got it. What a session that ended still
// holds is given back, and who is there has what they reserved.
func (p *Slots) load(ctx context.Context, sh *sheet, c claim, now time.Time) error {
	var live []*models.Place
	err := p.store.Each(ctx, c.owner, c.quota, placesRead, func(place models.Place) error {
		if place.Live(now) {
			live = append(live, &place)
		}
		return nil
	})
	if err != nil {
		return err
	}
	present, err := c.present(ctx)
	if err != nil {
		return err
	}
	sh.byHolder, sh.byNumber, sh.unplaced = map[string]*models.Place{}, map[int64]*models.Place{}, map[string]attendee{}
	sh.lowest, sh.greatest, sh.reserved, sh.ends, sh.readAt = 1, 0, 0, time.Time{}, time.Time{}
	for _, place := range live {
		session := present[place.Holder].session
		switch {
		case place.Session != "" && session == "":
			if err := p.store.Vacate(ctx, c.owner, c.quota, place.Holder, place.Session); err != nil {
				return err
			}
			continue
		case place.Session == "" && session != "":
			occupied, err := p.store.Occupy(ctx, c.owner, c.quota, place.Holder, session, present[place.Holder].joined)
			if models.IsKind(err, models.KindNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			place = &occupied
		}
		sh.remember(place)
	}
	for holder, who := range present {
		if sh.byHolder[holder] == nil {
			sh.unplaced[holder] = who
		}
	}
	sh.readAt, sh.readEnd, sh.limit = now, p.now(), c.limit
	return nil
}

// has tells whether a holder is there or has a place reserved.
func (sh *sheet) has(holder string) bool {
	return sh.byHolder[holder] != nil || sh.there(holder)
}

// there tells whether a holder is there without a place.
func (sh *sheet) there(holder string) bool { return sh.unplaced[holder].session != "" }

// ahead is how many go before a claim: everybody with a place, and of those
// without one whoever came before; all of them, if it has not come.
func (sh *sheet) ahead(c claim) int64 {
	if c.joined.IsZero() {
		return sh.used()
	}
	n := len(sh.byNumber)
	for holder, who := range sh.unplaced {
		if order := who.joined.Compare(c.joined); order < 0 || order == 0 && holder < c.holder {
			n++
		}
	}
	return int64(n)
}

func (sh *sheet) used() int64 { return int64(len(sh.byNumber) + len(sh.unplaced)) }

// free is a number that nobody is known to have: the least, or with others
// about who would try that too, any of those that may be given out.
func (sh *sheet) free(limit int64, shared bool) int64 {
	if shared {
		most := sh.open(limit)
		for n := 0; n < 8 && most > 0; n++ {
			if number := 1 + rand.Int64N(most); sh.byNumber[number] == nil {
				return number
			}
		}
	}
	for sh.byNumber[sh.lowest] != nil {
		sh.lowest++
	}
	return sh.lowest
}

// open is the greatest number that may be given out. Who is there without a
// number, or has a greater one (from before a limit was lowered), leaves fewer
// for the rest: processes that keep to them can't give out too many together.
func (sh *sheet) open(limit int64) int64 {
	most := limit - int64(len(sh.unplaced))
	if most == limit && sh.greatest <= limit {
		return limit
	}
	for {
		beyond := int64(0)
		for number := range sh.byNumber {
			if number > most {
				beyond++
			}
		}
		next := limit - int64(len(sh.unplaced)) - beyond
		if next >= most {
			return most
		}
		most = next
	}
}

func (sh *sheet) remember(place *models.Place) {
	sh.forget(place.Holder)
	if before := sh.byNumber[place.Number]; before != nil {
		sh.forget(before.Holder)
	}
	sh.byHolder[place.Holder], sh.byNumber[place.Number] = place, place
	sh.greatest = max(sh.greatest, place.Number)
	if place.Session != "" {
		return
	}
	sh.reserved++
	if sh.ends.IsZero() || place.ExpiresAt.Before(sh.ends) {
		sh.ends = place.ExpiresAt
	}
}

func (sh *sheet) forget(holder string) {
	if place := sh.byHolder[holder]; place != nil {
		delete(sh.byHolder, holder)
		delete(sh.byNumber, place.Number)
		if place.Session == "" {
			sh.reserved--
		}
		sh.lowest = min(sh.lowest, place.Number)
	}
}

// expire lets go of the reservations that ended.
func (sh *sheet) expire(now time.Time) {
	if sh.ends.IsZero() || now.Before(sh.ends) {
		return
	}
	sh.ends = time.Time{}
	for holder, place := range sh.byHolder {
		switch {
		case !place.Live(now):
			sh.forget(holder)
		case place.Session == "" && (sh.ends.IsZero() || place.ExpiresAt.Before(sh.ends)):
			sh.ends = place.ExpiresAt
		}
	}
}
