package paging

import (
	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/cursor"
)

// Request asks for a page of a list: 1 to 100 items from an opaque cursor ("" for
// the newest).
type Request struct {
	Limit  int
	Cursor string
}

// Page is a page of a list, newest first. NextCursor is "" on the last one.
type Page[T any] struct {
	Items      []T
	NextCursor string
}

// ByID reads a page of a list sorted by id. The cursor is bound to the
// list and to the caller's tenant; another's is invalid.
func ByID[T any](codec *cursor.Codec, actor *models.Principal, list string, p Request,
	read func(database.Page) ([]T, error), id func(T) string) (Page[T], error) {
	scope := list + "|" + actor.Tenant().Key()
	at := database.Page{Limit: p.Limit + 1} // one more item shows whether there is a next page
	if p.Cursor != "" {
		parts, err := codec.Decode(scope, p.Cursor)
		if err != nil || len(parts) != 1 {
			return Page[T]{}, models.Invalid(models.FieldError{Location: "cursor",
				Message: "is not a cursor of this list; send next_cursor unchanged"})
		}
		at.After = parts[0]
	}
	items, err := read(at)
	if err != nil {
		return Page[T]{}, err
	}
	out := Page[T]{Items: items}
	if len(items) > p.Limit {
		out.Items = items[:p.Limit]
		out.NextCursor = codec.Encode(scope, id(items[p.Limit-1]))
	}
	return out, nil
}
