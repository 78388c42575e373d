package audit

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	lru "github.com/hashicorp/golang-lru/v2"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/ids"
)

const (
	// appendTries bounds the attempts to write an entry that conflicts with those
	// of other processes.
	appendTries = 50
	// endTimeout bounds writing an outcome after the caller may have disconnected.
	endTimeout = 5 * time.Second
	// maxOpen bounds the concurrent changes of one organization.
	maxOpen = database.MaxBatch
	// maxUserAgent is how many bytes of a User-Agent are stored.
	maxUserAgent = 512
	// chainsKept is how many organizations' chains are cached.
	chainsKept = 10_000
)

// Trail writes the audit trail: an entry before each change, and its outcome after
// it. A process that dies in between leaves an entry without an outcome, never a
// change without an entry. Record is for changes whose own document is stored first.
type Trail struct {
	logs    *database.AuditLogs
	telling Telling
	now     func() time.Time
	mu      sync.Mutex
	// chains caches the end of each organization's chain.
	chains *lru.Cache[models.OrganizationID, *auditChain]
	turns  turns
}

// auditChain is the end of one organization's chain. Its lock serializes the
// entries of this process; the unique number serializes processes.
type auditChain struct {
	// held contains a value while the chain is locked: by each entry until it is on disk.
	held   chan struct{}
	loaded bool
	seq    int64
	hash   string
	// open are entries whose outcome no later entry has sealed.
	open map[int64]*openEntry
}

type openEntry struct {
	at time.Time
	// outcome is the outcome's hash, "" while it is unknown.
	outcome string
	// own is true if this process makes the change.
	own bool
}

// Telling tells tenants of changes. An entry of a change that they hear of says so
// from before the change until its event is stored, so that a process that dies
// anywhere loses no event.
type Telling interface {
	// Heard reports whether tenants are informed of changes with an action.
	Heard(action string) bool
	// Made is told of each such change that was made, after its outcome is written,
	// and must return at once.
	Made(entry *models.AuditEntry)
}

// tellWithin is how long the event of a change is left to the process that made
// it.
const tellWithin = 10 * time.Second

// NewTrail writes to a repository.
func NewTrail(logs *database.AuditLogs, telling Telling, now func() time.Time) (*Trail, error) {
	chains, err := lru.New[models.OrganizationID, *auditChain](chainsKept)
	if err != nil {
		return nil, err
	}
	return &Trail{logs: logs, telling: telling, now: now, chains: chains, turns: turns{of: map[string]*turn{}}}, nil
}

// Event is a change about to be made. Before and After contain the changed fields
// and no secret.
type Event struct {
	OrgID models.OrganizationID
	// ProjectID is the project it concerns, "" for the whole organization; it is not
	// part of the trail.
	ProjectID     models.ProjectID
	Action        string
	Type, ID      string
	Before, After map[string]any
}

// Entry is a change in progress.
type Entry struct {
	trail *Trail
	chain *auditChain
	doc   models.AuditEntry
}

// Begin writes the entry of a change; the change may be made only if it
// returns no error, and End must then be called.
func (t *Trail) Begin(ctx context.Context, actor *models.Principal, event Event) (*Entry, error) {
	doc, err := entryOf(CallerOf(actor), event)
	if err != nil {
		return nil, err
	}
	if t.telling.Heard(event.Action) {
		doc.ProjectID = event.ProjectID
	}
	if entry := again(ctx, &doc); entry != nil {
		return entry, nil
	}
	chain, err := t.append(ctx, &doc, nil)
	if err != nil {
		return nil, err
	}
	return &Entry{trail: t, chain: chain, doc: doc}, nil
}

// entryOf is the entry of a change before it has an id and a position.
func entryOf(caller models.AuditCaller, event Event) (models.AuditEntry, error) {
	before, err := auditFields(event.Before)
	if err != nil {
		return models.AuditEntry{}, err
	}
	after, err := auditFields(event.After)
	if err != nil {
		return models.AuditEntry{}, err
	}
	return models.AuditEntry{
		OrgID: event.OrgID, Actor: caller.Actor, Action: event.Action,
		Target: models.AuditTarget{Type: event.Type, ID: event.ID}, Before: before, After: after,
		IP: caller.IP, UserAgent: caller.UserAgent, RequestID: caller.RequestID,
		Outcome: models.AuditPending,
	}, nil
}

