package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/progress"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

// RekeyConfig of NewRekey.
type RekeyConfig struct {
	Engine database.Engine
	// DataKeys are those of DATA_KEY: the first seals, all open.
	DataKeys []secret.Value
	// Peppers are those of API_KEY_PEPPER.
	Peppers []secret.Value
	// Progress takes what is going on.
	Progress io.Writer
	Now      func() time.Time
}

// Rekey seals every sealed value with the first DATA_KEY, beside running servers,
// and counts what other keys are still needed for.
type Rekey struct {
	c      RekeyConfig
	fields *database.SealedFields
	keys   *database.APIKeys
	ring   *secret.Ring
	// wait is between two tries of a busy database.
	wait time.Duration
}

// NewRekey builds it. It fails if a required field is missing.
func NewRekey(c RekeyConfig) (*Rekey, error) {
	if err := required.Fields(c); err != nil {
		return nil, err
	}
	ring, err := secret.NewRing(c.DataKeys...)
	if err != nil {
		return nil, err
	}
	return &Rekey{c: c, ring: ring, fields: database.SealedUnder(ring), keys: database.NewAPIKeys(c.Engine), wait: rekeyWait}, nil
}

const (
	// rekeyPasses bounds how often all values are read: those that a server
	// changes meanwhile are found by the next pass.
	rekeyPasses = 10
	// rekeyTries and rekeyWait bound the tries of one pass while the database is
	// busy.
	rekeyTries = 10
	rekeyWait  = time.Second
)

// KeyReport says what keys are in use.
type KeyReport struct {
	// Current is the id of the key that seals.
	Current string
	// Resealed is how many values were sealed again.
	Resealed int64
	// Sealed counts what is stored afterwards.
	Sealed database.Sealing
	// Peppers are the API keys by the pepper in their hashes, "" for none named.
	Peppers map[string]int64
	// CurrentPepper is the id of the pepper in new hashes.
	CurrentPepper string
}

// SealAgain is `rekey`.
func (c Commands) SealAgain(ctx context.Context) (err error) {
	if len(c.Secrets[DataKey]) == 0 {
		return models.Misconfigured("data_key_required", "rekey needs DATA_KEY: the new key first, then those that sealed what is stored.")
	}
	e, err := database.OpenBeside(ctx, c.At, zerolog.Nop())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(ctx))) }()
	r, err := NewRekey(RekeyConfig{Engine: e, DataKeys: c.Secrets[DataKey], Peppers: c.Secrets[APIKeyPepper], Progress: c.Progress, Now: c.Now})
	if err != nil {
		return err
	}
	report, err := r.Run(ctx)
	if err != nil {
		return errors.Join(err, say(c.Out, "%d values were sealed again before the fault\n", report.Resealed))
	}
	return say(c.Out, "%d values were sealed again\n%s", report.Resealed, report)
}

// Run seals everything with the first key. It can be interrupted and run again: a
// value names its key, so nothing is sealed twice. misconfigured
// "data_key_missing" if values remain that no listed key opens; unavailable if
// servers write values with another key faster than they are sealed again.
func (r *Rekey) Run(ctx context.Context) (KeyReport, error) {
	report := KeyReport{Current: r.ring.Current()}
	for range rekeyPasses {
		sealed, resealed, err := r.pass(ctx)
		report.Resealed += resealed
		if err != nil {
			return report, err
		}
		if sealed.Left() > sealed.Unopened {
			continue
		}
		if report.Sealed, report.Peppers, err = sealed, nil, nil; sealed.Unopened > 0 {
			return report, r.missing(sealed)
		}
		return report, r.peppers(ctx, &report)
	}
	return report, models.Unavailable(errors.New("a server still seals with another key; give every server the same list of DATA_KEY and run rekey again"))
}

// Look counts what keys are in use and changes nothing. Errors as Run's.
func (r *Rekey) Look(ctx context.Context) (KeyReport, error) {
	report := KeyReport{Current: r.ring.Current()}
	for _, collection := range database.SealedCollections() {
		sealed, err := r.fields.Count(ctx, r.c.Engine, collection)
		if err != nil {
			return report, err
		}
		report.Sealed.Add(sealed)
	}
	return report, r.peppers(ctx, &report)
}

