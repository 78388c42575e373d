package fair

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"
)

// ErrBusy is returned when no slot came free in time, or too many wait already.
var ErrBusy = errors.New("fair: too much work is waiting")

// Config of a Queue; every field must be positive.
type Config struct {
	// Slots is how much work runs at a time.
	Slots int
	// Wait is how long a turn is waited for at most.
	Wait time.Duration
	// PerShare and Most are how many wait at most, of one share and in all.
	PerShare, Most int
}

// Queue gives out slots. It is safe for concurrent use.
type Queue struct {
	c Config

	mu   sync.Mutex
	free int
	// most is how many slots one share has at a time: of several, one is left for
	// the others, so that they need not wait for a turn to end.
	most int
	// now is the virtual time: the tag of the turn that began last.
	now int64
	// arrived and begun number the turns that asked and that began.
	arrived, begun int64
	waiting        turns
	shares         map[string]*share
}

// share is one who asks.
type share struct {
	// next is the tag of its next turn, if that is later than the present.
	next int64
	// begun is the number of the turn of it that began last; 0 is none.
	begun            int64
	waiting, running int
}

// turn is work that waits.
type turn struct {
	tag, arrival int64
	// before is what share.begun was when it asked.
	before int64
	share  *share
	// position in the heap; -1 when it is not in it.
	position int
	begin    chan struct{}
}

// New makes a queue. It panics for a configuration that lets nothing run.
func New(c Config) *Queue {
	if c.Slots < 1 || c.Wait <= 0 || c.PerShare < 1 || c.Most < 1 {
		panic("fair: every field of Config must be positive")
	}
	return &Queue{c: c, free: c.Slots, most: max(1, c.Slots-1), shares: map[string]*share{}}
}

// Enter waits for a slot for a share; leave must then be called once, when the
// work is done. ErrBusy, or ctx's error.
func (q *Queue) Enter(ctx context.Context, name string) (leave func(), err error) {
	t, err := q.ask(name)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(q.c.Wait)
	defer timer.Stop()
	select {
	case <-t.begin:
		return func() { q.leave(t.share) }, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = ErrBusy
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.position < 0 { // it began at the same moment
		q.end(t.share)
		return nil, err
	}
	heap.Remove(&q.waiting, t.position)
	t.share.waiting--
	return nil, err
}

// ask lets a turn begin, or puts it where it waits.
func (q *Queue) ask(name string) (*turn, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s, known := q.shares[name]
	if !known {
		s = &share{}
	}
	now := q.free > 0 && s.running < q.most
	if !now && (len(q.waiting) >= q.c.Most || s.waiting >= q.c.PerShare) {
		return nil, ErrBusy
	}
	if !known {
		q.forget()
		q.shares[name] = s
	}
	t := &turn{tag: max(q.now, s.next), arrival: q.arrived, share: s, before: s.begun, position: -1, begin: make(chan struct{})}
	q.arrived++
	s.next = t.tag + 1
	if now { // what waits may not begin
		q.start(t)
		return t, nil
	}
	s.waiting++
	heap.Push(&q.waiting, t)
	return t, nil
}

// start gives a free slot to a turn.
func (q *Queue) start(t *turn) {
	q.free--
	q.begun++
	q.now = max(q.now, t.tag)
	t.share.running++
	t.share.begun = q.begun
	close(t.begin)
}

func (q *Queue) leave(s *share) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.end(s)
}

// end gives a share's slot back, and to the next turn that may begin.
func (q *Queue) end(s *share) {
	q.free++
	s.running--
	var held []*turn
	for q.free > 0 && len(q.waiting) > 0 {
		t := heap.Pop(&q.waiting).(*turn)
		if t.share.running >= q.most {
			held = append(held, t)
			continue
		}
		t.share.waiting--
		q.start(t)
	}
	for _, t := range held {
		heap.Push(&q.waiting, t)
	}
}

// forget lets go of shares that wait for nothing, when there are more than can
// wait: they then start at the present.
func (q *Queue) forget() {
	if len(q.shares) < 2*q.c.Most {
		return
	}
	for name, s := range q.shares {
		if s.waiting == 0 && s.running == 0 {
			delete(q.shares, name)
		}
	}
}

// turns is a heap by tag. Of equal ones that is first whose share had its last
// turn longest ago, or none; then the last to arrive: when more is asked than can
// be done, some must wait in vain, and better those who have waited long than all.
type turns []*turn

func (h turns) Len() int { return len(h) }
func (h turns) Less(a, b int) bool {
	if h[a].tag != h[b].tag {
		return h[a].tag < h[b].tag
	}
	if h[a].before != h[b].before {
		return h[a].before < h[b].before
	}
	return h[a].arrival > h[b].arrival
}

func (h turns) Swap(a, b int) {
	h[a], h[b] = h[b], h[a]
	h[a].position, h[b].position = a, b
}

// Push implements heap.Interface.
func (h *turns) Push(v any) {
	t := v.(*turn)
	t.position = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *turns) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1], t.position = nil, -1
	*h = old[:len(old)-1]
	return t
}
