package webhooks

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/shards"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/worker"
)

const (
	// poolSize is how many requests are under way in a process at most: to
	// endpoints that answer well, and as many again to those that are slow or fail.
	poolSize = 512
	// scanEvery is how often endpoints are looked for that have something due
	// which no other part of this process announced; ownScanEvery where there are no
	// other processes.
	scanEvery    = 500 * time.Millisecond
	ownScanEvery = 5 * time.Second
	// tick is how often it is looked which lanes have something due again.
	tick = 50 * time.Millisecond
	// finishing is how long requests under way may take when the process stops.
	finishing    = 3 * time.Second
	leaveTimeout = time.Second
	passDeadline = 30 * time.Second
	measureEvery = 5 * time.Second
	// laneRetry is the pause after a fault of the database.
	laneRetry = time.Second
)

// Worker sends the deliveries of the shards that are this process's share. Each
// endpoint with something to send has a lane.
type Worker struct {
	c       WorkerConfig
	secrets secrets
	shares  *shards.Shares
	passes  []*worker.Worker
	// quick and slow hold a token for each request under way.
	quick, slow chan struct{}
	bell        chan struct{}
	metrics     *metrics
	// storeFor bounds storing the outcome of an attempt.
	storeFor time.Duration

	mu sync.Mutex
	// lanes are those of endpoints with pending deliveries in this process's
	// shards; asked are endpoints for which there may be something new.
	lanes   map[models.EndpointID]*lane
	asked   map[models.EndpointID]struct{}
	running sync.WaitGroup
}

// WorkerConfig of NewWorker; every field is required save those marked optional.
type WorkerConfig struct {
	Endpoints  *database.Endpoints
	Deliveries *database.Deliveries
	Events     *database.Events
	Sequences  *database.Sequences
	Leases     *database.Leases
	// Site is of this process; its Owner holds the leases.
	Site worker.Site
	// Exclusive is true if there are no replicas.
	Exclusive bool
	// Secret opens the secrets of endpoints.
	Secret *database.SealedField
	// Client sends; it guards which addresses are reached (ClientOptions).
	Client *http.Client
	Now    func() time.Time
	// Random gives numbers in [0, 1); optional.
	Random func() float64 `optional:"true"`
}

// NewWorker builds a worker. It fails if a required field is missing.
func NewWorker(c WorkerConfig) (*Worker, error) {
	if err := required.Fields(c); err != nil {
		return nil, err
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	w := &Worker{c: c, secrets: secrets{c.Secret}, quick: make(chan struct{}, poolSize), slow: make(chan struct{}, poolSize),
		bell: make(chan struct{}, 1), metrics: newMetrics(), storeFor: storeFor, lanes: map[models.EndpointID]*lane{}, asked: map[models.EndpointID]struct{}{}}
	var err error
	w.shares, err = shards.New(shards.Config{Name: "deliveries", Count: models.EndpointShards, Leases: c.Leases, Holder: c.Site.Owner, Now: c.Site.Clock(c.Now),
		Gained: func(context.Context, int64) error { return nil }})
	if err != nil {
		return nil, err
	}
	scan := scanEvery
	if c.Exclusive {
		scan = ownScanEvery
	}
	for _, pass := range []worker.Config{
		{Name: "deliveries_shares", Pass: worker.Simple(w.share), Every: shards.PassInterval, Deadline: shards.TTL},
		{Name: "deliveries_scan", Pass: worker.Simple(w.scan), Every: scan, Deadline: passDeadline},
		{Name: "deliveries_measure", Pass: worker.Simple(w.measure), Every: measureEvery, Deadline: passDeadline},
	} {
		options := c.Site.Options()
		options.Backoff = worker.Backoff{First: 100 * time.Millisecond, Most: 2 * time.Second}
		if pass.Name == "deliveries_shares" {
			options.Aligned = true
		} else {
			options = c.Site.Quiet(options)
		}
		running, err := worker.New(pass, options)
		if err != nil {
			return nil, err
		}
		w.passes = append(w.passes, running)
	}
	return w, nil
}

// Wake says that endpoints may have something to send. Those of other
// processes' shards are theirs to find.
func (w *Worker) Wake(ids ...models.EndpointID) {
	w.mu.Lock()
	for _, id := range ids {
		w.asked[id] = struct{}{}
	}
	w.mu.Unlock()
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

// Run works until ctx ends. It lets requests under way end, for a short time,
// and then gives its shards back.
func (w *Worker) Run(ctx context.Context) error {
	var passes sync.WaitGroup
	for _, one := range w.passes {
		passes.Go(func() { _ = one.Run(ctx) }) // it logs what goes wrong
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for ctx.Err() == nil {
		w.start(ctx)
		select {
		case <-ctx.Done():
		case <-w.bell:
		case <-ticker.C:
		}
	}
	passes.Wait()
	w.running.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if err := w.shares.Leave(ctx); err != nil {
		w.c.Site.Log.Warn().Err(err).Msg("webhooks: shards were left to other replicas")
	}
	return nil
}

// Work does once what Run does again and again, and returns when nothing more is
// due.
func (w *Worker) Work(ctx context.Context) error {
	err := errors.Join(w.share(ctx), w.scan(ctx), w.measure(ctx))
	w.start(ctx)
	w.running.Wait()
	return err
}

// share keeps this process's shards and looks into new ones.
func (w *Worker) share(ctx context.Context) error {
	taken, err := w.shares.Pass(ctx)
	return errors.Join(err, w.look(ctx, taken))
}

// scan looks for endpoints with pending deliveries in the shards of this process.
func (w *Worker) scan(ctx context.Context) error { return w.look(ctx, w.shares.Own()) }

func (w *Worker) look(ctx context.Context, numbers []int64) error {
	pending, err := w.c.Deliveries.Pending(ctx, numbers)
	if err != nil || !pending {
		return err
	}
	var found []models.EndpointID
	for _, shard := range numbers {
		for id := models.EndpointID(""); ; {
			next, err := w.c.Deliveries.NextEndpoint(ctx, shard, id)
			if err != nil {
				return err
			}
			if next == "" {
				break
			}
			id = next
			found = append(found, id)
		}
	}
	w.Wake(found...)
	return nil
}

// start runs the lanes that were asked for or have something due again.
func (w *Worker) start(ctx context.Context) {
	now := w.c.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	own := w.shares.Own()
	for id := range w.asked {
		if shard := models.ShardOfEndpoint(id); w.lanes[id] == nil && slices.Contains(own, shard) {
			w.lanes[id] = &lane{w: w, id: id, shard: shard, bell: make(chan struct{}, 1)}
		}
		if l := w.lanes[id]; l != nil {
			w.run(ctx, l)
		}
	}
	clear(w.asked)
	for _, l := range w.lanes {
		if !l.running && !l.next.After(now) {
			w.run(ctx, l)
		}
	}
}

// run has a lane run, or look again if it does. w.mu is held.
func (w *Worker) run(ctx context.Context, l *lane) {
	select {
	case l.bell <- struct{}{}:
	default:
	}
	if !l.running {
		l.running = true
		w.running.Go(func() { l.run(ctx) })
	}
}

// rest ends a run of a lane until a time, zero if nothing is left to send; false
// if it was woken meanwhile.
func (w *Worker) rest(l *lane, next time.Time, stopped bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(l.bell) > 0 && !stopped {
		return false
	}
	l.running, l.next = false, next
	if next.IsZero() {
		delete(w.lanes, l.id)
	}
	return true
}
