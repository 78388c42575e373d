package counters

import (
	"context"
	"slices"
	"strconv"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

const (
	// pageCounts is how many counts a page of the journal has: at most 100 KB.
	pageCounts = 1_000
	// pagesTogether is how many pages are written in one call.
	pagesTogether = 20
	// pageAbandoned is how old a page is, by the clock of the process that looks,
	// when its process is taken to be gone. A page that is written into facts twice
	// does no harm.
	pageAbandoned = 5 * time.Minute
	// pagesRead is how many abandoned pages one pass writes into facts.
	pagesRead = 10
)

// endOfTime is after every clock's time.
func endOfTime() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }

// journal keeps counts durable until their facts have them. Its values are those of
// the facts, not differences, and facts only grow: writing them again changes
// nothing. The one who flushes uses it.
type journal struct {
	store     *database.CounterJournal
	holder    string
	exclusive bool
	// written counts the pages.
	written int64
	// pages are those with values that their facts do not have, the oldest first.
	pages []*journalPage
	// facts is how many facts have their latest value only in a page.
	facts int
	// done are the pages that may be removed.
	done []string
}

// journalPage is a page of this process.
type journalPage struct {
	id string
	// facts are those of the page; left counts those that have their latest
	// value only here.
	facts []*minuteFact
	left  int
}

// write stores the values of facts in new pages.
func (j *journal) write(ctx context.Context, list []*minuteFact, now time.Time) error {
	minutes := map[time.Time][]*minuteFact{}
	for _, f := range list {
		minutes[f.Timestamp] = append(minutes[f.Timestamp], f)
	}
	var pages []models.CounterPage
	var of []*journalPage
	for minute, facts := range minutes {
		for some := range slices.Chunk(facts, pageCounts) {
			page := models.CounterPage{Holder: j.holder, Minute: minute, WrittenAt: now, Counts: make([]models.CounterValue, len(some))}
			for i, f := range some {
				page.Counts[i] = models.CounterValue{ProjectID: f.ProjectID, Meter: f.Meter, Value: f.Value}
			}
			// A page whose write failed may be there: each attempt has new ids.
			j.written++
			page.ID = j.holder + "|" + strconv.FormatInt(j.written, 10)
			pages, of = append(pages, page), append(of, &journalPage{id: page.ID, facts: some})
		}
	}
	for some := range slices.Chunk(pages, pagesTogether) {
		if err := j.store.Write(ctx, some); err != nil {
			return err
		}
	}
	for _, page := range of {
		for _, f := range page.facts {
			j.left(f)
			f.page = page
		}
		page.left = len(page.facts)
		j.facts += page.left
	}
	j.pages = append(j.pages, of...)
	return nil
}

// left notes that the journal's value of a fact is no longer needed.
func (j *journal) left(f *minuteFact) {
	page := f.page
	if page == nil {
		return
	}
	f.page = nil
	j.facts--
	if page.left--; page.left == 0 {
		page.facts = nil
		j.done = append(j.done, page.id)
	}
}

// oldest gives up to limit facts whose values are durable only in the journal, those
// that have been there longest first.
func (j *journal) oldest(limit int) (list []*minuteFact) {
	j.pages = slices.DeleteFunc(j.pages, func(p *journalPage) bool { return p.left == 0 })
	for _, page := range j.pages {
		for _, f := range page.facts {
			if len(list) >= limit {
				return list
			}
			if f.page == page && !f.changed {
				list = append(list, f)
			}
		}
	}
	return list
}

// removeStored removes the pages whose values are all in facts, or in later pages.
func (j *journal) removeStored(ctx context.Context) error {
	for len(j.done) > 0 {
		some := j.done[:min(len(j.done), database.MaxBatch)]
		if err := j.store.Remove(ctx, some); err != nil {
			return err
		}
		j.done = j.done[len(some):]
	}
	return nil
}

// abandoned reads pages of processes that are gone.
func (j *journal) abandoned(ctx context.Context, now time.Time) ([]models.CounterPage, error) {
	before := now.Add(-pageAbandoned)
	if j.exclusive {
		// All pages of others are; whatever clock wrote them.
		before = endOfTime()
	}
	pages, err := j.store.Oldest(ctx, before, pagesRead)
	return slices.DeleteFunc(pages, func(p models.CounterPage) bool { return j.exclusive && p.Holder == j.holder }), err
}

// Recover writes what processes that are gone left in the journal into facts. It
// returns how many pages that were; more may be left.
func (c *Counters) Recover(ctx context.Context) (int, error) {
	pages, err := c.journal.abandoned(ctx, c.now().UTC())
	if err != nil {
		return 0, err
	}
	for i := range pages {
		if err := c.recover(ctx, &pages[i]); err != nil {
			return i, err
		}
	}
	return len(pages), nil
}

func (c *Counters) recover(ctx context.Context, page *models.CounterPage) error {
	list := make([]*minuteFact, len(page.Counts))
	for i, n := range page.Counts {
		list[i] = &minuteFact{UsageFact: models.UsageFact{
			ID: countID(page.Holder, page.Minute, n.ProjectID, n.Meter), ProjectID: n.ProjectID, Meter: n.Meter, Timestamp: page.Minute.UTC(), Value: n.Value,
		}}
	}
	c.flushing.Lock()
	defer c.flushing.Unlock()
	if err := c.write(ctx, list); err != nil {
		return err
	}
	return c.journal.store.Remove(ctx, []string{page.ID})
}
