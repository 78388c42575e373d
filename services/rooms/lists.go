package rooms

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/services/clusters"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/paging"
)

// listFresh is how old a cluster's list of rooms may be. LiveKit has no paging, so
// one list serves all callers of that time.
const listFresh = time.Second

// roomLists are the last lists of the clusters, by project. Memory is bounded by
// what the clusters themselves list.
type roomLists struct {
	now func() time.Time
	mu  sync.Mutex
	// of is by cluster.
	of map[string]*roomList
}

// roomList is one reading of a cluster; ready is closed when it is there.
type roomList struct {
	at        time.Time
	ready     chan struct{}
	err       error
	byProject map[models.ProjectID][]livekit.ListedRoom
}

func newRoomLists(now func() time.Time) *roomLists {
	return &roomLists{now: now, of: map[string]*roomList{}}
}

// forget drops the list of a cluster on which something was changed.
func (l *roomLists) forget(cluster string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, cluster)
}

// rooms returns the rooms of a project on a cluster, newest first.
func (l *roomLists) rooms(ctx context.Context, m *clusters.Member, p models.ProjectID) ([]livekit.ListedRoom, error) {
	now := l.now()
	l.mu.Lock()
	list := l.of[m.Name]
	if list == nil || now.Sub(list.at) >= listFresh {
		list = &roomList{at: now, ready: make(chan struct{})}
		l.of[m.Name] = list
		// The caller may hang up; the others still want the list.
		go l.read(context.WithoutCancel(ctx), m, list)
	}
	l.mu.Unlock()
	select {
	case <-list.ready:
		return list.byProject[p], list.err
	case <-ctx.Done():
		return nil, models.Unavailable(ctx.Err())
	}
}

func (l *roomLists) read(ctx context.Context, m *clusters.Member, list *roomList) {
	defer close(list.ready)
	all, err := m.Client.ListRooms(ctx)
	if list.err = err; err != nil {
		l.forget(m.Name)
		return
	}
	list.byProject = map[models.ProjectID][]livekit.ListedRoom{}
	for i := range all {
		if p, _, ours := models.SplitRoom(all[i].Name); ours {
			list.byProject[p] = append(list.byProject[p], all[i])
		}
	}
	for _, of := range list.byProject {
		slices.SortFunc(of, func(a, b livekit.ListedRoom) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.Name, a.Name))
		})
	}
}

// List reads a page of a project's open rooms on all clusters, newest first. Rooms
// on a cluster that is down are left out while another one answers; unavailable if
// none does.
func (s *Rooms) List(ctx context.Context, actor *models.Principal, named models.ProjectID, p paging.Request) (paging.Page[Room], error) {
	project, err := lookup.Project(ctx, s.c.Projects, actor, models.ActionRoomsRead, named)
	if err != nil {
		return paging.Page[Room]{}, err
	}
	type placed struct {
		*livekit.ListedRoom
		member *clusters.Member
	}
	var all []placed
	members := s.c.Clusters.All()
	if usable := slices.DeleteFunc(slices.Clone(members), func(m *clusters.Member) bool { return !m.Usable() }); len(usable) > 0 {
		members = usable
	}
	for _, m := range members {
		open, err := s.lists.rooms(ctx, m, project.ID)
		if err != nil {
			return paging.Page[Room]{}, err
		}
		for i := range open {
			all = append(all, placed{&open[i], m})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.Name, a.Name))
	})
	scope := "rooms|" + string(project.ID)
	if p.Cursor != "" {
		parts, err := s.c.Cursors.Decode(scope, p.Cursor)
		var ms int64
		if err == nil && len(parts) == 2 {
			ms, err = strconv.ParseInt(parts[0], 36, 64)
		}
		if err != nil || len(parts) != 2 {
			return paging.Page[Room]{}, models.Invalid(models.FieldError{Location: "cursor",
				Message: "is not a cursor of this list; use next_cursor as it was given"})
		}
		after := time.UnixMilli(ms).UTC()
		all = slices.DeleteFunc(all, func(r placed) bool {
			return cmp.Or(r.CreatedAt.Compare(after), cmp.Compare(r.Name, parts[1])) >= 0
		})
	}
	out := paging.Page[Room]{Items: []Room{}}
	if len(all) > p.Limit {
		last := &all[p.Limit-1]
		out.NextCursor = s.c.Cursors.Encode(scope, strconv.FormatInt(last.CreatedAt.UnixMilli(), 36), last.Name)
		all = all[:p.Limit]
	}
	infos := make([]livekit.RoomInfo, len(all))
	for i := range all {
		if infos[i], err = all[i].Info(); err != nil {
			return paging.Page[Room]{}, err
		}
	}
	if out.Items, err = s.withTags(ctx, &project, nil, infos); err != nil {
		return paging.Page[Room]{}, err
	}
	for i := range out.Items {
		out.Items[i].Region = all[i].member.Region
	}
	return out, nil
}
