package handlers

import (
	"encoding/base64"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/rooms"
)

// maxData bounds the data of one message, in bytes, before base64.
const maxData = 64 << 10

// Rooms serves /v1/rooms.
type Rooms struct {
	requests *request.Reader
	service  *rooms.Rooms
}

// NewRooms makes the handlers of a service.
func NewRooms(r *request.Reader, s *rooms.Rooms) *Rooms { return &Rooms{r, s} }

// Room is an open room. Timeouts are in seconds; 0 for max_participants is no
// limit of the room's own.
type Room struct {
	RoomName         string            `json:"room_name"`
	SID              string            `json:"sid"`
	Status           string            `json:"status"`
	Metadata         string            `json:"metadata"`
	Tags             map[string]string `json:"tags"`
	NumParticipants  int               `json:"num_participants"`
	NumPublishers    int               `json:"num_publishers"`
	MaxParticipants  int64             `json:"max_participants"`
	EmptyTimeout     int64             `json:"empty_timeout"`
	DepartureTimeout int64             `json:"departure_timeout"`
	Recording        bool              `json:"recording"`
	Region           string            `json:"region"`
	CreatedAt        time.Time         `json:"created_at"`
}

// roomOpen is the status of a room: one that has ended is not found.
const roomOpen = "open"

func renderRoom(r rooms.Room) Room {
	out := Room{RoomName: r.Name, SID: r.SID, Status: roomOpen, Metadata: r.Metadata, Tags: r.Tags, NumParticipants: r.NumParticipants,
		NumPublishers: r.NumPublishers, MaxParticipants: r.MaxParticipants, EmptyTimeout: r.EmptyTimeout, DepartureTimeout: r.DepartureTimeout,
		Recording: r.ActiveRecording, Region: r.Region, CreatedAt: instant(r.CreatedAt)}
	if out.Tags == nil {
		out.Tags = map[string]string{}
	}
	return out
}

type createRoomRequest struct {
	RoomName         string            `json:"room_name,case:ignore" validate:"required,roomname"`
	EmptyTimeout     *int64            `json:"empty_timeout,case:ignore" validate:"omitempty,min=0,max=86400"`
	DepartureTimeout *int64            `json:"departure_timeout,case:ignore" validate:"omitempty,min=0,max=86400"`
	MaxParticipants  *int64            `json:"max_participants,case:ignore" validate:"omitempty,min=0,max=100000"`
	Metadata         string            `json:"metadata" validate:"omitempty,maxbytes=32768"`
	Tags             map[string]string `json:"tags" validate:"omitempty,max=32,maxtotal=4096"`
	Recording        *bool             `json:"recording"`
}

// Create opens a room: 201, or 200 for one that is open already.
func (h *Rooms) Create(c *gin.Context) error {
	var in createRoomRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	room, created, err := h.service.Create(c.Request.Context(), caller(c), rooms.Input{Project: project, RoomName: in.RoomName, Recorded: in.Recording,
		RoomOptions: livekit.RoomOptions{EmptyTimeout: in.EmptyTimeout, DepartureTimeout: in.DepartureTimeout,
			MaxParticipants: in.MaxParticipants, Metadata: in.Metadata, Tags: in.Tags}})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return answer(c, status, renderRoom(room))
}

// List returns a page of the project's open rooms, newest first.
func (h *Rooms) List(c *gin.Context) error {
	q := request.NewQuery(c)
	page, project := pageOf(q), projectOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	out, err := h.service.List(c.Request.Context(), caller(c), project, page)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listOf(out, renderRoom))
}

// Get returns a room.
func (h *Rooms) Get(c *gin.Context) error {
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	room, err := h.service.Get(c.Request.Context(), caller(c), project, c.Param("room"))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderRoom(room))
}

type patchRoomRequest struct {
	Metadata request.Clearable[string] `json:"metadata" validate:"omitempty,maxbytes=32768"`
	Tags     map[string]string         `json:"tags" validate:"omitempty,max=32,maxtotal=4096"`
}

// Patch changes a room's metadata and tags.
func (h *Rooms) Patch(c *gin.Context) error {
	var in patchRoomRequest
	if err := h.requests.Patch(c, &in); err != nil {
		return err
	}
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	room, err := h.service.Update(c.Request.Context(), caller(c), project, c.Param("room"), rooms.Change{Metadata: in.Metadata.Value, Tags: in.Tags})
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, renderRoom(room))
}

// Delete ends a room.
func (h *Rooms) Delete(c *gin.Context) error {
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	if err := h.service.Delete(c.Request.Context(), caller(c), project, c.Param("room")); err != nil {
		return err
	}
	return done(c)
}

type dataRequest struct {
	Data                  string   `json:"data" validate:"required"`
	Topic                 string   `json:"topic" validate:"omitempty,maxbytes=256"`
	DestinationIdentities []string `json:"destination_identities,case:ignore" validate:"omitempty,max=100,dive,maxbytes=256"`
}

// SendData sends data to a room.
func (h *Rooms) SendData(c *gin.Context) error {
	var in dataRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	payload, err := base64.StdEncoding.DecodeString(in.Data)
	if err != nil || len(payload) > maxData {
		return models.Invalid(models.FieldError{Location: "body.data", Message: "must be base64 of at most 65536 bytes"})
	}
	project, err := projectNamed(c)
	if err != nil {
		return err
	}
	if err := h.service.SendData(c.Request.Context(), caller(c), project, c.Param("room"),
		rooms.Data{Payload: payload, Topic: in.Topic, Identities: in.DestinationIdentities}); err != nil {
		return err
	}
	return done(c)
}
