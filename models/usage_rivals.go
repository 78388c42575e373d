package models

import "time"

// startPrecision is how far apart starts of the same instant may truly be: LiveKit
// gives them, and ends, in whole seconds.
const startPrecision = 2 * time.Second

// SeenAt is until when a session was there for certain, beyond its start.
func (o *Observed) SeenAt() time.Time { return latest(o.EndedAt, o.PresentAt) }

// Rival is what a session has to know of another with its name that began in the
// same instant.
func (s *UsageSession) Rival() Observed {
	return Observed{RivalAt: s.Observed.StartedAt, RivalSeenAt: s.Observed.SeenAt(), RivalID: s.ID}
}

// joinRival keeps of the rivals since the least start the one that was there the
// longest.
func (o *Observed) joinRival(other *Observed) {
	switch {
	case other.RivalAt.IsZero():
		return
	case o.RivalAt.IsZero(), other.RivalAt.Before(o.RivalAt):
		o.RivalAt, o.RivalSeenAt, o.RivalID = other.RivalAt, other.RivalSeenAt, other.RivalID
		return
	case other.RivalAt.After(o.RivalAt):
		return
	}
	switch other.RivalSeenAt.Compare(o.RivalSeenAt) {
	case 1:
		o.RivalSeenAt, o.RivalID = other.RivalSeenAt, other.RivalID
	case 0:
		o.RivalID = max(o.RivalID, other.RivalID)
	}
}

// Lost decides between sessions of one name that began in the same
// instant, of which one replaced the others: that which was there the longest,
// since LiveKit ended the others then. One that is known to have ended at once was
// itself replaced.
func (s *UsageSession) Lost() bool {
	o := &s.Observed
	if o.RivalAt.IsZero() || !o.RivalAt.Equal(o.StartedAt) || !o.Started {
		return false
	}
	atOnce := o.StartedAt.Add(startPrecision)
	endedAtOnce := func(seen time.Time) bool { return !seen.IsZero() && seen.Before(atOnce) }
	own := o.SeenAt()
	if endedAtOnce(own) || endedAtOnce(o.RivalSeenAt) {
		return false
	}
	switch own.Compare(o.RivalSeenAt) {
	case -1:
		return true
	case 0:
		return s.ID < o.RivalID
	}
	return false
}
