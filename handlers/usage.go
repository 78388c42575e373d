package handlers

import (
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/usage"
)

// Usage serves /v1/usage.
type Usage struct{ service *usage.Reports }

// NewUsage makes the handlers of a service.
func NewUsage(s *usage.Reports) *Usage { return &Usage{s} }

// Meters are usage in seconds, to the millisecond, or in counts.
type Meters struct {
	ParticipantSeconds float64 `json:"participant_seconds"`
	AgentSeconds       float64 `json:"agent_seconds"`
	RecorderSeconds    float64 `json:"recorder_seconds"`
	SIPSeconds         float64 `json:"sip_seconds"`
	OtherSeconds       float64 `json:"other_seconds"`
	RoomSeconds        float64 `json:"room_seconds"`
	EgressSeconds      float64 `json:"egress_seconds"`
	IngressSeconds     float64 `json:"ingress_seconds"`
	TokensIssued       float64 `json:"tokens_issued"`
	APIRequests        float64 `json:"api_requests"`
	PeakParticipants   float64 `json:"peak_participants"`
}

func renderMeters(v map[models.Meter]float64) Meters {
	return Meters{
		ParticipantSeconds: millis(v[models.MeterParticipantSeconds]), AgentSeconds: millis(v[models.MeterAgentSeconds]),
		RecorderSeconds: millis(v[models.MeterRecorderSeconds]), SIPSeconds: millis(v[models.MeterSIPSeconds]),
		OtherSeconds: millis(v[models.MeterOtherSeconds]), RoomSeconds: millis(v[models.MeterRoomSeconds]),
		EgressSeconds: millis(v[models.MeterEgressSeconds]), IngressSeconds: millis(v[models.MeterIngressSeconds]),
		TokensIssued: v[models.MeterTokensIssued], APIRequests: v[models.MeterAPIRequests], PeakParticipants: v[models.MeterPeak],
	}
}

// millis rounds seconds to the millisecond, so that a sum of binary fractions
// reads well.
func millis(seconds float64) float64 {
	return math.Round(seconds*1000) / 1000
}

// UsageRow is the usage in [start, end).
type UsageRow struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	Meters
}

// UsageReport is the usage of a project in whole windows.
type UsageReport struct {
	ProjectID models.ProjectID `json:"project_id"`
	Start     time.Time        `json:"start"`
	End       time.Time        `json:"end"`
	Window    models.Window    `json:"window"`
	Totals    Meters           `json:"totals"`
	Items     []UsageRow       `json:"items"`
}

// Get returns the usage of a project.
func (h *Usage) Get(c *gin.Context) error {
	q := request.NewQuery(c)
	ask := rangeOf(q)
	ask.Window = models.Window(q.OneOf("window", "hour", "day", "month"))
	byProject, org := q.OneOf("group_by", "project") != "", models.OrganizationID(q.Text("org_id"))
	if org != "" && !byProject {
		q.Refuse("org_id", "is for group_by=project")
	}
	if err := q.Err(); err != nil {
		return err
	}
	if byProject {
		return h.byProject(c, org, ask)
	}
	out, err := h.service.Get(c.Request.Context(), actor(c), ask)
	if err != nil {
		return err
	}
	report := UsageReport{ProjectID: out.ProjectID, Start: out.Start, End: out.End, Window: out.Window,
		Totals: renderMeters(out.Totals), Items: make([]UsageRow, 0, len(out.Items))}
	for _, row := range out.Items {
		report.Items = append(report.Items, UsageRow{Start: row.Start, End: row.End, Meters: renderMeters(row.Values)})
	}
	return answer(c, http.StatusOK, report)
}

// rangeOf reads project_id, start and end.
func rangeOf(q *request.Query) usage.Query {
	return usage.Query{ProjectID: projectOf(q), Start: q.Time("start"), End: q.Time("end")}
}

// UsageSession is the time of one participant, room, egress or ingress.
type UsageSession struct {
	ID                  string         `json:"id"`
	Subject             models.Subject `json:"subject"`
	RoomName            string         `json:"room_name"`
	RoomSID             string         `json:"room_sid"`
	ParticipantIdentity string         `json:"participant_identity"`
	Kind                string         `json:"kind"`
	JoinedAt            time.Time      `json:"joined_at"`
	LeftAt              *time.Time     `json:"left_at"`
	DurationSeconds     float64        `json:"duration_seconds"`
	EndReason           *string        `json:"end_reason"`
	EventIDs            []string       `json:"event_ids"`
}

