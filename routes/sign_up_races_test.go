package routes_test

import (
	"net/http"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
)

// signUpAs is the body of a sign-up with an address.
func signUpAs(name, email string) map[string]any {
	return map[string]any{"name": name, "admin_email": email, "password": password}
}

// organizationsNamed counts the stored organizations with a name.
func (s *server) organizationsNamed(name string) (n int) {
	s.t.Helper()
	if err := s.engine.Find(s.t.Context(), "organizations", database.Query{Filter: bson.D{}, Limit: 100}, func(raw bson.Raw) error {
		if raw.Lookup("name").StringValue() == name {
			n++
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func TestASignUpResumedAfterAMinuteLeavesNothingIfAnotherTookItsAddress(t *testing.T) {
	s := newServer(t)
	const email = "founder@example.com"
	s.crash.dieBefore("users", 1)
	s.do(http.MethodPost, "/v1/organizations", signUpAs("slow", email), again("k")).want(503)
	s.crash.revive()
	s.clock.Advance(61 * time.Second)
	s.do(http.MethodPost, "/v1/organizations", signUpAs("quick", email)).want(201)
	s.do(http.MethodPost, "/v1/organizations", signUpAs("slow", email), again("k")).refused(409, "email_taken")
	if slow, quick := s.organizationsNamed("slow"), s.organizationsNamed("quick"); slow != 0 || quick != 1 {
		t.Errorf("%d slow and %d quick organizations", slow, quick)
	}
	s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": email, "password": password}).want(200)
}

func TestAnOwnerWhoseOrganizationWasDiscardedMeanwhileNeitherStaysNorHoldsTheAddress(t *testing.T) {
	for name, resumes := range map[string]bool{"resumed": true, "never_resumed": false} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			const email = "founder@example.com"
			s.crash.dieBefore("organizations", 2) // the owner is stored, the sign-up not settled
			s.do(http.MethodPost, "/v1/organizations", signUpAs("slow", email), again("k")).want(503)
			s.crash.revive()
			// As another sign-up does that counted its members a moment earlier.
			if n, err := s.engine.Delete(t.Context(), "organizations", bson.D{{Key: "admin_email", Value: email}}, 1); err != nil || n != 1 {
				t.Fatalf("%d discarded, %v", n, err)
			}
			s.do(http.MethodPost, "/v1/organizations", signUpAs("early", email)).refused(409, "email_taken")
			s.clock.Advance(61 * time.Second)
			if resumes {
				s.do(http.MethodPost, "/v1/organizations", signUpAs("slow", email), again("k")).want(201)
				s.do(http.MethodPost, "/v1/organizations", signUpAs("quick", email)).refused(409, "email_taken")
			} else {
				s.do(http.MethodPost, "/v1/organizations", signUpAs("quick", email)).want(201)
				s.do(http.MethodPost, "/v1/organizations", signUpAs("slow", email), again("k")).refused(409, "email_taken")
			}
			s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": email, "password": password}).want(200)
		})
	}
}