// append stores an entry as the next one of its organization's chain. An entry that
// is written after its change has an id, and settle sets its outcome; conflict if it is
// stored already.
func (t *Trail) append(ctx context.Context, doc *models.AuditEntry, settle func(*models.AuditEntry)) (*auditChain, error) {
	chain := t.chain(doc.OrgID)
	if err := chain.lock(ctx); err != nil {
		return nil, err
	}
	defer chain.unlock()
	for range appendTries {
		if err := t.catchUp(ctx, doc.OrgID, chain); err != nil {
			return nil, err
		}
		if settle == nil {
			doc.ID = models.AuditID(ids.New(models.AuditPrefix))
		}
		if err := t.link(doc, chain); err != nil {
			return nil, err
		}
		if settle != nil {
			settle(doc)
		}
		if err := t.logs.Append(ctx, doc); err != nil {
			chain.loaded = false // the entry may have been written nevertheless
			if !models.IsKind(err, models.KindConflict) {
				return nil, err
			}
			if settle != nil { // not every server says which of the two is taken, the number or the id
				if has, unknown := t.Has(ctx, doc.OrgID, doc.ID); has || unknown != nil {
					return nil, cmp.Or(unknown, err)
				}
			}
			continue
		}
		for _, s := range doc.Seals {
			delete(chain.open, s.Seq)
		}
		chain.seq, chain.hash = doc.Seq, doc.Hash
		chain.open[doc.Seq] = &openEntry{at: doc.At, own: settle == nil, outcome: doc.OutcomeHash}
		return chain, nil
	}
	return nil, models.Unavailable(errors.New("audit: other processes wrote every next entry first"))
}

// End writes the outcome of the change. It does not alter the error of the change;
// an outcome that can't be written stays pending.
func (e *Entry) End(ctx context.Context, failed *error) {
	if !keep(ctx, e, *failed) {
		e.end(ctx, failed)
	}
}