func renderUsageSession(now time.Time) func(models.UsageSession) UsageSession {
	return func(s models.UsageSession) UsageSession {
		out := UsageSession{
			ID: s.ID, Subject: s.Subject, RoomName: s.RoomName, RoomSID: s.RoomSID, ParticipantIdentity: s.Identity,
			Kind: s.Kind, JoinedAt: instant(s.JoinedAt), EventIDs: append([]string{}, s.EventIDs...),
			DurationSeconds: millis(s.Until(now).Sub(s.JoinedAt).Seconds()),
		}
		if !s.Open {
			left := instant(s.LeftAt)
			out.LeftAt, out.EndReason = &left, &s.EndReason
		}
		return out
	}
}

// Sessions returns a page of participants, the latest to join first.
func (h *Usage) Sessions(c *gin.Context) error {
	q := request.NewQuery(c)
	ask := usage.SessionQuery{ProjectID: projectOf(q),
		RoomName: q.TextUpTo("room_name", models.MaxRoomName), Identity: q.TextUpTo("participant_identity", models.MaxIdentityBytes),
		RoomSID: q.Text("room_sid"), Kind: strings.ToUpper(q.Text("kind")), Start: q.Time("start"), End: q.Time("end"),
		Subject: models.Subject(q.OneOf("subject", "participant", "room", "egress", "ingress"))}
	if open := q.OneOf("open", "true", "false"); open != "" {
		is := open == "true"
		ask.Open = &is
	}
	page := pageOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.Sessions(c.Request.Context(), actor(c), ask, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderUsageSession(h.service.Now())))
}

// Session returns one usage session.
func (h *Usage) Session(c *gin.Context) error {
	q := request.NewQuery(c)
	project := projectOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.Session(c.Request.Context(), actor(c), project, c.Param("id"))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderUsageSession(h.service.Now())(out))
}

// Explanation is a total and a page of the facts it is the sum of.
type Explanation struct {
	ProjectID  models.ProjectID `json:"project_id"`
	Meter      models.Meter     `json:"meter"`
	Start      time.Time        `json:"start"`
	End        time.Time        `json:"end"`
	Total      float64          `json:"total"`
	Items      []ExplainedFact  `json:"items"`
	HasMore    bool             `json:"has_more"`
	NextCursor *string          `json:"next_cursor"`
}

// ExplainedFact is one fact and the events that prove it.
type ExplainedFact struct {
	ID        string          `json:"id"`
	SessionID *string         `json:"session_id"`
	RoomName  *string         `json:"room_name"`
	Timestamp time.Time       `json:"timestamp"`
	Value     float64         `json:"value"`
	Open      bool            `json:"open"`
	EventIDs  []string        `json:"event_ids"`
	Events    []EvidenceEvent `json:"events"`
}

// EvidenceEvent is a LiveKit event.
type EvidenceEvent struct {
	ID         string    `json:"id"`
	Event      string    `json:"event"`
	CreatedAt  time.Time `json:"created_at"`
	ReceivedAt time.Time `json:"received_at"`
}

// Explain returns the facts a total is the sum of.
func (h *Usage) Explain(c *gin.Context) error {
	q := request.NewQuery(c)
	at := rangeOf(q)
	ask := usage.ExplainQuery{ProjectID: at.ProjectID, Start: at.Start, End: at.End, Meter: models.Meter(q.Text("meter"))}
	if !ask.Meter.Valid() || ask.Meter == models.MeterPeak {
		q.Refuse("meter", "must be participant_seconds, agent_seconds, recorder_seconds, sip_seconds, other_seconds, room_seconds, egress_seconds, ingress_seconds, tokens_issued or api_requests")
	}
	page := pageOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.Explain(c.Request.Context(), actor(c), ask, page)
	if err != nil {
		return err
	}
	body := Explanation{ProjectID: out.ProjectID, Meter: out.Meter, Start: out.Start, End: out.End,
		Total: millis(out.Total), Items: make([]ExplainedFact, 0, len(out.Items))}
	for i := range out.Items {
		body.Items = append(body.Items, renderExplained(&out.Items[i]))
	}
	if out.NextCursor != "" {
		body.HasMore, body.NextCursor = true, &out.NextCursor
	}
	return answer(c, http.StatusOK, body)
}

func renderExplained(f *usage.ExplainedFact) ExplainedFact {
	out := ExplainedFact{ID: f.ID, Timestamp: instant(f.Timestamp), Value: millis(f.Value), Open: f.Open,
		EventIDs: append([]string{}, f.EventIDs...), Events: []EvidenceEvent{}}
	if f.SessionID != "" {
		out.SessionID, out.RoomName = &f.SessionID, &f.RoomName
	}
	for i := range f.Events {
		e := &f.Events[i]
		out.Events = append(out.Events, EvidenceEvent{ID: e.ID, Event: e.Event,
			CreatedAt: instant(e.CreatedAt), ReceivedAt: instant(e.ReceivedAt)})
	}
	return out
}
