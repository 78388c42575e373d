package tenancy

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

// sendAll sets every pointer of a change to a value that no project has.
func sendAll(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		sendAll(t, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			sendAll(t, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.String:
		v.SetString("sent")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(1)
	default:
		t.Fatalf("the test can't send a %s", v.Type())
	}
}

func TestTheNamesOfChangedFieldsOfAProjectAreThoseOfProjectFields(t *testing.T) {
	var change ProjectChange
	storage := StorageChange{To: &models.Storage{Bucket: "bucket"}, Secret: secret.New("a credential")}
	v := reflect.ValueOf(&change).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).Name != "Storage" {
			sendAll(t, v.Field(i))
		}
	}
	change.Storage = &storage
	event := projectUpdated(&models.Project{}, change, &database.StorageChange{To: &models.Storage{CredentialID: "crd_1"}})
	delete(event.After, "storage.credential") // stored sealed
	changed := slices.Sorted(maps.Keys(event.After))
	fields := slices.Sorted(maps.Keys(ProjectFields(&models.Project{})))
	if !slices.Equal(changed, fields) {
		t.Errorf("project.updated names\n%q, ProjectFields\n%q", changed, fields)
	}
}
