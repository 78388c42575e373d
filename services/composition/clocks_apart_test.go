package composition_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/tenancy"
)

// box counts the mails that left.
type box struct{ n atomic.Int64 }

func (b *box) Send(context.Context, tenancy.Mail) error {
	b.n.Add(1)
	return nil
}

func TestMailLimitsHoldAcrossReplicasWhoseClocksAreApart(t *testing.T) {
	for _, ahead := range []time.Duration{2 * time.Hour, -2 * time.Hour} {
		p, mails := newPeople(t), &box{}
		p.invitationURL = "https://pulse.example/invitation"
		right := p.clock
		one := p.process(shared{p.engine}, mails, "jwt secret of the tests")
		p.clock = testkit.NewClock()
		p.clock.Advance(ahead)
		two := p.process(shared{p.engine}, mails, "jwt secret of the tests")
		one.MeasureClock(t.Context())
		two.MeasureClock(t.Context())
		found := p.found()
		owner := p.actor(found.Login)
		for n := range 2 * models.MailsPerAddress {
			by := one
			if n >= models.MailsPerAddress {
				by = two
			}
			if _, err := by.Invitations.Create(t.Context(), owner, found.Organization.ID,
				tenancy.InvitationInput{Email: fmt.Sprintf("grace+%d@example.com", n), Role: models.RoleViewer}); err != nil && !models.HasCode(err, "too_many_mails") {
				t.Fatal(err)
			}
		}
		if n := mails.n.Load(); n != models.MailsPerAddress {
			t.Errorf("ahead %s: %d mails left for one address, not %d", ahead, n, models.MailsPerAddress)
		}
		right.Advance(models.MailAddressWindow)
		p.clock.Advance(models.MailAddressWindow)
		if _, err := two.Invitations.Create(t.Context(), owner, found.Organization.ID,
			tenancy.InvitationInput{Email: "grace+last@example.com", Role: models.RoleViewer}); err != nil || mails.n.Load() != models.MailsPerAddress+1 {
			t.Errorf("ahead %s: an hour later %d mails have left: %v", ahead, mails.n.Load(), err)
		}
	}
}

func TestComponentsAreMeasuredAgainAfterTheDatabasesClockWasSetBack(t *testing.T) {
	p := newPeople(t)
	theirs := p.clock
	p.clock = testkit.NewClock()
	s := p.process(shared{p.engine}, nil, "jwt secret of the tests")
	s.MeasureClock(t.Context())
	before := s.Status.Report(t.Context()).Components[0].CheckedAt
	theirs.Advance(-time.Hour)
	s.MeasureClock(t.Context())
	p.clock.Advance(time.Minute)
	if again := s.Status.Report(t.Context()).Components[0].CheckedAt; again.Sub(before) != time.Minute {
		t.Errorf("measured at %v, and a minute later at %v", before, again)
	}
}
