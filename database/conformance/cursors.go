package conformance

import (
	"fmt"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

func cursorByID(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "zzz", Name: "no number"})
	insertNumbered(t, e, 1050)
	var visited []string
	for last := "\U0010FFFF"; ; {
		page := ids(t, e, engine.Query{
			Filter: bson.D{{Key: "number", Value: single("$gte", 0)}, {Key: "_id", Value: single("$lt", last)}},
			Sort:   single("_id", -1), Limit: 100,
		})
		visited = append(visited, page...)
		if len(page) < 100 {
			break
		}
		last = page[len(page)-1]
	}
	equal(t, "visited", len(visited), 1050)
	for i, id := range visited {
		equal(t, "visited in order", id, numbered(1049-i).ID)
	}
}

func cursorByField(t *testing.T, open Open) {
	e := openThings(t, open)
	for from := 0; from < 1100; from += 550 {
		var batch []any
		for n := from; n < from+550; n++ {
			// Many share a number, so that pages end amid equals.
			batch = append(batch, thing{ID: fmt.Sprintf("%04d", n*7%1100), Number: to(int64(n % 5))})
		}
		_, err := e.InsertMany(t.Context(), things, batch)
		must(t, err)
	}
	visited := map[string]bool{}
	filter := bson.D{{Key: "number", Value: single("$lt", 4)}}
	for pages := 0; pages < 20; pages++ {
		var last thing
		count := 0
		must(t, e.Find(t.Context(), things, engine.Query{
			Filter: filter, Sort: bson.D{{Key: "number", Value: -1}, {Key: "_id", Value: -1}}, Limit: 90,
		}, func(raw bson.Raw) error {
			last = thing{}
			must(t, bson.Unmarshal(raw, &last))
			if visited[last.ID] {
				t.Errorf("%s was visited twice", last.ID)
			}
			visited[last.ID] = true
			count++
			return nil
		}))
		if count < 90 {
			break
		}
		filter = single("$or", bson.A{
			single("number", single("$lt", *last.Number)),
			bson.D{{Key: "number", Value: *last.Number}, {Key: "_id", Value: single("$lt", last.ID)}},
		})
	}
	equal(t, "visited", len(visited), 880)
}
