package composition

import (
	"errors"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/services/ingress"
	"pulse-control-plane/services/media"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/utils/safedial"
	"pulse-control-plane/utils/worker"
)

// Media is what the installation allows of egress and ingress. The zero value
// allows what is safe anywhere.
type Media struct {
	// EgressLocal lets projects without a storage record on the egress worker's own
	// disk, EgressWeb lets workers record web pages.
	EgressLocal, EgressWeb bool
	// AllowPrivate opens private networks to targets that tenants name.
	AllowPrivate bool
	// StopWait is how long a stop waits for an egress to be active; 0 is 10 s.
	StopWait time.Duration
}

const (
	// lookupTimeout bounds looking up the host of a target.
	lookupTimeout = 2 * time.Second
	// egressCompared is how often records of egresses are compared with LiveKit's
	// list, stopsRetried how often a stop that waits is tried.
	egressCompared = 5 * time.Second
	stopsRetried   = 2 * time.Second
	// recordingsStarted is how often automatic recordings are looked for that are due:
	// this process is woken for those in its own events.
	recordingsStarted = 5 * time.Second
	// ingressCompared is as egressCompared, for ingresses: LiveKit reads each of its own
	// from Redis for a list.
	ingressCompared = 15 * time.Second
)

// egress builds the service of egress.
func (b *builder) egress() error {
	targets := safedial.Options{Schemes: []string{"rtmp", "rtmps"}, AllowUser: true, AllowPrivate: b.Media.AllowPrivate, DialTimeout: lookupTimeout}
	pages := safedial.Options{AllowHTTP: true, AllowPrivate: b.Media.AllowPrivate, DialTimeout: lookupTimeout}
	var err error
	b.out.Egresses, err = media.NewEgresses(media.EgressConfig{
		Projects: b.projects, Store: database.NewEgresses(b.engine), Clusters: b.out.Clusters, Placements: b.placements, Quotas: b.out.Limits,
		Storages: b.vault, Rooms: database.NewRooms(b.engine), Failed: b.sources.RecordingFailed, Targets: safedial.New(targets), Pages: safedial.New(pages), Web: b.Media.EgressWeb,
		Cursors: b.cursors, Trail: b.out.Trail, Wake: func() { b.stopping.Wake() }, WakeDue: func() { b.recording.Wake() },
		StopWait: b.Media.StopWait, Log: b.Log, Now: b.Now,
	})
	return err
}

// ingress builds the service of ingress. What is pulled may be what LiveKit pulls:
// http, https and srt (livekit-server, pkg/service/ingress.go).
func (b *builder) ingress() (err error) {
	sources := safedial.Options{Schemes: []string{"http", "https", "srt"}, AllowHTTP: true, AllowUser: true, AllowPrivate: b.Media.AllowPrivate, DialTimeout: lookupTimeout}
	b.out.Ingresses, err = ingress.New(ingress.Config{
		Projects: b.projects, Store: database.NewIngresses(b.engine), Clusters: b.out.Clusters, Placements: b.placements, Quotas: b.out.Limits,
		Sources: safedial.New(sources), Cursors: b.cursors, Trail: b.out.Trail, Log: b.Log, Now: b.Now,
	})
	return err
}

// egressSteps are the steps of the inbox that egress and ingress need.
func (b *builder) egressSteps() []metering.Step {
	return []metering.Step{{Turn: metering.TurnEgress, Consumer: b.out.Egresses}, {Turn: metering.TurnIngress, Consumer: b.out.Ingresses},
		{Turn: metering.TurnRecordings, Consumer: b.out.Egresses.Recordings()}}
}

// egressWorkers declares the background tasks of egress.
func (b *builder) egressWorkers(site worker.Site) error {
	compare, wrong := worker.New(worker.Config{Name: "egress", Pass: worker.Simple(b.out.Egresses.Compare), Every: egressCompared, Deadline: time.Minute},
		site.Led(15*time.Second, nil))
	stop, err := worker.New(worker.Config{Name: "egress_stops", Pass: worker.Simple(b.out.Egresses.StopAsked), Every: stopsRetried, Deadline: time.Minute},
		site.Quiet(site.Options()))
	if wrong = errors.Join(wrong, err); wrong != nil {
		return wrong
	}
	ingress, err := worker.New(worker.Config{Name: "ingress", Pass: worker.Simple(b.out.Ingresses.Compare), Every: ingressCompared, Deadline: time.Minute},
		site.Led(30*time.Second, nil))
	if err != nil {
		return err
	}
	recording, err := worker.New(worker.Config{Name: "recordings", Pass: b.out.Egresses.StartDue, Every: recordingsStarted, Deadline: 2 * time.Minute}, site.Options())
	if err != nil {
		return err
	}
	b.stopping, b.recording = stop, recording
	b.out.workers = append(b.out.workers, Worker{compare.Name(), compare.Run}, Worker{stop.Name(), stop.Run}, Worker{ingress.Name(), ingress.Run},
		Worker{recording.Name(), recording.Run})
	return nil
}
