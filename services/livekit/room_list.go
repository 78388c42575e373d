package livekit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/server-sdk-go/v2/signalling"
	"github.com/twitchtv/twirp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"pulse-control-plane/utils/observe"
)

// maxRoomList bounds LiveKit's list of rooms, in bytes: some 500,000 rooms.
const maxRoomList = 256 << 20

// ListedRoom is a room of a cluster's list, under its qualified name. LiveKit has
// no paging and a list may hold the rooms of many tenants, so that only what
// chooses between them is read; Info reads the rest.
type ListedRoom struct {
	Name, SID       string
	CreatedAt       time.Time
	NumParticipants int
	raw             []byte
}

// Info reads the whole room. unavailable if LiveKit's answer was wrong.
func (r *ListedRoom) Info() (RoomInfo, error) {
	var room livekit.Room
	if err := proto.Unmarshal(r.raw, &room); err != nil {
		return RoomInfo{}, called(err)
	}
	return roomInfo(&room), nil
}

// roomLister calls LiveKit's ListRooms without decoding its answer.
type roomLister struct {
	service     livekit.RoomService
	key, secret string
}

func newRoomLister(c *Cluster, r *observe.Recorder) *roomLister {
	return &roomLister{livekit.NewRoomServiceProtobufClient(signalling.ToHttpURL(c.CallURL()), bodyKeeper{&http.Client{}}, twirp.WithClientHooks(observedBy(r))),
		c.APIKey, c.APISecret.Reveal()}
}

// bodyKey is the context's key of the buffer that takes an answer.
type bodyKey struct{}

// bodyKeeper moves the body of a good answer into the request's buffer, so that
// twirp decodes an empty one.
type bodyKeeper struct{ client *http.Client }

func (k bodyKeeper) Do(req *http.Request) (*http.Response, error) {
	res, err := k.client.Do(req)
	buffer, ok := req.Context().Value(bodyKey{}).(*bytes.Buffer)
	if err != nil || !ok || res.StatusCode != http.StatusOK {
		return res, err
	}
	defer res.Body.Close()
	if n := res.ContentLength; n > 0 && n <= maxRoomList {
		buffer.Grow(int(n) + bytes.MinRead)
	}
	n, err := buffer.ReadFrom(io.LimitReader(res.Body, maxRoomList+1))
	if err == nil && n > maxRoomList {
		err = fmt.Errorf("the list of rooms has more than %d bytes", maxRoomList)
	}
	res.Body = http.NoBody
	return res, err
}

// list reads every room of the cluster. The error is the cluster's.
func (l *roomLister) list(ctx context.Context) ([]ListedRoom, error) {
	token, err := auth.NewAccessToken(l.key, l.secret).SetVideoGrant(&auth.VideoGrant{RoomList: true}).ToJWT()
	if err != nil {
		return nil, err
	}
	ctx, err = twirp.WithHTTPRequestHeaders(ctx, http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	if _, err := l.service.ListRooms(context.WithValue(ctx, bodyKey{}, &body), &livekit.ListRoomsRequest{}); err != nil {
		return nil, err
	}
	return listedRooms(body.Bytes())
}

var errRoomList = errors.New("livekit: the list of rooms is no ListRoomsResponse")

// Numbers of fields of ListRoomsResponse and Room (livekit/protocol,
// livekit_room.proto and livekit_models.proto).
const (
	fieldRooms           = 1
	fieldSID             = 1
	fieldName            = 2
	fieldCreationTime    = 5
	fieldNumParticipants = 9
	fieldCreationTimeMs  = 15
)

// listedRooms reads an encoded ListRoomsResponse. The rooms keep parts of it.
func listedRooms(body []byte) ([]ListedRoom, error) {
	var out []ListedRoom
	err := eachField(body, func(number protowire.Number, kind protowire.Type, value []byte, _ uint64) error {
		if number != fieldRooms || kind != protowire.BytesType {
			return nil
		}
		r := ListedRoom{raw: value}
		var seconds, ms int64
		err := eachField(value, func(number protowire.Number, kind protowire.Type, value []byte, n uint64) error {
			text, whole := kind == protowire.BytesType, kind == protowire.VarintType
			switch {
			case text && number == fieldSID:
				r.SID = string(value)
			case text && number == fieldName:
				r.Name = string(value)
			case whole && number == fieldCreationTime:
				seconds = int64(n)
			case whole && number == fieldCreationTimeMs:
				ms = int64(n)
			case whole && number == fieldNumParticipants:
				r.NumParticipants = int(uint32(n))
			}
			return nil
		})
		r.CreatedAt = Milliseconds(ms, seconds)
		out = append(out, r)
		return err
	})
	return out, err
}

// eachField calls each for the fields of an encoded message: value of one with a
// length, n of a number.
func eachField(message []byte, each func(number protowire.Number, kind protowire.Type, value []byte, n uint64) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errRoomList
		}
		message = message[n:]
		var value []byte
		var whole uint64
		switch kind {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			whole, n = protowire.ConsumeVarint(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return errRoomList
		}
		if err := each(number, kind, value, whole); err != nil {
			return err
		}
		message = message[n:]
	}
	return nil
}
