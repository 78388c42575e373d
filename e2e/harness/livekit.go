package harness

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"
)

const (
	// liveKitKey is the API key of a cluster without a name; it is the issuer of every token and webhook.
	liveKitKey = "devkey"
	// liveKitStartAttempts is how many pairs of ports are tried: another process may take a free port first.
	liveKitStartAttempts = 5
	liveKitReadyTimeout  = 15 * time.Second
	liveKitStopTimeout   = 5 * time.Second
)

// LiveKitOptions are the options of StartLiveKit. The zero value is a server without webhooks.
type LiveKitOptions struct {
	// APIKey tells several clusters apart; "devkey" if empty.
	APIKey string
	// WebhookURLs receive every event of the server, signed with its key.
	WebhookURLs []string
	// EmptyTimeout and DepartureTimeout close a room that nobody joined, or that everybody left, after so many seconds;
	// 0 leaves LiveKit's 300 and 20.
	EmptyTimeout, DepartureTimeout int
	// RedisAddress is host:port of the Redis that egress and ingress need; empty runs the server without.
	RedisAddress string
	// TCP offers media over TCP too: browsers do not send UDP to loopback.
	TCP bool
}

// LiveKit is a running livekit-server.
type LiveKit struct {
	// URL is what clients dial (ws://127.0.0.1:port), HTTPURL the same for the server API.
	URL, HTTPURL string
	// APIKey and APISecret are the cluster's pair; each server has a new secret.
	APIKey, APISecret string

	// RedisAddress is that of its options.
	RedisAddress string

	process *Process
	binary  string
	config  string
}

// StartLiveKit runs binary (see [BuildLiveKit]) on free ports of 127.0.0.1, waits until it answers and stops it when the
// test ends.
func StartLiveKit(t testing.TB, binary string, o LiveKitOptions) *LiveKit {
	t.Helper()
	var last error
	for range liveKitStartAttempts {
		l, err := startLiveKit(binary, o)
		if err != nil {
			last = err
			continue
		}
		t.Cleanup(func() {
			if err := l.Stop(); err != nil {
				t.Error(err)
			}
			l.process.logOnFailure(t)
		})
		return l
	}
	t.Fatalf("livekit-server did not start: %v", last)
	return nil
}

func startLiveKit(binary string, o LiveKitOptions) (*LiveKit, error) {
	tcp, err := FreeTCPPort()
	if err != nil {
		return nil, err
	}
	udp, err := freeUDPPort()
	if err != nil {
		return nil, err
	}
	l := &LiveKit{
		URL:       fmt.Sprintf("ws://127.0.0.1:%d", tcp),
		HTTPURL:   fmt.Sprintf("http://127.0.0.1:%d", tcp),
		APIKey:    cmp.Or(o.APIKey, liveKitKey),
		APISecret: rand.Text() + rand.Text(), // 52 characters; LiveKit warns below 32
		binary:    binary,

		RedisAddress: o.RedisAddress,
	}
	media := 0
	if o.TCP {
		if media, err = FreeTCPPort(); err != nil {
			return nil, err
		}
	}
	config, err := json.Marshal(liveKitConfig(l, tcp, udp, media, o)) // JSON is YAML
	if err != nil {
		return nil, fmt.Errorf("write livekit's configuration: %w", err)
	}
	l.config = string(config)
	if err := l.start(); err != nil {
		return nil, err
	}
	return l, nil
}

// start runs the server with the configuration it was made with and waits until it answers.
func (l *LiveKit) start() error {
	p, err := startProcess("livekit-server", l.binary, nil, []string{"LIVEKIT_CONFIG=" + l.config}, "")
	if err != nil {
		return err
	}
	l.process = p
	if err := l.waitReady(); err != nil {
		return errors.Join(err, p.Kill())
	}
	return nil
}

