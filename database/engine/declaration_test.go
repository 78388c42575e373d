package engine

import (
	"strings"
	"testing"
	"time"

	"pulse-control-plane/models"
)

func TestAnInvalidSchemaIsRefusedWithAListOfEveryMistake(t *testing.T) {
	hour, negative := time.Hour, -time.Hour
	fields := []Field{{"name", String}, {"at", Time}, {"n", Int}}
	for mistake, c := range map[string]Collection{
		"not a plain lower-case name": {Name: "People"},
		"not a plain (dotted) name":   {Name: "people", Fields: []Field{{`na"me`, String}}},
		"column of the embedded":      {Name: "people", Fields: []Field{{"doc", String}}},
		`field "NAME" is declared`:    {Name: "people", Fields: []Field{{"name", String}, {"NAME", String}}},
		"has no kind":                 {Name: "people", Fields: []Field{{Name: "name"}}},
		"parent of":                   {Name: "people", Fields: []Field{{"a.b", String}, {"a", String}}},
		"has no keys":                 {Name: "people", Indexes: []Index{{}}},
		"is declared twice":           {Name: "people", Fields: fields, Indexes: []Index{{Keys: []string{"name"}}, {Keys: []string{"name"}, Unique: true}}},
		`"other" is not declared`:     {Name: "people", Fields: fields, Indexes: []Index{{Keys: []string{"other"}}}},
		`names "name" twice`:          {Name: "people", Fields: fields, Indexes: []Index{{Keys: []string{"name", "-name"}}}},
		"partial but not unique":      {Name: "people", Fields: fields, Indexes: []Index{{Keys: []string{"name"}, Partial: true}}},
		"not on a single time":        {Name: "people", Fields: fields, Indexes: []Index{{Keys: []string{"n"}, ExpireAfter: &hour}}},
		"and is unique":               {Name: "people", Fields: fields, Indexes: []Index{{Keys: []string{"at"}, ExpireAfter: &hour, Unique: true}}},
		"sealed field \"a b\" is":     {Name: "people", Sealed: []Sealed{{"a b", "p", "{id}"}}},
		"for queries too":             {Name: "people", Fields: fields, Sealed: []Sealed{{"name", "p", "{id}"}}},
		"no purpose":                  {Name: "people", Sealed: []Sealed{{"text", "", "{id}"}}},
		"not bound to":                {Name: "people", Sealed: []Sealed{{"text", "p", "x"}}},
		"before their time":           {Name: "people", Fields: fields, Indexes: []Index{{Keys: []string{"at"}, ExpireAfter: &negative}}},
	} {
		_, err := Declare([]Collection{c, {Name: "0"}})
		if !models.IsKind(err, models.KindInternal) || !strings.Contains(err.Error(), mistake) {
			t.Errorf("%+v answers %v; want %q", c, err, mistake)
			continue
		}
		if !strings.Contains(err.Error(), `"0"`) {
			t.Errorf("of two mistakes only one is named: %v", err)
		}
	}
	if _, err := Declare([]Collection{{Name: "people"}, {Name: "people"}}); !models.IsKind(err, models.KindInternal) {
		t.Errorf("a collection declared twice answers %v; want internal", err)
	}
}

func TestIndexNamesAreThoseOfMongoDB(t *testing.T) {
	for want, keys := range map[string][]string{
		"email_1": {"email"}, "org_id_1_created_at_-1": {"org_id", "-created_at"}, "owner.id_-1": {"-owner.id"},
	} {
		if got := IndexName(Index{Keys: keys}); got != want {
			t.Errorf("%v is named %s; want %s", keys, got, want)
		}
	}
}
