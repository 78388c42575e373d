package composition_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/utils/apikey"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/ratelimit"
	"pulse-control-plane/utils/secret"
)

// secretGuesses is how many wrong secrets of a key one address may try at once.
const secretGuesses = 20

// guessStores are the stores that replicas count guesses in; each call is another
// replica's.
func guessStores(t *testing.T, w *keyWorld) map[string]func() *noting {
	server := miniredis.RunT(t)
	server.SetTime(w.clock.now)
	local := ratelimit.New(1000, w.clock.Now)
	var redis [2]*ratelimit.Shared
	for i := range redis {
		redis[i] = ratelimit.NewShared("redis://"+server.Addr(), local)
		t.Cleanup(func() { _ = redis[i].Close(t.Context()) })
	}
	turn := 0
	return map[string]func() *noting{
		"memory": func() *noting { return &noting{Guesses: ratelimit.Local{Limiter: local}} },
		"the database": func() *noting {
			return &noting{Guesses: auth.NewStoredLimits(database.NewThrottles(w.engine), w.clock.Now, local)}
		},
		"Redis": func() *noting { turn++; return &noting{Guesses: redis[turn%len(redis)]} },
	}
}

// noting notes whether the store was too slow on a busy machine, so that the attempts
// of a replica were counted elsewhere.
type noting struct {
	auth.Guesses
	slow atomic.Int64
}

func (n *noting) Allow(ctx context.Context, name string, limit ratelimit.PerMinute) ratelimit.Decision {
	d := n.Guesses.Allow(ctx, name, limit)
	if d.Fallback {
		n.slow.Add(1)
	}
	return d
}

func wrongSecret(t *testing.T) secret.Value {
	t.Helper()
	_, wrong, err := apikey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return wrong
}

func TestAnyNumberOfReplicasVerifyARightSecretFromOneAddress(t *testing.T) {
	w := newKeyWorld(t, nil, models.ScopeAll)
	for name, guesses := range guessStores(t, w) {
		for _, ip := range []string{"203.0.113.1", "2001:db8::1"} {
			t.Run(name+" "+ip, func(t *testing.T) {
				for i := range 3 * secretGuesses {
					if _, err := w.processWith(true, guesses()).Server(t.Context(), w.pair.Key, w.secret, ip); err != nil {
						t.Fatalf("replica %d: %v", i, err)
					}
				}
			})
		}
		w.clock.now = w.clock.now.Add(time.Hour)
	}
}

func TestRightSecretsMakeNoRoomForMoreGuesses(t *testing.T) {
	w := newKeyWorld(t, nil, models.ScopeAll)
	for name, guesses := range guessStores(t, w) {
		t.Run(name, func(t *testing.T) {
			var all sync.WaitGroup
			var passed, limited atomic.Int64
			stores := []*noting{guesses(), guesses()}
			for range 3 * secretGuesses {
				guesser, owner, wrong := w.processWith(true, stores[0]), w.processWith(true, stores[1]), wrongSecret(t)
				all.Go(func() {
					switch _, err := guesser.Server(t.Context(), w.pair.Key, wrong, "203.0.113.1"); {
					case models.HasCode(err, "invalid_api_key"):
						passed.Add(1)
					case models.HasCode(err, "too_many_attempts"):
						limited.Add(1)
					default:
						t.Errorf("a guess: %v", err)
					}
				})
				all.Go(func() {
					if _, err := owner.Server(t.Context(), w.pair.Key, w.secret, "203.0.113.1"); err != nil && !models.HasCode(err, "too_many_attempts") {
						t.Errorf("a right secret: %v", err)
					}
				})
			}
			all.Wait()
			if n := passed.Load(); n > secretGuesses+stores[0].slow.Load() || n == 0 || limited.Load() == 0 {
				t.Errorf("%d guesses passed and %d were refused", n, limited.Load())
			}
		})
		w.clock.now = w.clock.now.Add(time.Hour)
	}
}

func TestAnAddressThatIsRefusedByItsNetworkLosesNoneOfItsOwnAllowance(t *testing.T) {
	w := newKeyWorld(t, nil, models.ScopeAll)
	for name, guesses := range guessStores(t, w) {
		t.Run(name, func(t *testing.T) {
			store := guesses()
			guess := func(subnet int) error {
				_, err := w.processWith(true, store).Server(t.Context(), w.pair.Key, wrongSecret(t), fmt.Sprintf("2001:db8:0:%x::1", subnet))
				return err
			}
			subnet := 0
			for ; !models.HasCode(guess(subnet/10), "too_many_attempts"); subnet++ { // ten of each /64, until the /48 is refused
				if subnet > 30*secretGuesses {
					t.Fatal("no /48 is refused")
				}
			}
			for range 2 * secretGuesses {
				if err := guess(0x5000); !models.HasCode(err, "too_many_attempts") && store.slow.Load() == 0 {
					t.Fatal(err)
				}
			}
			d := store.Allow(t.Context(), "secret|"+string(w.pair.ID)+"|2001:db8:0:5000::/64", secretGuesses)
			if store.slow.Load() > 0 {
				t.Skip("the machine is too busy")
			}
			if !d.Allowed || name != "the database" && d.Remaining != secretGuesses-1 {
				t.Errorf("refused attempts were counted: %+v", d)
			}
		})
		w.clock.now = w.clock.now.Add(time.Hour)
	}
}

