package database

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/sync/errgroup"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

// Sealing counts the sealed values that a pass over documents found.
type Sealing struct {
	// Documents that were read.
	Documents int64
	// Current values name the key that seals. Resealed were made to, Changed were
	// changed by another process meanwhile, so that they are to be read again.
	Current, Resealed, Changed int64
	// Others are the values that name another key, or none (""), by its id.
	Others map[string]int64
	// Unopened are those of Others that no listed key opens, and Unopenable is
	// where the first is.
	Unopened   int64
	Unopenable string
}

// Left is how many values the current key did not seal.
func (s *Sealing) Left() (n int64) {
	for _, count := range s.Others {
		n += count
	}
	return n
}

// Add adds another count.
func (s *Sealing) Add(o Sealing) {
	s.Documents += o.Documents
	s.Current += o.Current
	s.Resealed += o.Resealed
	s.Changed += o.Changed
	s.Unopened += o.Unopened
	if s.Unopenable == "" {
		s.Unopenable = o.Unopenable
	}
	for key, n := range o.Others {
		if s.Others == nil {
			s.Others = map[string]int64{}
		}
		s.Others[key] += n
	}
}

// SealedCollections are the collections with sealed fields.
func SealedCollections() (names []string) {
	for _, c := range Schema() {
		if len(c.Sealed) > 0 {
			names = append(names, c.Name)
		}
	}
	return names
}

// Count counts the sealed values of a collection and changes nothing. It opens
// those that the current key did not seal.
func (s *SealedFields) Count(ctx context.Context, e Engine, collection string) (Sealing, error) {
	return s.pass(ctx, e, collection, nil, nil)
}

// Reseal seals the values of a collection with the current key that another one
// sealed, each only if it is still what was read. It calls progress after each
// page with what that page counted. It can be interrupted and run again.
func (s *SealedFields) Reseal(ctx context.Context, e Engine, collection string, progress func(Sealing)) (Sealing, error) {
	return s.pass(ctx, e, collection, func(id string, before, after bson.D) (bool, error) {
		return e.Swap(ctx, collection, id, before, after)
	}, progress)
}

type swap func(id string, before, after bson.D) (bool, error)

// pass reads a collection a page at a time, in order of the ids.
func (s *SealedFields) pass(ctx context.Context, e Engine, collection string, change swap, progress func(Sealing)) (Sealing, error) {
	fields, err := s.declared(collection)
	if err != nil {
		return Sealing{}, err
	}
	var all Sealing
	for after := ""; ; {
		var page []bson.Raw
		err := e.Find(ctx, collection, Query{
			Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}},
			Sort:   bson.D{{Key: "_id", Value: 1}}, Limit: resealPage,
		}, func(raw bson.Raw) error {
			page = append(page, bytes.Clone(raw))
			return nil
		})
		if err != nil {
			return all, err
		}
		// Writes that wait together share a sync of the disk.
		counts := make([]Sealing, len(page))
		var together errgroup.Group
		for i, raw := range page {
			together.Go(func() (err error) {
				counts[i], err = resealOne(collection, fields, raw, change)
				return err
			})
		}
		err = together.Wait()
		var counted Sealing
		for _, one := range counts {
			counted.Add(one)
		}
		all.Add(counted)
		if err != nil {
			return all, err
		}
		if progress != nil {
			progress(counted)
		}
		if len(page) < resealPage {
			return all, nil
		}
		after = page[len(page)-1].Lookup("_id").StringValue()
	}
}

// resealPage is how many documents are read at once: answers to requests with an
// Idempotency-Key may have a megabyte.
const resealPage = 20

func (s *SealedFields) declared(collection string) (fields []*SealedField, err error) {
	for _, c := range Schema() {
		if c.Name != collection {
			continue
		}
		for _, declared := range c.Sealed {
			f, err := s.field(declared)
			if err != nil {
				return nil, err
			}
			fields = append(fields, f)
		}
	}
	return fields, nil
}

// resealOne counts the values of a document and, with change, seals them again.
func resealOne(collection string, fields []*SealedField, raw bson.Raw, change swap) (Sealing, error) {
	counted := Sealing{Documents: 1, Others: map[string]int64{}}
	id := raw.Lookup("_id").StringValue()
	var before, after bson.D
	for _, f := range fields {
		text, ok := raw.Lookup(strings.Split(f.path, ".")...).StringValueOK()
		switch {
		case !ok || text == "":
			continue
		case f.box.Current(text):
			counted.Current++
			continue
		}
		key, _ := secret.SealedWith(text)
		plain, err := f.Open(text, id)
		if err != nil {
			counted.Others[key]++
			counted.Unopened++
			counted.Unopenable = fmt.Sprintf("%s %s, field %s", collection, id, f.path)
			continue
		}
		if change == nil {
			counted.Others[key]++
			continue
		}
		fresh, err := f.Seal(plain, id)
		if err != nil {
			return counted, models.Internal(err)
		}
		before, after = append(before, bson.E{Key: f.path, Value: text}), append(after, bson.E{Key: f.path, Value: fresh})
	}
	if len(before) == 0 {
		return counted, nil
	}
	swapped, err := change(id, before, after)
	if swapped {
		counted.Resealed = int64(len(before))
	} else {
		counted.Changed = int64(len(before))
	}
	return counted, err
}
