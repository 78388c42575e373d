package events

import (
	"context"
	"io"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/clientip"
)

const (
	// maxStreams bounds the open streams of a process, maxCallerStreams those of
	// one caller in it, a project or the operator, and maxPersonStreams those of a
	// person.
	maxStreams       = 10_000
	maxCallerStreams = 2_000
	maxPersonStreams = 500
	// maxTenantStreams bounds those of an organization: of its projects, keys and
	// people together. It may also have no more than half of what it leaves free.
	maxTenantStreams = 2_500
	// maxAddressStreams bounds those from one IP address (IPv6: /64), and
	// maxWideStreams those from a /48: nobody keeps all others out with many callers.
	maxAddressStreams = 3_000
	maxWideStreams    = 6_000
	// StreamPage is the most events that Next gives at a time.
	StreamPage = 128
	// pageBytes bounds the data of a page that is read from the database for one
	// stream alone, unless its first event has more.
	pageBytes = 64 << 10
	// readTimeout bounds each read of the database: a stream has no deadline.
	readTimeout = 10 * time.Second
	// pagesAtOnce bounds the pages that streams read from the database at a time.
	pagesAtOnce = 8
)

// Stream gives a caller events in order of arrival, as they come. It holds no
// event: what it has not read is in the window that all streams share, or in the
// database. It is for one goroutine.
type Stream struct {
	feed   *Feed
	query  StreamQuery
	actor  *models.Principal
	of     database.EventsOf
	filter database.EventFilter
	topic  *topic
	// after is the number up to which the caller has read.
	after int64
	// poked is true if the caller may have lost a right.
	poked chan struct{}
}

// StreamQuery asks for a stream of what comes from now on, or after the event
// LastEventID. Type is a pattern.
type StreamQuery struct {
	Scope
	Type        string
	LastEventID string
	// IP is the client's address.
	IP string
}

// Open begins a stream, which must be closed. Errors: those of scopes and types;
// not_found if LastEventID is not an event that the caller may see, or has
// expired; rate_limited beyond the streams of a caller or an address; unavailable at
// the end of the process and beyond its streams.
func (f *Feed) Open(ctx context.Context, actor *models.Principal, q StreamQuery) (*Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	of, err := f.of(ctx, actor, q.Scope, true)
	if err != nil {
		return nil, err
	}
	filter, err := filterOf(q.Type)
	if err != nil {
		return nil, err
	}
	s := &Stream{feed: f, query: q, actor: actor, of: of, filter: filter, after: f.c.Tail.Position(), poked: make(chan struct{}, 1)}
	if q.LastEventID != "" {
		last, err := f.c.Events.Get(ctx, actor.Tenant(), q.LastEventID)
		if err != nil {
			return nil, err
		}
		s.after = last.Seq
	}
	if err := f.admit(s); err != nil {
		return nil, err
	}
	s.topic = f.c.Tail.join(of)
	return s, nil
}

// callerOf is what a caller's streams count under, and how many they may be.
func callerOf(p *models.Principal) counted {
	switch {
	case p.Project != nil:
		return counted{string(p.Project.ID), maxCallerStreams}
	case p.Kind == models.CallerPerson:
		return counted{string(p.UserID), maxPersonStreams}
	}
	return counted{string(p.Kind), maxCallerStreams}
}

func (f *Feed) admit(s *Stream) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.open) >= maxStreams {
		return models.Unavailable(io.EOF)
	}
	counted := f.countedOf(s)
	for _, c := range counted {
		if f.counts[c.name] >= c.most {
			full := models.NewError(models.KindRateLimited, "too_many_streams", "You have reached the limit of open streams.")
			full.RetryAfter = time.Minute
			return full
		}
	}
	f.open[s] = struct{}{}
	for _, c := range counted {
		f.counts[c.name]++
	}
	return nil
}

// counted is a name that a stream counts under, and how many may.
type counted struct {
	name string
	most int
}

// countedOf gives what a stream counts under, and how many streams may now.
//
// The more is open, the less an organization may have: half of what is free. So
// streams are left for the next one however many organizations, and from however many
// addresses, try to have all of them (Choudhury and Hahne, "Dynamic Queue Length
// Thresholds for Shared-Memory Packet Switches", 1998).
func (f *Feed) countedOf(s *Stream) []counted {
	out := append(make([]counted, 0, 4), callerOf(s.actor))
	if s.actor.OrgID != "" {
		out = append(out, counted{string(s.actor.OrgID), min(maxTenantStreams, (maxStreams-len(f.open)+1)/2)})
	}
	for _, c := range clientip.CountedUnder(s.query.IP) {
		most := maxAddressStreams
		if c.Factor > 1 {
			most = maxWideStreams
		}
		out = append(out, counted{"ip|" + c.Name, most})
	}
	return out
}

