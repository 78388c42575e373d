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

// sheet is the cache of one quota's slots. Its lock is held while a slot is taken,
// so that one process tries one number at a time.
type sheet struct {
	locked chan struct{}
	// readAt and readEnd are the start and end of the last read; limit is the
	// limit at that time.
	readAt, readEnd time.Time
	limit           int64
	byHolder        map[string]*models.Slot
	byNumber        map[int64]*models.Slot
	// waiting are open usage sessions without a slot, by holder: they started
	// before the limit was set, or over it and will be evicted. They count.
	waiting map[string]holding
	// lowest is the lowest number that may be free, greatest the highest number
	// seen.
	lowest, greatest int64
	// ends is the earliest expiry of a reservation.
	ends time.Time
	// reserved is how many of the slots are not taken yet, clients how many of
	// those a key alone reserved.
	reserved, clients int64
}

// slotUse is how many slots of a quota are used, and how many of those are only
// reserved.
type slotUse struct{ used, reserved int64 }

func (sh *sheet) usage() slotUse { return slotUse{sh.used(), sh.reserved} }

// holding is an open usage session and its start.
type holding struct {
	session string
	joined  time.Time
}

// lock waits for the sheet until ctx ends.
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

// Forget drops the cached slots of a quota; the next claim reads them.
func (p *Slots) Forget(owner string, q models.Quota) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sheets.Remove(sheetKey{owner, q})
}

// refresh reads the slots if the sheet is too old or of another limit, or if
// reread is set; otherwise it drops expired reservations.
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

// load reads the slots of a quota and then the open usage sessions; in this order,
// because a session opens before it takes a slot. It releases slots of sessions
// that ended and assigns reserved slots whose holder has joined.
func (p *Slots) load(ctx context.Context, sh *sheet, c claim, now time.Time) error {
	var live []*models.Slot
	err := p.store.Each(ctx, c.owner, c.quota, slotsRead, func(slot models.Slot) error {
		if slot.Live(now) {
			live = append(live, &slot)
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
	sh.byHolder, sh.byNumber, sh.waiting = map[string]*models.Slot{}, map[int64]*models.Slot{}, map[string]holding{}
	sh.lowest, sh.greatest, sh.reserved, sh.clients, sh.ends, sh.readAt = 1, 0, 0, 0, time.Time{}, time.Time{}
	for _, slot := range live {
		session := present[slot.Holder].session
		switch {
		case slot.Session != "" && session == "":
			if err := p.store.Vacate(ctx, c.owner, c.quota, slot.Holder, slot.Session); err != nil {
				return err
			}
			continue
		case slot.Session == "" && session != "":
			assigned, err := p.store.Assign(ctx, c.owner, c.quota, slot.Holder, session, present[slot.Holder].joined)
			if models.IsKind(err, models.KindNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			slot = &assigned
		}
		sh.remember(slot)
	}
	for holder, who := range present {
		if sh.byHolder[holder] == nil {
			sh.waiting[holder] = who
		}
	}
	sh.readAt, sh.readEnd, sh.limit = now, p.now(), c.limit
	return nil
}

// has reports whether a holder has a slot or an open usage session.
func (sh *sheet) has(holder string) bool {
	return sh.byHolder[holder] != nil || sh.there(holder)
}

// there reports whether a holder has an open usage session without a slot.
func (sh *sheet) there(holder string) bool { return sh.waiting[holder].session != "" }

// ahead is how many precede a claim: all with a slot, and those without one that
// joined earlier; all of them if the claim's holder has not joined.
func (sh *sheet) ahead(c claim) int64 {
	if c.joined.IsZero() {
		return sh.used()
	}
	n := len(sh.byNumber)
	for holder, who := range sh.waiting {
		if order := who.joined.Compare(c.joined); order < 0 || order == 0 && holder < c.holder {
			n++
		}
	}
	return int64(n)
}

// full tells why a claim can have no further slot; nil if it can.
func (sh *sheet) full(c claim) error {
	switch {
	case sh.ahead(c) >= c.limit:
		return errFull
	case c.client && sh.clients >= clientShare(c.limit):
		return errClientShare
	}
	return nil
}

func (sh *sheet) used() int64 { return int64(len(sh.byNumber) + len(sh.waiting)) }

// free is a number without a known holder: the lowest, or a random one if other
// processes would try the lowest too.
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

// open is the highest number that may be given out. Sessions without a number, or
// with a higher one (from before a limit was lowered), reduce it, so that several
// processes together can't give out too many.
func (sh *sheet) open(limit int64) int64 {
	most := limit - int64(len(sh.waiting))
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
		next := limit - int64(len(sh.waiting)) - beyond
		if next >= most {
			return most
		}
		most = next
	}
}

func (sh *sheet) remember(slot *models.Slot) {
	sh.forget(slot.Holder)
	if before := sh.byNumber[slot.Number]; before != nil {
		sh.forget(before.Holder)
	}
	sh.byHolder[slot.Holder], sh.byNumber[slot.Number] = slot, slot
	sh.greatest = max(sh.greatest, slot.Number)
	if slot.Session != "" {
		return
	}
	sh.reserved++
	if slot.Client {
		sh.clients++
	}
	if sh.ends.IsZero() || slot.ExpiresAt.Before(sh.ends) {
		sh.ends = slot.ExpiresAt
	}
}

func (sh *sheet) forget(holder string) {
	if slot := sh.byHolder[holder]; slot != nil {
		delete(sh.byHolder, holder)
		delete(sh.byNumber, slot.Number)
		if slot.Session == "" {
			sh.reserved--
			if slot.Client {
				sh.clients--
			}
		}
		sh.lowest = min(sh.lowest, slot.Number)
	}
}

// expire drops expired reservations.
func (sh *sheet) expire(now time.Time) {
	if sh.ends.IsZero() || now.Before(sh.ends) {
		return
	}
	sh.ends = time.Time{}
	for holder, slot := range sh.byHolder {
		switch {
		case !slot.Live(now):
			sh.forget(holder)
		case slot.Session == "" && (sh.ends.IsZero() || slot.ExpiresAt.Before(sh.ends)):
			sh.ends = slot.ExpiresAt
		}
	}
}
