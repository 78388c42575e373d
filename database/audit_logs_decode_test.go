package database

import (
	"reflect"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// filled sets every field to a distinct value.
func filled(t *testing.T, v reflect.Value, n *int64) {
	t.Helper()
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.UnixMilli(1_700_000_000_000 + *n).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(time.Duration(*n).String())
	case reflect.Int64:
		v.SetInt(*n)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			filled(t, v.Index(i), n)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			filled(t, v.Field(i), n)
		}
	default:
		t.Fatalf("a %s is not expected here", v.Type())
	}
}

func TestEveryFieldOfAnAuditEntryIsDecodedAsByTheDriver(t *testing.T) {
	var full models.AuditEntry
	var n int64
	filled(t, reflect.ValueOf(&full).Elem(), &n)
	for name, want := range map[string]models.AuditEntry{"full": full, "empty": {At: time.UnixMilli(0).UTC()}} {
		raw, err := bson.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := auditEntryOf(raw)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v\nwant %+v", name, got, err, want)
		}
	}
}

func TestDecodingADamagedAuditEntryNeverPanics(t *testing.T) {
	raw, err := bson.Marshal(bson.D{{Key: "seq", Value: "one"}, {Key: "at", Value: 1}, {Key: "actor", Value: "me"}, {Key: "target", Value: 5},
		{Key: "seals", Value: bson.A{"x", 7}}, {Key: "open", Value: bson.A{"x"}}, {Key: "completed_at", Value: nil}, {Key: "hash", Value: false}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := auditEntryOf(raw)
	if want := (models.AuditEntry{Seals: make([]models.AuditSeal, 2), Open: make([]int64, 1)}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := auditEntryOf(raw[:len(raw)-3]); err == nil {
		t.Error("what is cut off was read")
	}
}