// liveKitConfig keeps everything on loopback: no external STUN server, no other machine.
// The names are those of livekit-server's config-sample.yaml.
func liveKitConfig(l *LiveKit, tcp, udp, media int, o LiveKitOptions) map[string]any {
	room := map[string]any{}
	if o.EmptyTimeout > 0 {
		room["empty_timeout"] = o.EmptyTimeout
	}
	if o.DepartureTimeout > 0 {
		room["departure_timeout"] = o.DepartureTimeout
	}
	config := map[string]any{
		"port":           tcp,
		"bind_addresses": []string{"127.0.0.1"},
		"keys":           map[string]string{l.APIKey: l.APISecret},
		"rtc": map[string]any{
			"udp_port":                  udp,
			"tcp_port":                  media,
			"node_ip":                   "127.0.0.1",
			"use_external_ip":           false,
			"interfaces":                map[string]any{"includes": []string{"lo"}},
			"ips":                       map[string]any{"includes": []string{"127.0.0.0/8"}},
			"enable_loopback_candidate": true,
			// With an empty list clients would be told to ask public STUN servers.
			"stun_servers": []string{fmt.Sprintf("127.0.0.1:%d", udp)},
		},
		"room":    room,
		"logging": map[string]any{"level": "info", "pion_level": "error"},
	}
	if len(o.WebhookURLs) > 0 {
		config["webhook"] = map[string]any{"api_key": l.APIKey, "urls": o.WebhookURLs}
	}
	if o.RedisAddress != "" {
		config["redis"] = map[string]any{"address": o.RedisAddress}
		// What LiveKit gives out as the address to send to; nothing listens there.
		config["ingress"] = map[string]any{"rtmp_base_url": "rtmp://127.0.0.1:1935/live", "whip_base_url": "http://127.0.0.1:8080/w"}
	}
	return config
}

// waitReady returns when the server has answered for more than 100 ms. Until then it would ignore a SIGTERM and hang
// (livekit-server's Start sleeps that long before it counts as running, and Stop then does nothing).
func (l *LiveKit) waitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), liveKitReadyTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var answering time.Time
	for {
		if err := httpOK(ctx, l.HTTPURL); err != nil {
			answering = time.Time{}
		} else if answering.IsZero() {
			answering = time.Now()
		} else if time.Since(answering) > 150*time.Millisecond {
			return nil
		}
		select {
		case <-l.process.Exited():
			return fmt.Errorf("livekit-server ended at start: %w\n%s", l.process.err, l.process.Log())
		case <-ctx.Done():
			return fmt.Errorf("livekit-server does not answer: %w\n%s", ctx.Err(), l.process.Log())
		case <-tick.C:
		}
	}
}

// Stop ends the server. After the first SIGTERM it waits for its participants to leave and checks every five seconds; the
// second ends it at once. Signals of one kind in quick succession merge, hence the repetition. A server that was stopped or
// killed before is no error; one that ended by itself is.
func (l *LiveKit) Stop() error {
	select {
	case <-l.process.Exited():
		if !l.process.ending.Load() {
			return fmt.Errorf("livekit-server had ended by itself: %v", l.process.err)
		}
		return nil
	default:
		l.process.ending.Store(true)
	}
	deadline := time.NewTimer(liveKitStopTimeout)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		if err := l.process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		select {
		case <-l.process.Exited():
			return nil // the exit status is no evidence: it is 0 even if the server could not start
		case <-deadline.C:
			return errors.Join(fmt.Errorf("livekit-server had not ended %s after SIGTERM", liveKitStopTimeout), l.process.Kill())
		case <-again.C:
		}
	}
}

// Kill ends the server before it can close rooms or send webhooks.
func (l *LiveKit) Kill() error { return l.process.Kill() }

// Restart runs a stopped or killed server again with the same ports and keys.
func (l *LiveKit) Restart(t testing.TB) {
	t.Helper()
	if err := l.start(); err != nil {
		t.Fatal(err)
	}
}

// Rooms is the server's own room API with full rights: LiveKit's own state.
func (l *LiveKit) Rooms() *lksdk.RoomServiceClient {
	return lksdk.NewRoomServiceClient(l.HTTPURL, l.APIKey, l.APISecret)
}

// Validate asks the server whether it accepts a token, as client SDKs do to learn why a connection failed. query is added to the request. It returns the HTTP status and LiveKit's text: 200 "success", 401 with the reason, …
func (l *LiveKit) Validate(ctx context.Context, token string, query url.Values) (int, string, error) {
	values := url.Values{"access_token": {token}}
	for name, v := range query {
		values[name] = v
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.HTTPURL+"/rtc/validate?"+values.Encode(), nil)
	if err != nil {
		return 0, "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return 0, "", err
	}
	return res.StatusCode, strings.TrimSpace(string(body)), nil
}

// httpOK is nil when GET url answers 200.
func httpOK(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return nil
}
