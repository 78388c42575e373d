package clusters

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"pulse-control-plane/services/livekit"
)

// followEvery is how often a clusters file is looked at.
const followEvery = 5 * time.Second

// Follow replaces the clusters by what read returns, on SIGHUP and when the
// file at path has changed, until ctx ends. What is wrong is logged, and the
// clusters stay as they were.
func (c *Set) Follow(ctx context.Context, path string, read func() ([]livekit.Cluster, map[string][]string, error)) error {
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	content := func() []byte {
		data, _ := os.ReadFile(path) // read reports a file that is missing
		return data
	}
	for seen := content(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if bytes.Equal(content(), seen) {
				continue
			}
		case <-hangUps:
		}
		seen = content()
		list, fallback, err := read()
		if err == nil {
			err = c.Replace(list, fallback)
		}
		if err != nil {
			c.log.Error().Err(err).Msg("livekit: the clusters file is invalid; the clusters are unchanged")
			continue
		}
		c.log.Info().Int("clusters", len(list)).Msg("livekit: the clusters file was read again")
	}
}
