package composition

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulse-control-plane/database"
	"pulse-control-plane/services/operations"
	"pulse-control-plane/utils/worker"
)

// measureEvery is how often what waits is counted for the metrics, componentsEvery
// how often the dependencies are measured for them.
const (
	measureEvery    = 5 * time.Second
	componentsEvery = 15 * time.Second
)

// operations builds what the operator asks of the installation, and the metrics of
// the parts that the others do not register.
func (b *builder) operations() (err error) {
	b.out.Operations, err = operations.New(operations.Config{
		Inbox: b.out.Inbox, Totals: b.out.Totals, Evictions: database.NewEvictions(b.engine), Deliveries: database.NewDeliveries(b.engine), Leases: b.leases,
		Compared: b.out.Reconciliation.LastRead,
		Holder:   b.holder, ClockAhead: b.out.Clock.Ahead, Trail: b.out.Trail, Now: b.Now,
	})
	if err != nil {
		return err
	}
	site := b.site()
	for _, w := range []struct {
		config  worker.Config
		options worker.Options
	}{
		{worker.Config{Name: "measurements", Pass: worker.Simple(b.out.Operations.Measure), Every: measureEvery, Deadline: 30 * time.Second}, site.Quiet(site.Options())},
		{worker.Config{Name: "components", Pass: worker.Simple(b.out.Status.Measure), Every: componentsEvery, Deadline: 30 * time.Second}, site.Options()},
	} {
		measuring, err := worker.New(w.config, w.options)
		if err != nil {
			return err
		}
		b.out.workers = append(b.out.workers, Worker{measuring.Name(), measuring.Run})
	}
	b.out.measured = []measured{b.out.Operations, b.out.KeyAuth, b.out.LoginSessions, b.out.InboxWorker, b.out.Reconciliation, b.out.Status, b.placements, b.sources}
	return nil
}

// measured has metrics.
type measured interface {
	Register(registry prometheus.Registerer)
}
