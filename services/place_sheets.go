package services

import (
	"context"
	"sync"
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
	mu       sync.Mutex
	readAt   time.Time
	byHolder map[string]*models.Place
	byNumber map[int64]*models.Place
	// unplaced are there without a place, by holder: they came before there
	// was a limit, or beyond it and are about to go. They count.
	unplaced map[string]string
	// lowest is the least number that may be free; ends the first end of a
	// reservation.
	lowest int64
	ends   time.Time
}

func (p *Places) sheet(owner string, q models.Quota) *sheet {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := sheetKey{owner, q}
	sh, known := p.sheets.Get(key)
	if !known {
		sh = &sheet{}
		p.sheets.Add(key, sh)
	}
	return sh
}

// Forget makes the places of a quota be read anew when one is wanted next.
func (p *Places) Forget(owner string, q models.Quota) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sheets.Remove(sheetKey{owner, q})
}

// refresh reads the places if what is known of them is too old, and lets go of
// reservations that ended.
func (p *Places) refresh(ctx context.Context, sh *sheet, c claim, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return models.Unavailable(err)
	}
	if age := now.Sub(sh.readAt); sh.readAt.IsZero() || age >= sheetFor || age < 0 || c.reread {
		return p.load(ctx, sh, c, now)
	}
	sh.expire(now)
	return nil
}

// load reads the places of a quota and who is there, in this order: whoever
// has a place was there before they got it. What a session that ended still
// holds is given back.
func (p *Places) load(ctx context.Context, sh *sheet, c claim, now time.Time) error {
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
	sh.byHolder, sh.byNumber, sh.unplaced = map[string]*models.Place{}, map[int64]*models.Place{}, map[string]string{}
	sh.lowest, sh.ends, sh.readAt = 1, time.Time{}, time.Time{}
	for _, place := range live {
		if place.Session != "" && present[place.Holder] == "" {
			if err := p.store.Vacate(ctx, c.owner, c.quota, place.Holder, place.Session); err != nil {
				return err
			}
			continue
		}
		sh.remember(place)
	}
	for holder, session := range present {
		if sh.byHolder[holder] == nil {
			sh.unplaced[holder] = session
		}
	}
	sh.readAt = now
	return nil
}

func (sh *sheet) used() int64 { return int64(len(sh.byHolder) + len(sh.unplaced)) }

// free is the least number that nobody is known to have.
func (sh *sheet) free() int64 {
	for sh.byNumber[sh.lowest] != nil {
		sh.lowest++
	}
	return sh.lowest
}

func (sh *sheet) remember(place *models.Place) {
	sh.forget(place.Holder)
	sh.byHolder[place.Holder], sh.byNumber[place.Number] = place, place
	if place.Session == "" && (sh.ends.IsZero() || place.ExpiresAt.Before(sh.ends)) {
		sh.ends = place.ExpiresAt
	}
}

func (sh *sheet) forget(holder string) {
	if place := sh.byHolder[holder]; place != nil {
		delete(sh.byHolder, holder)
		delete(sh.byNumber, place.Number)
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
