package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/events"
)

const (
	// heartbeatEvery is how often a stream is written to while nothing happens.
	heartbeatEvery = 15 * time.Second
	// streamWrite is how long a reader may take to accept a page of events; one
	// that takes longer is dropped.
	streamWrite = 10 * time.Second
)

// Events serves /v1/events.
type Events struct{ feed *events.Feed }

// NewEvents makes the handlers of a feed.
func NewEvents(f *events.Feed) *Events { return &Events{f} }

// Again authenticates a request a second time, without counting it.
type Again func(*gin.Context) (*models.Principal, error)

// Event is an event as it is delivered, and which of LiveKit's it was made of; null
// for Pulse's own.
type Event struct {
	events.Body
	LiveKitEventID *string `json:"livekit_event_id"`
}

func renderEvent(e models.Event) Event {
	out := Event{Body: events.BodyOf(&e)}
	if e.SourceID != "" && events.FromLiveKit(e.Type) {
		out.LiveKitEventID = &e.SourceID
	}
	return out
}

func scopeOf(q *request.Query) events.Scope {
	return events.Scope{Project: projectOf(q), Org: models.OrganizationID(q.Text("org_id"))}
}

// List returns a page of events, latest arrival first.
func (h *Events) List(c *gin.Context) error {
	q := request.NewQuery(c)
	page := pageOf(q)
	ask := events.Query{Scope: scopeOf(q), Type: q.Text("type"), Start: q.Time("start"), End: q.Time("end")}
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.feed.List(c.Request.Context(), caller(c), ask, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderEvent))
}

// Get returns an event, by its id or by LiveKit's.
func (h *Events) Get(c *gin.Context) error {
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	e, err := h.feed.Get(c.Request.Context(), caller(c), project, c.Param("id"))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderEvent(e))
}

// Stream sends events as they come, as Server-Sent Events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html), until the
// client goes, is too slow, loses its rights or the process stops. A stream lasts
// longer than its credential may, so it is authenticated again with
// each heartbeat, and when what it rests on was changed.
func (h *Events) Stream(again Again) func(*gin.Context) error {
	return func(c *gin.Context) error { return h.stream(c, again) }
}

// A stream waits with the stack that led to it. What is not needed while it waits is
// therefore in functions that have returned by then: below 4 KiB a stack takes 8 KiB
// instead of 16.
func (h *Events) stream(c *gin.Context, again Again) error {
	stream, err := h.open(c)
	if err != nil {
		return err
	}
	defer stream.Close()
	if c.Request.Method == http.MethodHead {
		return nil
	}
	_ = send(&sending{c: c, stream: stream, again: again, comment: ": connected\n\n"}) // there is nobody left to tell of an error
	return nil
}

// open begins the answer.
func (h *Events) open(c *gin.Context) (*events.Stream, error) {
	q := request.NewQuery(c)
	ask := events.StreamQuery{Scope: scopeOf(q), Type: q.Text("type"), LastEventID: c.GetHeader("Last-Event-ID"), IP: c.RemoteIP()}
	if err := q.Err(); err != nil {
		return nil, err
	}
	stream, err := h.feed.Open(c.Request.Context(), caller(c), ask)
	if err != nil {
		return nil, err
	}
	header := c.Writer.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // nginx would hold events back
	c.Status(http.StatusOK)
	c.Writer.WriteHeaderNow()
	return stream, nil
}

// sending is a stream that is being sent.
type sending struct {
	c      *gin.Context
	stream *events.Stream
	again  Again
	// comment is written when there are no events.
	comment string
}

// send writes a stream until it ends.
func send(s *sending) error {
	if err := http.NewResponseController(s.c.Writer).SetReadDeadline(time.Time{}); err != nil { // nothing more is read
		return err
	}
	heartbeat := time.NewTicker(heartbeatEvery)
	defer heartbeat.Stop()
	var list []*events.Entry
	for {
		err := s.write(list)
		if err != nil {
			return err
		}
		if list, err = s.stream.Next(s.c.Request.Context(), heartbeat.C); err != nil {
			return err
		}
		if len(list) == 0 {
			if err = s.check(); err != nil {
				return err
			}
		}
	}
}

// write writes a page of events, or a comment if there are none.
func (s *sending) write(list []*events.Entry) error {
	out := http.NewResponseController(s.c.Writer)
	if err := out.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return err
	}
	if len(list) == 0 {
		if _, err := s.c.Writer.WriteString(s.comment); err != nil {
			return err
		}
		s.comment = ": heartbeat\n\n"
	}
	for _, e := range list {
		body, err := e.Body()
		if err != nil {
			return err
		}
		for _, part := range [...][]byte{[]byte("id: "), []byte(e.Event.ID), []byte("\ndata: "), body, []byte("\n\n")} {
			if _, err := s.c.Writer.Write(part); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

// check returns an error if the caller may no longer read a stream. While the
// database is away that is unknown, and there is nothing to read.
func (s *sending) check() error {
	p, err := s.again(s.c)
	if err == nil {
		err = s.stream.Check(s.c.Request.Context(), p)
	}
	if models.IsKind(err, models.KindUnavailable) {
		return nil
	}
	return err
}
