package database

import (
	"bytes"
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// docPage is a run of documents in order of their ids.
type docPage struct {
	docs []bson.Raw
	last bool
	err  error
}

func (p docPage) after() string {
	if len(p.docs) == 0 {
		return ""
	}
	return p.docs[len(p.docs)-1].Lookup("_id").StringValue()
}

// errFull ends a page early.
var errFull = errors.New("the page is full")

// readPage reads the documents after an id.
func readPage(ctx context.Context, e Engine, collection, after string) docPage {
	var p docPage
	size := 0
	err := e.Find(ctx, collection, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}}, Sort: bson.D{{Key: "_id", Value: 1}}, Limit: MaxBatch,
	}, func(raw bson.Raw) error {
		p.docs = append(p.docs, bytes.Clone(raw))
		if size += len(raw); size >= pageBytes {
			return errFull
		}
		return nil
	})
	full := errors.Is(err, errFull)
	if full {
		err = nil
	}
	p.err, p.last = err, !full && len(p.docs) < MaxBatch
	return p
}

// readPages sends the pages after an id until the last, an error or the end of
// ctx.
func readPages(ctx context.Context, e Engine, collection, after string) <-chan docPage {
	pages := make(chan docPage, pagesAhead)
	go func() {
		defer close(pages)
		for {
			p := readPage(ctx, e, collection, after)
			select {
			case pages <- p:
			case <-ctx.Done():
				return
			}
			if p.last || p.err != nil {
				return
			}
			after = p.after()
		}
	}()
	return pages
}

// docReader reads the documents of pages one by one.
type docReader struct {
	pages <-chan docPage
	docs  []bson.Raw
}

func newDocReader(pages <-chan docPage) *docReader { return &docReader{pages: pages} }

// peek returns the next document, nil after the last. The pages end early with
// ctx, which is unavailable and not the last document.
func (r *docReader) peek(ctx context.Context) (bson.Raw, error) {
	for len(r.docs) == 0 {
		p, open := <-r.pages
		if p.err != nil {
			return nil, p.err
		}
		if !open {
			if ctx.Err() != nil {
				return nil, models.Unavailable(ctx.Err())
			}
			return nil, nil
		}
		r.docs = p.docs
	}
	return r.docs[0], nil
}

func (r *docReader) skip() { r.docs = r.docs[1:] }

// clockSlack is how far the clock of a database server may be ahead of this one's,
// when it deletes what has expired.
const clockSlack = time.Minute

// expired reports whether a document may have been deleted by a TTL index.
func expired(collection string, doc bson.Raw, now time.Time) bool {
	for _, c := range Schema() {
		for _, ix := range c.Indexes {
			if c.Name != collection || ix.ExpireAfter == nil {
				continue
			}
			if at, ok := doc.Lookup(ix.Keys[0]).TimeOK(); ok && !now.Add(clockSlack).Before(at.Add(*ix.ExpireAfter)) {
				return true
			}
		}
	}
	return false
}
