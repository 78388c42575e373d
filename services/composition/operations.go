package composition

import (
	"pulse-control-plane/database"
	"pulse-control-plane/services/operations"
)

// operations builds what the operator asks of the installation.
func (b *builder) operations() (err error) {
	b.out.Operations, err = operations.New(operations.Config{
		Inbox: b.out.Inbox, Evictions: database.NewEvictions(b.engine), Deliveries: database.NewDeliveries(b.engine), Leases: b.leases,
		Holder: b.holder, ClockAhead: b.out.Clock.Ahead, Trail: b.out.Trail, Now: b.Now,
	})
	return err
}