func TestTwentyReplicasVerifyARightSecretAtOnce(t *testing.T) {
	w := newKeyWorld(t, nil, models.ScopeAll)
	for name, guesses := range guessStores(t, w) {
		t.Run(name, func(t *testing.T) {
			var all sync.WaitGroup
			for i := range secretGuesses {
				replica := w.processWith(true, guesses())
				all.Go(func() {
					if _, err := replica.Server(t.Context(), w.pair.Key, w.secret, "203.0.113.1"); err != nil {
						t.Errorf("replica %d: %v", i, err)
					}
				})
			}
			all.Wait()
		})
		w.clock.now = w.clock.now.Add(time.Hour)
	}
}

func TestGuessesFromItsAddressKeepNoSecretOutThatTheProcessVerifiedBefore(t *testing.T) {
	w := newKeyWorld(t, nil, models.ScopeAll)
	for name, guesses := range guessStores(t, w) {
		t.Run(name, func(t *testing.T) {
			store := guesses()
			process := w.processWith(true, store)
			ask := func(s secret.Value) error {
				_, err := process.Server(t.Context(), w.pair.Key, s, "203.0.113.1")
				return err
			}
			if err := ask(w.secret); err != nil {
				t.Fatal(err)
			}
			w.clock.now = w.clock.now.Add(2 * hashing.VerifiedFor)
			for n := 0; !models.HasCode(ask(wrongSecret(t)), "too_many_attempts"); n++ {
				if n > 3*secretGuesses {
					t.Fatal("guesses are not limited")
				}
			}
			if err := ask(w.secret); err != nil {
				t.Errorf("the right secret: %v", err)
			}
			if err := ask(wrongSecret(t)); !models.HasCode(err, "too_many_attempts") {
				t.Errorf("a wrong one after it: %v", err)
			}
		})
		w.clock.now = w.clock.now.Add(time.Hour)
	}
}

func TestGuessesFromItsAddressKeepNoSecretOutOfAProcessThatHasJustStarted(t *testing.T) {
	w := newKeyWorld(t, nil, models.ScopeAll)
	older := func() { // a key that was made before marks were
		if _, err := w.engine.Update(t.Context(), "api_keys", bson.D{{Key: "_id", Value: string(w.pair.ID)}},
			bson.D{{Key: "$unset", Value: bson.D{{Key: "secret_mark", Value: ""}}}}, database.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if w.stored().SecretMark != "" {
			t.Fatal("the mark is still there")
		}
	}
	addresses := 0
	for name, guesses := range guessStores(t, w) {
		for age, before := range map[string]func(){"new": func() {}, "older": older, "replaced": func() {
			if err := database.NewAPIKeys(w.engine).Mark(t.Context(), w.pair.ID, "of an older hash"); err != nil {
				t.Fatal(err)
			}
		}} {
			t.Run(name+", "+age, func(t *testing.T) {
				before()
				addresses++ // Redis has a clock of its own, so what was counted before still is
				ip := fmt.Sprint("203.0.113.", addresses)
				ask := func(process *auth.Keys, s secret.Value) error {
					_, err := process.Server(t.Context(), w.pair.Key, s, ip)
					return err
				}
				if age != "new" { // it gets its mark when it is verified first
					if err := ask(w.processWith(true, guesses()), w.secret); err != nil {
						t.Fatal(err)
					}
				}
				process := w.processWith(true, guesses())
				for n := 0; !models.HasCode(ask(process, wrongSecret(t)), "too_many_attempts"); n++ {
					if n > 3*secretGuesses {
						t.Fatal("guesses are not limited")
					}
				}
				if err := ask(process, w.secret); err != nil {
					t.Errorf("the right secret: %v", err)
				}
				if err := ask(process, wrongSecret(t)); !models.HasCode(err, "too_many_attempts") {
					t.Errorf("a wrong one after it: %v", err)
				}
			})
		}
	}
}

// asked counts how often the store is asked.
type asked struct {
	auth.Guesses
	times int
}

func (a *asked) Allow(ctx context.Context, name string, limit ratelimit.PerMinute) ratelimit.Decision {
	a.times++
	return a.Guesses.Allow(ctx, name, limit)
}

func TestAFloodOfRefusedGuessesIsNoneOfTheStore(t *testing.T) {
	w := newKeyWorld(t, nil, models.ScopeAll)
	store := &asked{Guesses: ratelimit.Local{Limiter: ratelimit.New(1000, w.clock.Now)}}
	process := w.processWith(true, store)
	guess := func() error {
		_, err := process.Server(t.Context(), w.pair.Key, wrongSecret(t), "203.0.113.1")
		return err
	}
	for range secretGuesses {
		if err := guess(); !models.HasCode(err, "invalid_api_key") {
			t.Fatal(err)
		}
	}
	for range 100 {
		if err := guess(); !models.HasCode(err, "too_many_attempts") {
			t.Fatal(err)
		}
	}
	if store.times != secretGuesses+1 {
		t.Errorf("the store was asked %d times", store.times)
	}
	w.clock.now = w.clock.now.Add(time.Minute / secretGuesses)
	if err := guess(); !models.HasCode(err, "invalid_api_key") {
		t.Errorf("after the wait: %v", err)
	}
	w.clock.now = w.clock.now.Add(time.Hour)
	for !models.HasCode(guess(), "too_many_attempts") {
	}
	w.clock.now = w.clock.now.Add(-time.Hour / 2)
	before := store.times
	_ = guess()
	if store.times == before {
		t.Error("a clock that was set back has guesses refused for half an hour")
	}
}
