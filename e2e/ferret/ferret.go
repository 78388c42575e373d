package ferret

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/FerretDB/FerretDB/ferretdb"
)

// stopTimeout bounds how long FerretDB may take to close its connections at the end of a test.
const stopTimeout = 10 * time.Second

// Server is a running FerretDB.
type Server struct {
	// URI is for the MongoDB driver; it limits the driver to one connection.
	URI string
}

// Start runs FerretDB on a free port of 127.0.0.1 with an empty SQLite database in a temporary folder and stops it when
// the test ends. Close the driver's client first: FerretDB waits for its connections.
func Start(t testing.TB) *Server {
	t.Helper()
	f, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Handler:   "sqlite",
		SQLiteURL: (&url.URL{Scheme: "file", Path: t.TempDir() + "/"}).String(),
		Logger:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatalf("start FerretDB: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("FerretDB ended: %v", err)
			}
		case <-time.After(stopTimeout):
			t.Errorf("FerretDB had not stopped after %s", stopTimeout)
		}
	})
	uri, err := url.Parse(f.MongoDBURI()) // returns once the listener is up
	if err != nil {
		t.Fatalf("FerretDB's address: %v", err)
	}
	uri.RawQuery = url.Values{"maxPoolSize": {"1"}, "directConnection": {"true"}}.Encode()
	return &Server{URI: uri.String()}
}