// Close ends a stream.
func (s *Stream) Close() {
	s.feed.c.Tail.leave(s.of, s.topic)
	s.feed.dismiss(s)
}

// dismiss takes back what admit counted.
func (f *Feed) dismiss(s *Stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, s)
	for _, c := range f.countedOf(s) {
		if f.counts[c.name]--; f.counts[c.name] == 0 {
			delete(f.counts, c.name)
		}
	}
}

// Next waits for events and gives up to StreamPage of them. None without an error
// means that wait has fired, or that the caller's rights may have changed: call
// Check. io.EOF means that the process stops; otherwise the error is the
// context's or the database's.
func (s *Stream) Next(ctx context.Context, wait <-chan time.Time) ([]*Entry, error) {
	for {
		if due, err := s.due(wait); due {
			return nil, err
		}
		more := s.feed.c.Tail.more(s.topic)
		list, err := s.read(ctx)
		if err != nil || len(list) > 0 {
			return list, err
		}
		select {
		case <-more:
		case <-s.feed.closing:
			return nil, io.EOF
		case <-s.poked:
			return nil, nil
		case <-wait:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// due reports whether something comes before events, however many there are.
func (s *Stream) due(wait <-chan time.Time) (bool, error) {
	select {
	case <-s.feed.closing:
		return true, io.EOF
	case <-s.poked:
		return true, nil
	case <-wait:
		return true, nil
	default:
		return false, nil
	}
}

// read gives the next page: from the window, or from the database for a reader
// that is further behind.
func (s *Stream) read(ctx context.Context) ([]*Entry, error) {
	for {
		list, upTo, known := s.feed.c.Tail.since(s.after, StreamPage, s.wants)
		if known {
			s.after = upTo
			return list, nil
		}
		stored, err := s.page(ctx, s.feed.c.Tail.Position())
		if err != nil || len(stored) > 0 {
			return stored, err
		}
	}
}

// page reads a page from the database, up to a settled number.
func (s *Stream) page(ctx context.Context, upTo int64) ([]*Entry, error) {
	f := s.feed
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	select {
	case f.reading <- struct{}{}:
		defer func() { <-f.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	stored, err := f.c.Events.Next(ctx, s.of, s.filter, s.after, upTo, StreamPage)
	if err != nil {
		return nil, err
	}
	if len(stored) == StreamPage {
		upTo = stored[len(stored)-1].Seq
	}
	list, size := make([]*Entry, 0, len(stored)), 0
	for i := range stored {
		if size += len(stored[i].Data) + eventOverhead; size > pageBytes && i > 0 {
			upTo = stored[i-1].Seq
			break
		}
		if stored[i].Type != models.EventGap {
			list = append(list, &Entry{Event: stored[i]})
		}
	}
	s.after = upTo
	return list, nil
}

// wants reports whether an event is one that the caller asked for.
func (s *Stream) wants(e *models.Event) bool {
	switch {
	case !sees(s.of, e):
		return false
	case s.filter.Type != "":
		return e.Type == s.filter.Type
	case s.filter.Family != "":
		return e.Family == s.filter.Family
	}
	return true
}

// Check returns an error if the caller, who has just been authenticated again, may
// no longer read the stream.
func (s *Stream) Check(ctx context.Context, actor *models.Principal) error {
	of, err := s.feed.of(ctx, actor, s.query.Scope, true)
	if err == nil && of != s.of {
		err = models.NotFound()
	}
	return err
}

// Changed has the streams checked whose callers a change may concern.
func (f *Feed) Changed(c models.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.open {
		if s.concerned(c) {
			s.poke()
		}
	}
}

// Reset has all streams checked.
func (f *Feed) Reset() { f.Changed(models.Change{}) }

func (s *Stream) poke() {
	select {
	case s.poked <- struct{}{}:
	default:
	}
}

// concerned reports whether a change may take the stream from its caller, of
// themselves or of the project they named.
func (s *Stream) concerned(c models.Change) bool {
	p, project := s.actor, s.query.Project
	if p.Project != nil {
		project = p.Project.ID
	}
	return (c.OrgID == "" || c.OrgID == p.OrgID || p.Kind == models.CallerOperator) && (c.ProjectID == "" || c.ProjectID == project) && (c.KeyID == "" || c.KeyID == p.KeyID) &&
		(c.UserID == "" || c.UserID == p.UserID) && (c.SessionID == "" || c.SessionID == p.SessionID)
}

// Close ends all streams and refuses new ones: the process stops.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.closing)
	}
}

// Streams is how many streams are open.
func (f *Feed) Streams() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.open)
}
