package database_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/conformance"
)

func TestEmbeddedConformance(t *testing.T) {
	folder := t.TempDir()
	conformance.Run(t, func(t *testing.T, schema []database.Collection) database.Engine {
		return openEmbedded(t, filepath.Join(folder, t.Name(), "pulse.db"), schema, database.EmbeddedOptions{
			SweepEvery: 20 * time.Millisecond,
		})
	}, conformance.Skips{})
}

func openEmbedded(t *testing.T, path string, schema []database.Collection, options database.EmbeddedOptions) *database.Embedded {
	t.Helper()
	e, err := database.OpenEmbedded(t.Context(), path, schema, options)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}
