package usage

import (
	"context"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// presentRead bounds how many participants are counted as there at the start of
// an hour; they are read page by page and not kept.
const presentRead = 10_000_000

// peak is the most people at one time in [start, end). Those there at the start
// are counted; then joins and leaves are read side by side in order of time, so
// that no more than two pages of them are in memory. read is how many usage
// sessions were read for it.
func (t *Totals) peak(ctx context.Context, p models.ProjectID, start, end time.Time) (most float64, read int, err error) {
	there := 0
	count := func(s models.UsageSession) error {
		read++
		if countsInPeak(&s) && s.JoinedAt.Before(start) {
			there++
		}
		return nil
	}
	if err := t.c.Sessions.EachEnded(ctx, p, start, start, presentRead, count); err != nil {
		return 0, read, err
	}
	if err := t.c.Sessions.EachOpen(ctx, p, presentRead, count); err != nil {
		return 0, read, err
	}
	joins := &moments{page: func(ctx context.Context, after *models.UsageSession) ([]models.UsageSession, error) {
		return t.c.Sessions.JoinedIn(ctx, p, start, end, after, database.MaxBatch)
	}, at: func(s *models.UsageSession) time.Time { return s.JoinedAt }}
	leaves := &moments{page: func(ctx context.Context, after *models.UsageSession) ([]models.UsageSession, error) {
		return t.c.Sessions.LeftIn(ctx, p, start.Add(time.Millisecond), end, after, database.MaxBatch)
	}, at: func(s *models.UsageSession) time.Time { return s.LeftAt }}
	highest, err := highest(ctx, there, joins, leaves)
	return float64(highest), read + joins.read + leaves.read, err
}

// countsInPeak reports whether a session is of a person who was there for a while.
func countsInPeak(s *models.UsageSession) bool {
	return s.Meter() == models.MeterParticipantSeconds && (s.Open || s.LeftAt.After(s.JoinedAt))
}

// highest follows joins and leaves from how many were there at first. A person who
// leaves at the moment another joins was not there with them.
func highest(ctx context.Context, there int, joins, leaves *moments) (int, error) {
	most := there
	join, joined, err := joins.next(ctx)
	if err != nil {
		return 0, err
	}
	leave, left, err := leaves.next(ctx)
	if err != nil {
		return 0, err
	}
	for joined {
		if left && !leave.After(join) {
			there--
			leave, left, err = leaves.next(ctx)
		} else {
			there++
			most = max(most, there)
			join, joined, err = joins.next(ctx)
		}
		if err != nil {
			return 0, err
		}
	}
	return most, nil
}

// moments gives the times at which people joined, or left, page by page.
type moments struct {
	page     func(ctx context.Context, after *models.UsageSession) ([]models.UsageSession, error)
	at       func(*models.UsageSession) time.Time
	sessions []models.UsageSession
	i        int
	last     bool
	// read is how many usage sessions were read.
	read int
}

func (m *moments) next(ctx context.Context) (time.Time, bool, error) {
	for {
		for ; m.i < len(m.sessions); m.i++ {
			if s := &m.sessions[m.i]; countsInPeak(s) {
				m.i++
				return m.at(s), true, nil
			}
		}
		if m.last {
			return time.Time{}, false, nil
		}
		var after *models.UsageSession
		if len(m.sessions) > 0 {
			after = &m.sessions[len(m.sessions)-1]
		}
		page, err := m.page(ctx, after)
		if err != nil {
			return time.Time{}, false, err
		}
		m.read += len(page)
		m.sessions, m.i, m.last = page, 0, len(page) < database.MaxBatch
	}
}
