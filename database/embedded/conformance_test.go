package embedded_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"pulse-control-plane/database/conformance"
	"pulse-control-plane/database/embedded"
	"pulse-control-plane/database/engine"
)

func TestTheEmbeddedEngineConforms(t *testing.T) {
	folder := t.TempDir()
	conformance.Run(t, func(t *testing.T, schema []engine.Collection) engine.Engine {
		return openEmbedded(t, filepath.Join(folder, t.Name(), "pulse.db"), schema, embedded.Options{
			SweepEvery: 20 * time.Millisecond,
		})
	}, conformance.Skips{})
}

func openEmbedded(t *testing.T, path string, schema []engine.Collection, options embedded.Options) *embedded.Engine {
	t.Helper()
	e, err := embedded.Open(t.Context(), path, schema, options)
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