// pass seals once through everything, then counts what another key sealed.
func (r *Rekey) pass(ctx context.Context) (left database.Sealing, resealed int64, err error) {
	for _, collection := range database.SealedCollections() {
		bar := progress.New(r.c.Progress, collection, 0, r.c.Now)
		sealed, err := r.patient(ctx, func() (database.Sealing, error) {
			return r.fields.Reseal(ctx, r.c.Engine, collection, func(page database.Sealing) { bar.Add(page.Documents) })
		})
		bar.End()
		resealed += sealed.Resealed
		if err != nil {
			return left, resealed, err
		}
	}
	for _, collection := range database.SealedCollections() {
		counted, err := r.patient(ctx, func() (database.Sealing, error) { return r.fields.Count(ctx, r.c.Engine, collection) })
		if err != nil {
			return left, resealed, err
		}
		left.Add(counted)
	}
	return left, resealed, nil
}

// patient tries again while the database is busy.
func (r *Rekey) patient(ctx context.Context, do func() (database.Sealing, error)) (all database.Sealing, err error) {
	for try := 1; ; try++ {
		var one database.Sealing
		one, err = do()
		one.Resealed += all.Resealed
		all = one
		if !models.IsKind(err, models.KindUnavailable) || try == rekeyTries || ctx.Err() != nil {
			return all, err
		}
		timer := time.NewTimer(r.wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return all, err
		case <-timer.C:
		}
	}
}

func (r *Rekey) missing(s database.Sealing) error {
	var keys []string
	for _, id := range slices.Sorted(maps.Keys(s.Others)) {
		if id == "" {
			id = "without an id"
		}
		keys = append(keys, id)
	}
	return models.Misconfigured("data_key_missing", fmt.Sprintf(
		"No key of DATA_KEY opens %d sealed values (keys: %s); the first is in %s. Add the key that sealed them to the end of DATA_KEY and run rekey again.",
		s.Unopened, strings.Join(keys, ", "), s.Unopenable))
}

// peppers counts the API keys by the pepper in their hashes.
func (r *Rekey) peppers(ctx context.Context, report *KeyReport) error {
	all, err := r.keys.NotDeleted(ctx)
	if err != nil {
		return err
	}
	report.Peppers = map[string]int64{}
	ids := []string{""}
	for _, p := range r.c.Peppers {
		ids = append(ids, secret.KeyID(p))
	}
	if len(ids) > 1 {
		report.CurrentPepper = ids[1]
	}
	for _, id := range ids {
		n, err := r.keys.Peppered(ctx, id)
		if err != nil {
			return err
		}
		report.Peppers[id] = n
		all -= n
	}
	if all > 0 {
		report.Peppers["another"] = all
	}
	return nil
}

// String says what keys are in use and which can be removed.
func (k KeyReport) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "DATA_KEY: %d values name the first key (%s)\n", k.Sealed.Current, k.Current)
	for _, id := range slices.Sorted(maps.Keys(k.Sealed.Others)) {
		name := "name the key " + id
		if id == "" {
			name = "name no key"
		}
		fmt.Fprintf(&text, "DATA_KEY: %d values %s; `pulse-control-plane rekey` seals them with the first\n", k.Sealed.Others[id], name)
	}
	if k.Sealed.Left() == 0 {
		text.WriteString("DATA_KEY: nothing is sealed with another key; older keys can be removed 24 hours after the first one became the first\n")
	}
	for _, id := range slices.Sorted(maps.Keys(k.Peppers)) {
		n, name := k.Peppers[id], "the pepper "+id+"; it stays in the list until they were used or rotated"
		switch {
		case n == 0:
			continue
		case id == k.CurrentPepper:
			name = "the first pepper (" + id + ")"
		case id == "":
			name = "a pepper that they do not name; older peppers stay in the list until they were used or rotated"
		case id == "another":
			name = "a pepper that is not listed; rotate them, or list the pepper again"
		}
		fmt.Fprintf(&text, "API_KEY_PEPPER: %d API keys are hashed with %s\n", n, name)
	}
	return text.String()
}
