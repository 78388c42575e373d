package livekit

import (
	"context"
	"errors"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"
)

// EgressAnswers reports whether the worker of a running egress is there. LiveKit passes a
// change of its targets on to the worker, so one that changes nothing tells: without a
// worker LiveKit answers unavailable after some seconds; what a worker says, also that
// the egress has no targets, is an answer. Errors: unavailable if LiveKit itself does
// not answer.
func (l *Client) EgressAnswers(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	_, err := l.egress.UpdateStream(ctx, &livekit.UpdateStreamRequest{EgressId: id})
	var e twirp.Error
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil || !errors.As(err, &e) || fromProxy(e):
		return false, called(err)
	}
	switch e.Code() {
	case twirp.Unavailable, twirp.DeadlineExceeded:
		return false, nil
	case twirp.Internal, twirp.PermissionDenied, twirp.Unauthenticated, twirp.Unknown: // or no answer of LiveKit's at all
		return false, called(err)
	}
	return true, nil
}

// fromProxy reports whether an error is not LiveKit's answer but that of something in front
// of it, such as a load balancer: what became of the call is unknown.
func fromProxy(e twirp.Error) bool { return e.Meta("http_error_from_intermediary") != "" }
