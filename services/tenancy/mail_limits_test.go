package tenancy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

// sent counts mails, or refuses them.
type sent struct {
	n    atomic.Int64
	away atomic.Bool
}

func (s *sent) Send(context.Context, Mail) error {
	if s.away.Load() {
		return models.Unavailable(context.DeadlineExceeded)
	}
	s.n.Add(1)
	return nil
}

func to(n int) string { return fmt.Sprintf("p%d@example.com", n) }

func TestMailsThatAClockAheadCountedDoNotCountBeyondTheWindow(t *testing.T) {
	engine, clock, box := testkit.NewEngine(t), testkit.NewClock(), &sent{}
	p := NewMailLimits(box, database.NewMailSlots(engine), clock.Now)
	for _, set := range []time.Duration{1000 * time.Hour, -1000 * time.Hour} {
		clock.Advance(set)
		for range models.MailsPerAddress {
			if err := p.Send(t.Context(), Mail{To: "ada@example.com"}); err != nil {
				t.Fatalf("set by %s: %v", set, err)
			}
		}
		testkit.WantCode(t, p.Send(t.Context(), Mail{To: "ada@example.com"}), "too_many_mails")
	}
}

func TestAnAddressGetsFiveMailsAnHourWhateverTheProcess(t *testing.T) {
	engine, clock, box := testkit.NewEngine(t), testkit.NewClock(), &sent{}
	send := func(address string) error {
		// Each from a process that has just started, in another spelling.
		return NewMailLimits(box, database.NewMailSlots(engine), clock.Now).Send(t.Context(), Mail{To: address})
	}
	for n := range models.MailsPerAddress {
		if err := send("ada@example.com"); err != nil {
			t.Fatalf("mail %d: %v", n, err)
		}
		clock.Advance(time.Minute)
	}
	for range 3 {
		err := send("ADA@Example.com")
		testkit.WantCode(t, err, "too_many_mails")
		if wait := err.(*models.Error).RetryAfter; wait != time.Hour-models.MailsPerAddress*time.Minute {
			t.Errorf("the next is let through after %s", wait)
		}
	}
	for _, same := range []string{"ada+newsletter@example.com", `"ada"@example.com`, `"a\d\a"@example.com`, `"ada+x"@example.com`, "ada@\uff45xample.com", "ada@exam\u00adple.com"} {
		testkit.WantCode(t, send(same), "too_many_mails")
	}
	if err := send("eve@example.com"); err != nil {
		t.Errorf("another address: %v", err)
	}
	clock.Advance(time.Hour - models.MailsPerAddress*time.Minute)
	if err := send("ada@example.com"); err != nil {
		t.Errorf("an hour after the first: %v", err)
	}
	testkit.WantCode(t, send("ada@example.com"), "too_many_mails")
	if got := box.n.Load(); got != models.MailsPerAddress+2 {
		t.Errorf("%d mails were sent", got)
	}
}

func TestAnOrganizationSendsAHundredMailsADay(t *testing.T) {
	engine, clock, box := testkit.NewEngine(t), testkit.NewClock(), &sent{}
	p := NewMailLimits(box, database.NewMailSlots(engine), clock.Now)
	for n := range models.MailsPerOrganization {
		if err := p.Send(t.Context(), Mail{To: to(n), From: "org_a"}); err != nil {
			t.Fatalf("mail %d: %v", n, err)
		}
	}
	for n := range 10 {
		testkit.WantCode(t, p.Send(t.Context(), Mail{To: to(1000), From: "org_a"}), "too_many_mails")
		_ = n
	}
	// What was refused for the organization does not count for the address.
	for n := range models.MailsPerAddress {
		if err := p.Send(t.Context(), Mail{To: to(1000), From: "org_b"}); err != nil {
			t.Fatalf("mail %d from another organization: %v", n, err)
		}
	}
	clock.Advance(models.MailOrganizationWindow)
	if err := p.Send(t.Context(), Mail{To: to(1), From: "org_a"}); err != nil {
		t.Errorf("a day later: %v", err)
	}
}

func TestADomainIsOneHoweverItsNameIsWritten(t *testing.T) {
	want := mailbox("ada@xn--bcher-kva.example")
	for _, same := range []string{"ada@b\u00fccher.example", "ada@bu\u0308cher.example", "Ada@B\u00dcCHER.example", "ada@b\u00fccher\uff0eexample", `"ada"@XN--bcher-kva.example`} {
		if got := mailbox(same); got != want {
			t.Errorf("%+q: %q", same, got)
		}
	}
	for _, other := range []string{"ada@bucher.example", "ida@b\u00fccher.example", `"@xn--bcher-kva.example`, "ada@b_cher.example"} {
		if got := mailbox(other); got == want {
			t.Errorf("%+q: %q", other, got)
		}
	}
}

func TestMailsThatWereNotSentDoNotCount(t *testing.T) {
	engine, clock, box := testkit.NewEngine(t), testkit.NewClock(), &sent{}
	p := NewMailLimits(box, database.NewMailSlots(engine), clock.Now)
	box.away.Store(true)
	for range 3 * models.MailsPerAddress {
		if err := p.Send(t.Context(), Mail{To: "ada@example.com", From: "org_a"}); !models.IsKind(err, models.KindUnavailable) {
			t.Fatalf("got %v", err)
		}
	}
	box.away.Store(false)
	for range models.MailsPerAddress {
		if err := p.Send(t.Context(), Mail{To: "ada@example.com", From: "org_a"}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMailsAtTheSameTimeGainNothing(t *testing.T) {
	engine, clock, box := testkit.NewEngine(t), testkit.NewClock(), &sent{}
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			_ = NewMailLimits(box, database.NewMailSlots(engine), clock.Now).Send(t.Context(), Mail{To: "ada@example.com"})
		})
	}
	all.Wait()
	if got := box.n.Load(); got == 0 || got > models.MailsPerAddress {
		t.Errorf("%d mails were sent", got)
	}
}

func TestNoNameOfAnOrganizationCarriesAURLOrALineIntoAMail(t *testing.T) {
	for name, want := range map[string]string{
		"Acme":                                "Acme",
		"Müller & Söhne, 会社":                  "Müller & Söhne, 会社",
		"Acme Inc.":                           "Acme Inc",
		"https://evil.example/x?y=z":          "https evil example x?y=z",
		"win at evil.example now":             "win at evil example now",
		"www.evil.example":                    "www evil example",
		"mailto:a@evil.example":               "mailto a evil example",
		"evil\u3002example evil\uff0eexample": "evil example evil example",
		"a\r\nBcc: x":                         "a Bcc x",
		"a\u2028b\u2029c\u0085d":              "a b c d",
		"\u202egro.live\u202c \u200bx\u2066y": "gro live x y",
		"...":                                 "an organization",
		"\u200b":                              "an organization",
		strings.Repeat("a", 500):              strings.Repeat("a", 80),
	} {
		if got := inMail(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
