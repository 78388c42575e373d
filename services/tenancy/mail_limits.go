package tenancy

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/net/idna"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

// mailSlotTries bounds how often a free slot is looked for that others take at
// the same time.
const mailSlotTries = 5

// MailLimits is a Mailer that limits how many mails go to one address and come from
// one organization, on all replicas together: nobody can have Pulse write to a
// stranger without end. The limits slide: each mail counts for a window.
type MailLimits struct {
	mailer Mailer
	slots  *database.MailSlots
	now    func() time.Time
}

// NewMailLimits limits a mailer.
func NewMailLimits(m Mailer, slots *database.MailSlots, now func() time.Time) *MailLimits {
	return &MailLimits{mailer: m, slots: slots, now: now}
}

// mailLimit bounds the mails that are counted under a name within a window.
type mailLimit struct {
	name   string
	most   int
	window time.Duration
}

// Send sends a mail. rate_limited too_many_mails beyond a limit; otherwise as
// the mailer, and a mail it does not take is not counted.
func (p *MailLimits) Send(ctx context.Context, m Mail) error {
	limits := []mailLimit{{"to|" + mailbox(m.To), models.MailsPerAddress, models.MailAddressWindow}}
	if m.From != "" {
		limits = append(limits, mailLimit{"from|" + string(m.From), models.MailsPerOrganization, models.MailOrganizationWindow})
	}
	var taken []string
	var err error
	for _, l := range limits {
		var id string
		if id, err = p.take(ctx, l); err != nil {
			break
		}
		taken = append(taken, id)
	}
	if err == nil {
		err = p.mailer.Send(ctx, m)
	}
	if err != nil && len(taken) > 0 {
		_ = p.slots.Free(context.WithoutCancel(ctx), taken) // otherwise it counts although it was not sent
	}
	return err
}

// take takes a slot of a limit.
func (p *MailLimits) take(ctx context.Context, l mailLimit) (id string, err error) {
	ids := make([]string, l.most)
	for n := range ids {
		ids[n] = secret.Digest(l.name + "|" + strconv.Itoa(n))
	}
	for range mailSlotTries {
		now := p.now()
		latest := now.Add(l.window + models.ClockLimit) // what ends later was taken by a clock that was ahead
		held, err := p.slots.Of(ctx, ids)
		if err != nil {
			return "", err
		}
		held = slices.DeleteFunc(held, func(s models.MailSlot) bool { return !now.Before(s.ExpiresAt) || s.ExpiresAt.After(latest) })
		if len(held) >= l.most {
			first := slices.MinFunc(held, func(a, b models.MailSlot) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
			refused := models.NewError(models.KindRateLimited, "too_many_mails", "Too many mails to this address, or from this organization; try again later.")
			refused.RetryAfter = first.ExpiresAt.Sub(now)
			return "", refused
		}
		for _, id := range ids {
			if slices.ContainsFunc(held, func(s models.MailSlot) bool { return s.ID == id }) {
				continue
			}
			err := p.slots.Take(ctx, models.MailSlot{ID: id, ExpiresAt: now.Add(l.window)}, now, latest)
			if !models.IsKind(err, models.KindConflict) {
				return id, err
			}
			break // somebody else took it: look again
		}
	}
	return "", database.ErrChangedSince()
}

// mailbox is where mails to an address arrive: of what is before the @ only the
// part before a plus, since what follows is the sender's to choose (RFC 5233), and
// without quotes and escapes, which mean nothing (RFC 5321, section 4.1.2); the domain
// as the DNS knows it (UTS #46).
func mailbox(address string) string {
	folded := models.FoldEmail(address)
	at := strings.LastIndexByte(folded, '@')
	if at < 0 {
		return folded
	}
	name, domain := folded[:at], folded[at+1:]
	if len(name) > 1 && name[0] == '"' {
		name = strings.ReplaceAll(strings.Trim(name, `"`), `\`, "")
	}
	name, _, _ = strings.Cut(name, "+")
	if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = ascii
	}
	return name + "@" + domain
}

// maxNameInMail bounds a name in a mail, in characters.
const maxNameInMail = 80

// inMail gives a name that strangers chose as it may stand in a mail: one line
// of visible characters in which no program for mail finds a link.
func inMail(name string) string {
	var out strings.Builder
	for _, r := range name {
		switch {
		case unicode.IsSpace(r), !unicode.IsGraphic(r), strings.ContainsRune(linking, r):
			r = ' '
		}
		out.WriteRune(r)
	}
	words := []rune(strings.Join(strings.Fields(out.String()), " "))
	if len(words) == 0 {
		return "an organization"
	}
	return string(words[:min(len(words), maxNameInMail)])
}

// linking are the characters without which no text is a URL, a domain or an
// address: dots in every script's form, colons, slashes and at signs.
const linking = ".:/\\@\u2024\u3002\ufe52\uff0e\uff61\ufe55\uff1a\u2044\u2215\uff0f\uff3c\ufe6b\uff20"
