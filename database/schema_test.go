package database

import (
	"testing"

	"pulse-control-plane/database/engine"
)

func TestTheSchemaOfPulseIsValid(t *testing.T) {
	if _, err := engine.Declare(Schema()); err != nil {
		t.Error(err)
	}
}
