package ratelimit

import (
	"context"
	"time"

	"github.com/gomodule/redigo/redis"
)

// tally is LocalFailures' Count, Forgive and Clear by Redis' clock, in
// milliseconds: what to do, the policy, and how many failures are free for each
// name. It gives how long to wait.
const tally = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local act, first, longest, forget = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local wait = 0
if act == 'count' then
  for i = 1, #KEYS do
    wait = math.max(wait, tonumber(redis.call('HGET', KEYS[i], 'until') or '0') - now)
  end
  if wait > 0 then return wait end
end
for i = 1, #KEYS do
  if act == 'clear' then
    redis.call('DEL', KEYS[i])
  elseif act == 'forgive' then
    local n = tonumber(redis.call('HGET', KEYS[i], 'n') or '0')
    if n > 0 then redis.call('HSET', KEYS[i], 'n', n - 1, 'until', 0) end
  else
    local n, ends = redis.call('HINCRBY', KEYS[i], 'n', 1), 0
    local over = n - tonumber(ARGV[4 + i])
    if over > 0 then ends = now + math.min(longest, first * 2 ^ math.min(over - 1, 20)) end
    redis.call('HSET', KEYS[i], 'until', string.format('%.0f', ends))
    redis.call('PEXPIRE', KEYS[i], forget)
  end
end
return 0`

// SharedFailures counts failures in Redis, so that replicas share one count; in
// this process while Redis is away. It is safe for concurrent use.
type SharedFailures struct {
	shared *Shared
	policy Backoff
	local  *LocalFailures
	script *redis.Script
}

// Failures counts failures in the same Redis, by the policy of local, which counts
// while Redis is away.
func (s *Shared) Failures(local *LocalFailures) *SharedFailures {
	return &SharedFailures{shared: s, policy: local.policy, local: local, script: redis.NewScript(-1, tally)}
}

// Count counts one failure under every name, or none: it then gives how long to
// wait. The error is always nil.
func (f *SharedFailures) Count(ctx context.Context, counts []Count) (time.Duration, error) {
	names, free := make([]string, len(counts)), make([]int, len(counts))
	for i, c := range counts {
		names[i], free[i] = c.Name, c.Free
	}
	wait, err := f.ask(ctx, "count", names, free)
	if err != nil {
		return f.local.Count(ctx, counts)
	}
	return wait, nil
}

// Forgive takes one failure back under every name.
func (f *SharedFailures) Forgive(ctx context.Context, names []string) {
	_, _ = f.ask(ctx, "forgive", names, nil) // Redis away counts too much for as long as Forget
	f.local.Forgive(ctx, names)
}

// Clear forgets all failures under a name.
func (f *SharedFailures) Clear(ctx context.Context, name string) {
	_, _ = f.ask(ctx, "clear", []string{name}, nil)
	f.local.Clear(ctx, name)
}

func (f *SharedFailures) ask(ctx context.Context, act string, names []string, free []int) (time.Duration, error) {
	args := make([]any, 0, 1+len(names)+4+len(free))
	args = append(args, len(names))
	for _, name := range names {
		args = append(args, failuresPrefix+name)
	}
	args = append(args, act, f.policy.First.Milliseconds(), f.policy.Longest.Milliseconds(), f.policy.Forget.Milliseconds())
	for _, n := range free {
		args = append(args, n)
	}
	var wait int64
	err := f.shared.do(ctx, func(ctx context.Context, conn redis.Conn) (err error) {
		wait, err = redis.Int64(f.script.DoContext(ctx, conn, args...))
		return err
	})
	return time.Duration(wait) * time.Millisecond, err
}
