package quotas

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

// slotRig is the slots of a quota in several processes over one database.
type slotRig struct {
	t         *testing.T
	engine    *testkit.Engine
	now       time.Time
	processes []*Slots
	limit     int64
	// there are the open usage sessions by holder.
	there map[string]string
}

func newSlotRig(t *testing.T, processes int, limit int64) *slotRig {
	s := &slotRig{t: t, engine: testkit.NewEngine(t), now: testkit.NewClock().Now(), limit: limit, there: map[string]string{}}
	for range processes {
		s.processes = append(s.processes, s.process(processes == 1))
	}
	return s
}

func (s *slotRig) process(exact bool) *Slots {
	s.t.Helper()
	return testkit.Must[*Slots](s.t)(NewSlots(database.NewSlots(s.engine), exact, func() time.Time { return s.now }))
}

func (s *slotRig) claim(holder string) claim {
	return claim{owner: string(testkit.Project), quota: models.QuotaConcurrentParticipants, limit: s.limit, holder: holder,
		present: func(context.Context) (map[string]holding, error) {
			out := map[string]holding{}
			for holder, session := range s.there {
				out[holder] = holding{session: session}
			}
			return out, nil
		}}
}

// held counts in the database the slots that are taken or reserved.
func (s *slotRig) held() int64 {
	s.t.Helper()
	n := int64(0)
	err := database.NewSlots(s.engine).Each(s.t.Context(), string(testkit.Project), models.QuotaConcurrentParticipants, 1000, func(p models.Slot) error {
		if p.Live(s.now) {
			n++
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// TestProcessesTakeEverySlotAndNeverMore lets processes reserve, take, release and
// die at random while the clock advances, and compares them with a model.
func TestProcessesTakeEverySlotAndNeverMore(t *testing.T) {
	for _, processes := range []int{1, 3} {
		t.Run(fmt.Sprint(processes, " processes"), func(t *testing.T) {
			for seed := range uint64(30) {
				random := rand.New(rand.NewPCG(seed, 11))
				s := newSlotRig(t, processes, 1+random.Int64N(6))
				ctx := t.Context()
				reserved := map[string]time.Time{} // holder → until
				joined := map[string]time.Time{}
				live := func() (n int64) {
					for holder, until := range reserved {
						if s.now.Before(until) && s.there[holder] == "" {
							n++
						}
					}
					return n + int64(len(s.there))
				}
				for step := range 200 {
					p := s.processes[random.IntN(processes)]
					holder := fmt.Sprint("room/", random.IntN(10))
					c := s.claim(holder)
					mine := s.there[holder] != "" || s.now.Before(reserved[holder])
					switch random.IntN(6) {
					case 0, 1:
						until := s.now.Add(time.Duration(1+random.IntN(120)) * time.Second)
						made, used, err := p.Reserve(ctx, c, until)
						switch full := live() >= s.limit && !mine; {
						case full != errors.Is(err, errFull), !full && err != nil, made == mine && !full:
							t.Fatalf("seed %d, step %d: %d of %d, made %v, mine %v: %v", seed, step, live(), s.limit, made, mine, err)
						case !full:
							if s.there[holder] == "" && until.After(reserved[holder]) {
								reserved[holder] = until
							}
							// A process learns other processes' slots when it needs to.
							if processes == 1 && used.used != live() {
								t.Fatalf("seed %d, step %d: %d are used, got %d", seed, step, live(), used.used)
							}
						}
					case 2:
						if s.there[holder] != "" {
							continue
						}
						session := fmt.Sprint("PA_", step)
						joined[holder] = s.now
						_, err := p.Assign(ctx, c, session)
						switch full := live() >= s.limit && !mine; {
						case full != errors.Is(err, errFull), !full && err != nil:
							t.Fatalf("seed %d, step %d: %d of %d, mine %v: %v", seed, step, live(), s.limit, mine, err)
						case !full:
							s.there[holder] = session
							delete(reserved, holder)
						default: // they are evicted, and the leave event arrives
							if err := p.Vacate(ctx, c, session, joined[holder]); err != nil {
								t.Fatal(err)
							}
						}
					case 3:
						if session := s.there[holder]; session != "" {
							delete(s.there, holder)
							if random.IntN(4) == 0 {
								// The leave event is lost; rereading the slots finds it.
								for i := range s.processes {
									s.processes[i] = s.process(processes == 1)
								}
							} else if err := p.Vacate(ctx, c, session, joined[holder]); err != nil {
								t.Fatal(err)
							}
						}
					case 4:
						s.now = s.now.Add(time.Duration(random.IntN(40)) * time.Second)
					case 5:
						if random.IntN(10) == 0 { // a process dies and another takes over
							s.processes[random.IntN(processes)] = s.process(processes == 1)
						}
					}
					if processes == 1 {
						continue
					}
					// Another process's cache may be this old.
					s.now = s.now.Add(fullFor)
				}
				if held := s.held(); held > s.limit {
					t.Errorf("seed %d: %d of %d slots are held", seed, held, s.limit)
				}
			}
		})
	}
}

// TestAProcessThatDiesAtAnyWriteLosesNoSlot dies at each write of a reservation
// that takes over an expired one.
func TestAProcessThatDiesAtAnyWriteLosesNoSlot(t *testing.T) {
	for fatal := int64(1); ; fatal++ {
		s := newSlotRig(t, 1, 1)
		ctx := t.Context()
		if _, _, err := s.processes[0].Reserve(ctx, s.claim("room/ann"), s.now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		s.now = s.now.Add(time.Minute)
		s.engine.Fatal = s.engine.Writes.Load() + fatal
		_, _, err := s.processes[0].Reserve(ctx, s.claim("room/bob"), s.now.Add(time.Minute))
		died := err != nil
		s.engine.Fatal = 0
		next := s.process(true)
		if _, _, err := next.Reserve(ctx, s.claim("room/cyd"), s.now.Add(time.Minute)); died != (err == nil) {
			t.Fatalf("after a death at write %d (%v) another reservation: %v", fatal, died, err)
		}
		if held := s.held(); held != 1 {
			t.Fatalf("%d slots are held", held)
		}
		if !died {
			return
		}
	}
}

func TestAClockSetBackFreesNoReservedSlot(t *testing.T) {
	s := newSlotRig(t, 1, 2)
	ctx := t.Context()
	for _, holder := range []string{"room/ann", "room/bob"} {
		if _, _, err := s.processes[0].Reserve(ctx, s.claim(holder), s.now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	s.now = s.now.Add(-time.Hour)
	if _, _, err := s.processes[0].Reserve(ctx, s.claim("room/cyd"), s.now.Add(time.Minute)); !errors.Is(err, errFull) {
		t.Errorf("a third reservation: %v", err)
	}
}

func TestALateEventOfAnEarlierSessionTakesNoSlotFromTheLaterOne(t *testing.T) {
	s := newSlotRig(t, 1, 1)
	ctx, c := t.Context(), s.claim("room/ann")
	s.there["room/ann"] = "PA_2"
	c.joined = s.now.Add(10 * time.Second)
	if _, err := s.processes[0].Assign(ctx, c, "PA_2"); err != nil {
		t.Fatal(err)
	}
	c.joined = s.now // of PA_1, which arrives late
	if _, err := s.processes[0].Assign(ctx, c, "PA_1"); err != nil {
		t.Fatal(err)
	}
	if err := s.processes[0].Vacate(ctx, c, "PA_1", c.joined); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.processes[0].Reserve(ctx, s.claim("room/bob"), s.now.Add(time.Minute)); !errors.Is(err, errFull) {
		t.Errorf("another reservation: %v", err)
	}
}
