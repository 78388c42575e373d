package composition

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulse-control-plane/database"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/services/clock"
	"pulse-control-plane/services/status"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/ratelimit"
	"pulse-control-plane/utils/worker"
)

// clockEvery is how soon it is noticed that this process's clock was set. The
// database's is read each minute.
const clockEvery = 5 * time.Second

// shared builds what replicas have in common besides documents: the database's
// clock, by which all services go, the limits of mails, and the counts of guesses, in Redis if there is one, else in the database
// or, if no other process uses that, in memory.
func (b *builder) shared() error {
	b.own = b.Now
	b.out.Clock = clock.New(database.NewClockReadings(b.engine), b.process, b.Now, b.Log)
	if b.out.exclusive = b.engine.Exclusive(); !b.out.exclusive {
		// Every time that is stored is compared by replicas with other clocks.
		b.Now = b.out.Clock.Database
	}
	if b.Mailer != nil {
		b.Mailer = tenancy.NewMailLimits(b.Mailer, database.NewMailSlots(b.engine), b.Now)
	}
	local := ratelimit.New(keyCacheSize, b.own)
	stored := auth.NewStoredLimits(database.NewThrottles(b.engine), b.Now, local)
	failures := ratelimit.NewLocalFailures(auth.LoginBackoff(), 2*sessionCacheSize, b.own)
	switch {
	case b.Redis != nil:
		b.guesses, b.failures = b.Redis, b.Redis.Failures(failures)
		b.out.redis = b.Redis
		b.Probes = append(b.Probes, status.Probe{Name: "redis", Check: b.Redis.Ping})
	case b.engine.Exclusive():
		b.guesses, b.failures = ratelimit.Local{Limiter: local}, failures
	default:
		b.guesses, b.failures = stored, stored
	}
	return nil
}

// Register registers the metrics of all services.
func (s *Services) Register(registry prometheus.Registerer) {
	s.Inbox.Register(registry)
	s.Limits.Register(registry)
	s.Evictions.Register(registry)
	s.Deliveries.Register(registry)
	s.Clock.Register(registry)
	if s.projectMetrics != nil {
		registry.MustRegister(s.projectMetrics)
	}
	for _, m := range s.measured {
		m.Register(registry)
	}
	if s.redis != nil {
		s.redis.Breaker.Register("redis", registry)
	}
}

// MeasureClock compares the clocks once, where they can differ: before the first
// request. A failure is left to the worker that does so every minute.
func (s *Services) MeasureClock(ctx context.Context) {
	if s.exclusive {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_ = s.Clock.Measure(ctx)
}

// clockProbes watch the clock, where it can differ from the database's.
func (b *builder) clockProbes() []status.Probe {
	if b.engine.Exclusive() {
		return nil
	}
	return []status.Probe{{Name: "clock", Check: b.out.Clock.Check, Essential: true}}
}

// clockWorker compares the clocks, where they can differ.
func (b *builder) clockWorker(site worker.Site) error {
	if b.engine.Exclusive() {
		return nil
	}
	running, err := worker.New(worker.Config{Name: "clock", Pass: worker.Simple(b.out.Clock.Follow), Every: clockEvery, Deadline: 5 * time.Second}, site.Options())
	if err != nil {
		return err
	}
	b.out.workers = append(b.out.workers, Worker{running.Name(), running.Run})
	return nil
}
