package mongowire

import (
	"context"
	"maps"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/engine"
)

// physical is a schema with a collection for each stored name, and one for each name
// that a stored one may get.
func physical(schema []engine.Collection) (out []engine.Collection) {
	formerly := database.FormerNames()
	declared := map[string]bool{}
	for _, c := range schema {
		for _, name := range []string{c.Name, c.Former, formerly[c.Name]} {
			if name != "" && !declared[name] {
				declared[name] = true
				c.Name, c.Former = name, ""
				out = append(out, c)
			}
		}
	}
	return out
}

// makes are the commands that make a collection, and writes those that a view refuses.
var (
	makes  = []string{"insert", "update", "findAndModify", "createIndexes"}
	writes = append([]string{"delete", "listIndexes", "dropIndexes", "collMod"}, makes...)
	// structures are those that list, make, rename and drop collections.
	structures = []string{"listCollections", "create", "drop", "renameCollection"}
)

// codes of MongoDB (src/mongo/base/error_codes.yml).
const (
	namespaceNotFound = 26
	namespaceExists   = 48
	notSupported      = 59
	notOnAView        = 166
)

// resolve gives the collection that a command is about: of a view the one it is on.
// refused is the reply to a write to a view. It notes the collection as made.
func (s *Server) resolve(name, collection string) (resolved string, refused bson.D) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on, isView := s.views[collection]; isView {
		if slices.Contains(writes, name) {
			return "", failed(notOnAView, "Namespace pulse."+collection+" is a view, not a collection")
		}
		return on, nil
	}
	if slices.Contains(makes, name) {
		s.made[collection] = true
	}
	return collection, nil
}

// structure runs one of structures; no other command runs meanwhile.
func (s *Server) structure(ctx context.Context, command bson.D) (out bson.D, err error) {
	name, _ := command[0].Value.(string)
	s.structural.Lock()
	defer s.structural.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch command[0].Key {
	case "listCollections":
		batch := bson.A{}
		for _, c := range slices.Sorted(maps.Keys(s.made)) {
			batch = append(batch, bson.D{{Key: "name", Value: c}, {Key: "type", Value: "collection"}})
		}
		for _, v := range slices.Sorted(maps.Keys(s.views)) {
			batch = append(batch, bson.D{{Key: "name", Value: v}, {Key: "type", Value: "view"}})
		}
		return bson.D{{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "pulse.$cmd.listCollections"}, {Key: "firstBatch", Value: batch}}}}, nil
	case "create":
		on, _ := field(command, "viewOn").(string)
		if s.made[name] || s.views[name] != "" {
			return failed(namespaceExists, "Collection pulse."+name+" already exists."), nil
		}
		s.views[name] = on
		return nil, nil
	case "drop":
		delete(s.made, name)
		_, err := s.engine.Delete(ctx, name, bson.D{}, 0)
		return nil, err
	case "renameCollection":
		to, _ := field(command, "to").(string)
		_, from, _ := strings.Cut(name, ".")
		_, to, _ = strings.Cut(to, ".")
		switch {
		case !s.made[from]:
			return failed(namespaceNotFound, "Source collection "+name+" does not exist"), nil
		case s.made[to] || s.views[to] != "":
			return failed(namespaceExists, "target namespace exists"), nil
		}
		delete(s.made, from)
		s.made[to] = true
		return nil, s.moveDocuments(ctx, from, to)
	}
	return failed(notSupported, "no such command: "+command[0].Key), nil
}

func (s *Server) moveDocuments(ctx context.Context, from, to string) error {
	var docs []any
	if err := s.engine.Find(ctx, from, database.Query{Limit: unlimited}, func(raw bson.Raw) error {
		docs = append(docs, slices.Clone(raw))
		return nil
	}); err != nil {
		return err
	}
	for batch := range slices.Chunk(docs, database.MaxBatch) {
		if _, err := s.engine.InsertMany(ctx, to, batch); err != nil {
			return err
		}
	}
	_, err := s.engine.Delete(ctx, from, bson.D{}, 0)
	return err
}
