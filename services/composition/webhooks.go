package composition

import (
	"context"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/services/webhooks"
	"pulse-control-plane/utils/safedial"
	"pulse-control-plane/utils/worker"
)

// fanoutTTL is how long other processes wait for the one that fans out after it
// died.
const fanoutTTL = 4 * time.Second

// webhooks builds endpoints, deliveries and the workers that make and send them.
func (b *builder) webhooks(site worker.Site) error {
	sealed, err := b.sealed.Of("webhook_endpoints", "secret")
	if err != nil {
		return err
	}
	endpoints, deliveries := database.NewEndpoints(b.engine), database.NewDeliveries(b.engine)
	stored, sequences := database.NewEvents(b.engine), database.NewSequences(b.engine)
	sending, err := webhooks.NewWorker(webhooks.WorkerConfig{
		Endpoints: endpoints, Deliveries: deliveries, Events: stored, Sequences: sequences, Leases: b.leases, Site: site, Exclusive: b.engine.Exclusive(),
		Secret: sealed, Client: safedial.NewClient(webhooks.ClientOptions(b.Targets)), Now: b.Now,
	})
	if err != nil {
		return err
	}
	fanout, err := webhooks.NewFanout(webhooks.FanoutConfig{
		Log: b.out.EventLog, Endpoints: endpoints, Deliveries: deliveries, Sequences: sequences, Wake: sending.Wake, Now: b.Now})
	if err != nil {
		return err
	}
	recovery, err := webhooks.NewRecovery(webhooks.RecoveryConfig{
		Events: stored, Endpoints: endpoints, Deliveries: deliveries, Sequences: sequences, Wake: sending.Wake, Now: b.Now})
	if err != nil {
		return err
	}
	notices := webhooks.NoticesConfig{Log: b.out.EventLog, Endpoints: endpoints, Organizations: b.organizations, Users: b.users, URL: b.PublicURL, Now: b.Now}
	if b.Mailer != nil {
		notices.Mail = func(ctx context.Context, to, subject, text string) error {
			return b.Mailer.Send(ctx, tenancy.Mail{To: to, Subject: subject, Text: text})
		}
	}
	telling, err := webhooks.NewNotices(notices)
	if err != nil {
		return err
	}
	b.out.Deliveries = sending
	b.out.workers = append(b.out.workers, Worker{"deliveries", sending.Run})
	led := site.Quiet(site.Led(fanoutTTL, nil))
	led.Backoff = worker.Backoff{First: 100 * time.Millisecond, Most: 2 * time.Second}
	running := map[string]*worker.Worker{}
	for _, w := range []worker.Config{
		{Name: "webhook_fanout", Pass: fanout.Pass, Every: 500 * time.Millisecond, Deadline: 30 * time.Second},
		{Name: "webhook_recovery", Pass: recovery.Pass, Every: time.Second, Deadline: 30 * time.Second},
		{Name: "webhook_notices", Pass: telling.Pass, Every: 2 * time.Second, Deadline: time.Minute},
	} {
		if running[w.Name], err = worker.New(w, led); err != nil {
			return err
		}
		b.out.workers = append(b.out.workers, Worker{w.Name, running[w.Name].Run})
	}
	b.out.EventTail.Notify(running["webhook_fanout"].Wake)
	b.out.Endpoints, err = webhooks.NewEndpoints(webhooks.EndpointsConfig{
		Endpoints: endpoints, Deliveries: deliveries, Events: stored, Projects: b.projects, Organizations: b.organizations, Log: b.out.EventLog,
		Guard: safedial.New(b.Targets), Secret: sealed, Cursors: b.cursors, Trail: b.out.Trail,
		Wake: sending.Wake, Recover: running["webhook_recovery"].Wake, Now: b.Now,
	})
	return err
}