func (e *Entry) end(ctx context.Context, failed *error) {
	now := auditTime(e.trail.now())
	done := e.doc
	end(&done, now, *failed)
	switch {
	case done.TellAt == nil:
	case *failed == nil:
		at := now.Add(tellWithin)
		done.TellAt = &at
	case certain(*failed):
		done.TellAt = nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	var err error
	// After it may have been sealed as open, it must stay open.
	if settled := now.Sub(e.doc.At) >= models.AuditSettled/2; !settled {
		err = e.trail.logs.Complete(ctx, &done)
	}
	if *failed == nil && done.TellAt != nil {
		e.trail.telling.Made(&done)
	}
	e.chain.held <- struct{}{}
	defer e.chain.unlock()
	if open := e.chain.open[e.doc.Seq]; open != nil {
		open.own = false
		if err == nil {
			open.outcome = done.OutcomeHash
		}
	}
}

// end sets how a change ended.
func end(doc *models.AuditEntry, at time.Time, failed error) {
	doc.Outcome, doc.CompletedAt = models.AuditSuccess, &at
	if failed != nil {
		doc.Outcome, doc.Code = models.AuditFailure, "internal_error"
		var known *models.Error
		if errors.As(failed, &known) {
			doc.Code = known.Code
		}
	}
	doc.OutcomeHash = OutcomeHash(doc)
}

// certain reports whether an error of a change means that nothing was changed: a
// rule refused it. Otherwise the answer of a write may have been lost.
func certain(err error) bool {
	var known *models.Error
	return errors.As(err, &known) && known.Kind != models.KindUnavailable && known.Kind != models.KindInternal
}

func (t *Trail) chain(org models.OrganizationID) *auditChain {
	t.mu.Lock()
	defer t.mu.Unlock()
	chain, ok := t.chains.Get(org)
	if !ok {
		chain = &auditChain{held: make(chan struct{}, 1), open: map[int64]*openEntry{}}
		t.chains.Add(org, chain)
	}
	return chain
}

// lock waits for the chain until ctx ends; then unavailable.
func (c *auditChain) lock(ctx context.Context) error {
	select {
	case c.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		return models.Unavailable(ctx.Err())
	}
}

func (c *auditChain) unlock() { <-c.held }

// catchUp reads the end of the chain if it is unknown, and the outcomes of other
// processes' changes.
func (t *Trail) catchUp(ctx context.Context, org models.OrganizationID, chain *auditChain) error {
	if !chain.loaded {
		head, err := t.logs.Head(ctx, org)
		if err != nil && !models.IsKind(err, models.KindNotFound) {
			return err
		}
		before := chain.open
		chain.seq, chain.hash, chain.open = head.Seq, head.Hash, map[int64]*openEntry{}
		if head.Seq > 0 {
			for _, seq := range append(head.Open, head.Seq) {
				chain.open[seq] = &openEntry{}
				if known := before[seq]; known != nil {
					chain.open[seq] = known
				}
			}
		}
		chain.loaded = true
	}
	var ask []int64
	for seq, open := range chain.open {
		if open.outcome == "" && !open.own {
			ask = append(ask, seq)
		}
	}
	entries, err := t.logs.Numbered(ctx, org, ask)
	for i := range entries {
		chain.open[entries[i].Seq].at = entries[i].At
		chain.open[entries[i].Seq].outcome = entries[i].OutcomeHash
	}
	return err
}

// link makes an entry the next one of the chain.
func (t *Trail) link(doc *models.AuditEntry, chain *auditChain) error {
	doc.At = auditTime(t.now())
	doc.Seq, doc.PrevHash = chain.seq+1, chain.hash
	doc.Seals, doc.Open = nil, nil
	for seq, open := range chain.open {
		if open.outcome != "" || !open.own && doc.At.Sub(open.at) >= models.AuditSettled {
			doc.Seals = append(doc.Seals, models.AuditSeal{Seq: seq, Hash: open.outcome})
		} else {
			doc.Open = append(doc.Open, seq)
		}
	}
	if len(doc.Open) >= maxOpen {
		return models.Unavailable(errors.New("audit: too many concurrent changes"))
	}
	slices.Sort(doc.Open)
	slices.SortFunc(doc.Seals, func(a, b models.AuditSeal) int { return cmp.Compare(a.Seq, b.Seq) })
	doc.Hash = Hash(doc)
	if t.telling.Heard(doc.Action) { // if this process dies, the database says whether the change was made
		at := doc.At.Add(models.AuditSettled)
		doc.TellAt = &at
	}
	return nil
}

// auditTime is a time in the stored precision of a millisecond, so that the hash
// can be recomputed from what is read.
func auditTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func auditFields(fields map[string]any) (string, error) {
	if len(fields) == 0 {
		return "{}", nil
	}
	text, err := json.Marshal(fields, json.Deterministic(true))
	if err != nil {
		return "", models.Internal(err)
	}
	return string(text), nil
}

func auditActor(p *models.Principal) models.AuditActor {
	switch p.Kind {
	case models.CallerPerson:
		return models.AuditActor{Kind: string(p.Kind), ID: string(p.UserID), CredentialID: string(p.SessionID)}
	case models.CallerServerKey, models.CallerClientKey:
		return models.AuditActor{Kind: string(p.Kind), ID: string(p.KeyID), CredentialID: string(p.KeyID)}
	case models.CallerOperator, models.CallerSystem:
		return models.AuditActor{Kind: string(p.Kind)}
	case models.CallerNobody:
	}
	return models.AuditActor{Kind: "anonymous"}
}

// Changes collects the changed fields of a partial update.
type Changes struct{ Before, After map[string]any }

// Changed adds a field that is sent and differs.
func Changed[T any](c *Changes, field string, before T, sent *T) {
	if sent == nil || reflect.DeepEqual(before, *sent) {
		return
	}
	if c.Before == nil {
		c.Before, c.After = map[string]any{}, map[string]any{}
	}
	c.Before[field], c.After[field] = before, *sent
}
