// Command livekit-build makes sure that the livekit-server of the end-to-end tests is in the cache and prints its path.
// `make test` runs it first, because `go test` of several packages shows no output while they run.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"pulse-control-plane/e2e/harness"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	path, err := harness.BuildLiveKit(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}
