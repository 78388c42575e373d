package events

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"pulse-control-plane/models"
)

func TestAStreamIsCheckedWhenTheProjectItIsOfChangesForEachKindOfReader(t *testing.T) {
	deleted := models.ProjectChanged("prj_a")
	named := func(p models.ProjectID) StreamQuery { return StreamQuery{Scope: Scope{Project: p}} }
	person := &models.Principal{Kind: models.CallerPerson, OrgID: "org_a", UserID: "usr_a", SessionID: "ses_a"}
	for name, c := range map[string]struct {
		actor *models.Principal
		query StreamQuery
		want  bool
	}{
		"a key's":            {&models.Principal{Kind: models.CallerServerKey, OrgID: "org_a", Project: &models.Project{ID: "prj_a"}}, StreamQuery{}, true},
		"another key's":      {&models.Principal{Kind: models.CallerServerKey, OrgID: "org_a", Project: &models.Project{ID: "prj_b"}}, StreamQuery{}, false},
		"a person's":         {person, named("prj_a"), true},
		"of another project": {person, named("prj_b"), false},
		"the operator's":     {&models.Principal{Kind: models.CallerOperator}, named("prj_a"), true},
	} {
		s := &Stream{actor: c.actor, query: c.query}
		if got := s.concerned(deleted); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	operators := &Stream{actor: &models.Principal{Kind: models.CallerOperator}, query: named("prj_a")}
	if !operators.concerned(models.OrganizationChanged("org_a")) {
		t.Error("the operator's is not checked when the organization changes")
	}
}

func person(id string) *models.Principal {
	return &models.Principal{Kind: models.CallerPerson, UserID: models.UserID(id)}
}

// member is a key of a project of an organization.
func member(org, project string) *models.Principal {
	return &models.Principal{Kind: models.CallerServerKey, OrgID: models.OrganizationID(org), Project: &models.Project{ID: models.ProjectID(project)}}
}

func TestHoweverManyOrganizationsTakeStreamsTheNextOneHasSome(t *testing.T) {
	for _, tenants := range []int{1, 4, 10, 100} {
		f := &Feed{open: map[*Stream]struct{}{}, counts: map[string]int{}}
		open := func(org, n int) bool {
			// Each from addresses of its own, and of many projects.
			return f.admit(&Stream{actor: member(fmt.Sprint("org_", org), fmt.Sprint("prj_", org, "_", n%10)),
				query: StreamQuery{IP: fmt.Sprintf("2001:db8:%x:%x::1", org, n%10)}}) == nil
		}
		for more, n := true, 0; more; n++ {
			more = false
			for org := range tenants {
				more = open(org, n) || more
			}
		}
		free := maxStreams - f.Streams()
		if least := maxStreams / (2 * (tenants + 2)); free < least {
			t.Errorf("%d organizations leave %d streams, want %d", tenants, free, least)
		}
		next := 0
		for open(tenants, next) {
			next++
		}
		if next < free/3 {
			t.Errorf("after %d organizations the next one gets %d streams of %d", tenants, next, free)
		}
	}
}

func TestNeitherACallerNorAnAddressKeepsOthersFromStreams(t *testing.T) {
	open := func(project, ip string) *Stream {
		return &Stream{actor: &models.Principal{Kind: models.CallerServerKey, Project: &models.Project{ID: models.ProjectID(project)}}, query: StreamQuery{IP: ip}}
	}
	of := func(p *models.Principal, ip string) *Stream { return &Stream{actor: p, query: StreamQuery{IP: ip}} }
	for name, c := range map[string]struct {
		most int
		// next is the n-th stream of those that are counted together.
		next  func(n int) *Stream
		other *Stream
	}{
		"a person": {maxPersonStreams, func(n int) *Stream { return of(person("usr_a"), fmt.Sprint("203.0.113.", n%250)) }, of(person("usr_b"), "203.0.113.1")},
		"an organization": {maxTenantStreams, func(n int) *Stream {
			return of(member("org_a", fmt.Sprint("prj_", n%10)), fmt.Sprint("203.0.113.", n%250))
		}, of(member("org_b", "prj_b"), "203.0.113.1")},
		"a project":  {maxCallerStreams, func(n int) *Stream { return open("prj_a", fmt.Sprint("203.0.113.", n%250)) }, open("prj_b", "203.0.113.1")},
		"an address": {maxAddressStreams, func(n int) *Stream { return open(fmt.Sprint("prj_", n%50), "203.0.113.1") }, open("prj_1", "203.0.113.2")},
		"a /64":      {maxAddressStreams, func(n int) *Stream { return open(fmt.Sprint("prj_", n%50), fmt.Sprintf("2001:db8::%x", n)) }, open("prj_1", "2001:db8:0:1::1")},
		"a /48":      {maxWideStreams, func(n int) *Stream { return open(fmt.Sprint("prj_", n%50), fmt.Sprintf("2001:db8:0:%x::1", n)) }, open("prj_1", "2001:db8:1::1")},
	} {
		f := &Feed{open: map[*Stream]struct{}{}, counts: map[string]int{}}
		var admitted []*Stream
		var err error
		for err == nil {
			s := c.next(len(admitted))
			if err = f.admit(s); err == nil {
				admitted = append(admitted, s)
			}
		}
		refused, ok := err.(*models.Error)
		if len(admitted) != c.most || !ok || refused.Code != "too_many_streams" || refused.Kind != models.KindRateLimited || refused.RetryAfter <= 0 {
			t.Errorf("%s: %d streams, then %v", name, len(admitted), err)
		}
		if err := f.admit(c.other); err != nil {
			t.Errorf("%s keeps another out: %v", name, err)
		}
		f.dismiss(admitted[0])
		if err := f.admit(c.next(0)); err != nil {
			t.Errorf("%s: one ended, and %v", name, err)
		}
		for s := range f.open {
			f.dismiss(s)
		}
		if len(f.counts) != 0 || len(f.open) != 0 {
			t.Errorf("%s: %d counts of %d streams are left", name, len(f.counts), len(f.open))
		}
	}
}

func TestConcurrentStreamsOfAnAddressStayWithinItsLimit(t *testing.T) {
	f := &Feed{open: map[*Stream]struct{}{}, counts: map[string]int{}}
	var all sync.WaitGroup
	var admitted atomic.Int64
	for caller := range 50 {
		all.Go(func() {
			actor := &models.Principal{Kind: models.CallerServerKey, Project: &models.Project{ID: models.ProjectID(fmt.Sprint("prj_", caller))}}
			for range 2 * maxAddressStreams / 50 {
				passing, staying := &Stream{actor: actor, query: StreamQuery{IP: "203.0.113.1"}}, &Stream{actor: actor, query: StreamQuery{IP: "203.0.113.1"}}
				if f.admit(passing) == nil {
					f.dismiss(passing)
				}
				if f.admit(staying) == nil {
					admitted.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := admitted.Load(); n > maxAddressStreams || n < maxAddressStreams-50 || f.Streams() != int(n) {
		t.Errorf("%d of %d streams stay", n, f.Streams())
	}
	for s := range f.open {
		f.dismiss(s)
	}
	if len(f.counts) > 0 {
		t.Errorf("after all have ended, %v are counted", f.counts)
	}
}
