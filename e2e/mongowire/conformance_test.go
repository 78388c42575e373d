package mongowire_test

import (
	"testing"

	"pulse-control-plane/database/conformance"
	"pulse-control-plane/database/engine"
	"pulse-control-plane/database/mongo"
	"pulse-control-plane/e2e/mongowire"
)

// oneSchema is why cases are skipped that open a store with another schema.
const oneSchema = "the server has the schema it was started with, and no index is made or dropped over the wire"

func TestTheMongoDBEngineConformsOnTheWireServer(t *testing.T) {
	servers := map[*testing.T]string{}
	conformance.Run(t, func(t *testing.T, schema []engine.Collection) engine.Engine {
		if servers[t] == "" {
			servers[t] = mongowire.StartWith(t, schema).Line(t).URI
		}
		e, err := mongo.Open(t.Context(), servers[t], "pulse", schema, mongo.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}, conformance.Skips{
		"AnUndeclaredIndexCanBeDroppedAndADeclaredOneCannot": oneSchema,
		"ANewlyDeclaredFieldAndIndexCoverOldDocuments":       oneSchema,
	})
}
