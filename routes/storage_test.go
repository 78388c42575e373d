package routes_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/handlers"
)

const storageSecret = "storage-secret-of-the-tests-0123456789"

// s3Server is a server that speaks S3's protocol, with one bucket.
func s3Server(t *testing.T, bucket string) (url string, objects *s3mem.Backend) {
	t.Helper()
	objects = s3mem.New()
	if err := objects.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(objects).Server())
	t.Cleanup(server.Close)
	return server.URL, objects
}

func s3Storage(url, bucket string) map[string]any {
	return map[string]any{"kind": "s3", "bucket": bucket, "endpoint": url, "access_key": "AKTEST", "secret": storageSecret, "force_path_style": true}
}

func TestTheCheckOfAStorageWritesReadsAndDeletes(t *testing.T) {
	s := newServer(t, func(o *setup) { o.fenced, o.privateTargets = true, true })
	ada := s.tenant("ada")
	url, objects := s3Server(t, "recordings")
	path := "/v1/projects/" + ada.project
	s.do(http.MethodPost, path+"/storage/check", nil, ada.asPerson).refused(http.StatusConflict, "storage_not_configured")

	s.do(http.MethodPatch, path, map[string]any{"storage": s3Storage(url, "recordings")}, ada.asPerson).want(http.StatusOK)
	check := read[handlers.StorageCheck](s.do(http.MethodPost, path+"/storage/check", nil, ada.asPerson).want(http.StatusOK))
	if !check.OK || len(check.Steps) != 3 {
		t.Errorf("%+v", check)
	}
	if left, err := objects.ListBucket("recordings", nil, gofakes3.ListBucketPage{}); err != nil || len(left.Contents) != 0 {
		t.Errorf("the check left %v %v", left, err)
	}

	s.do(http.MethodPatch, path, map[string]any{"storage": s3Storage(url, "no-such-bucket")}, ada.asPerson).want(http.StatusOK)
	check = read[handlers.StorageCheck](s.do(http.MethodPost, path+"/storage/check", nil, ada.asPerson).want(http.StatusOK))
	if check.OK || len(check.Steps) != 1 || check.Steps[0].Error != "NoSuchBucket" {
		t.Errorf("%+v", check)
	}
	s.do(http.MethodPatch, path, map[string]any{"storage": s3Storage("http://127.0.0.1:1", "recordings")}, ada.asPerson).want(http.StatusOK)
	check = read[handlers.StorageCheck](s.do(http.MethodPost, path+"/storage/check", nil, ada.asPerson).want(http.StatusOK))
	if check.OK || strings.Contains(check.Steps[0].Error, "127.0.0.1") {
		t.Errorf("%+v", check)
	}
}

func TestCredentialsOfAStorageAreSealedAndNeverShown(t *testing.T) {
	s := newServer(t, func(o *setup) { o.fenced, o.privateTargets = true, true })
	ada := s.tenant("ada")
	path := "/v1/projects/" + ada.project
	s.do(http.MethodPatch, path, map[string]any{"storage": s3Storage("http://127.0.0.1:1", "recordings")}, ada.asPerson).want(http.StatusOK)
	for _, where := range []string{path, "/v1/projects", "/v1/audit-logs"} {
		if body := s.do(http.MethodGet, where, nil, ada.asPerson).want(http.StatusOK).body; strings.Contains(string(body), storageSecret) {
			t.Errorf("%s shows the secret", where)
		}
	}
	if strings.Contains(s.log.String(), storageSecret) {
		t.Error("the log has the secret")
	}
	err := s.engine.Find(t.Context(), "projects", database.Query{Filter: bson.D{{Key: "_id", Value: ada.project}}, Limit: 1}, func(doc bson.Raw) error {
		if stored := doc.String(); strings.Contains(stored, storageSecret) || !strings.Contains(stored, "AKTEST") {
			t.Error("the secret is stored as it is")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	// Without the secret it stays, but never for another endpoint or account.
	keeping := s3Storage("http://127.0.0.1:1", "others")
	delete(keeping, "secret")
	s.do(http.MethodPatch, path, map[string]any{"storage": keeping}, ada.asPerson).want(http.StatusOK)
	for field, value := range map[string]string{"endpoint": "http://127.0.0.1:2", "access_key": "AKOTHER"} {
		moved := s3Storage("http://127.0.0.1:1", "others")
		delete(moved, "secret")
		moved[field] = value
		s.do(http.MethodPatch, path, map[string]any{"storage": moved}, ada.asPerson).refused(http.StatusBadRequest, "invalid_request", "body.storage.secret")
	}
	s.do(http.MethodPatch, path, `{"storage":null}`, ada.asPerson).want(http.StatusOK)
	if p := read[handlers.Project](s.do(http.MethodGet, path, nil, ada.asPerson).want(http.StatusOK)); p.Storage != nil {
		t.Errorf("%+v", p.Storage)
	}
}

func TestAStorageThatIsWrongIsRefusedByField(t *testing.T) {
	s := newServer(t, func(o *setup) { o.fenced, o.privateTargets = true, true })
	ada := s.tenant("ada")
	path := "/v1/projects/" + ada.project
	account := `{"type":"service_account","client_email":"a@b","private_key":"k","token_uri":"https://oauth2.googleapis.com/token"}`
	with := func(field string, value any) map[string]any {
		out := s3Storage("http://127.0.0.1:1", "recordings")
		out[field] = value
		return out
	}
	for name, test := range map[string]struct {
		storage map[string]any
		field   string
	}{
		"unknown kind":            {map[string]any{"kind": "ftp"}, "kind"},
		"no bucket":               {with("bucket", ""), "bucket"},
		"bucket with a slash":     {with("bucket", "a/b"), "bucket"},
		"metadata endpoint":       {with("endpoint", "http://169.254.169.254"), "endpoint"},
		"no URL":                  {with("endpoint", "nothing"), "endpoint"},
		"prefix that leaves":      {with("prefix", "../others"), "prefix"},
		"absolute prefix":         {with("prefix", "/etc"), "prefix"},
		"template in a prefix":    {with("prefix", "{room_name}"), "prefix"},
		"CDN with a user":         {with("cdn_base_url", "https://a:b@cdn.example.com"), "cdn_base_url"},
		"another kind's field":    {with("container", "x"), "container"},
		"another kind's secret":   {with("account_key", "x"), "account_key"},
		"region of another host":  {with("region", "x.evil.example/"), "region"},
		"access key of two lines": {with("access_key", "a\nb"), "access_key"},
		"no secret":               {with("secret", ""), "secret"},
		"credentials of a file":   {map[string]any{"kind": "gcs", "bucket": "recordings", "credentials": `{"type":"external_account"}`}, "credentials"},
		"credentials to anywhere": {map[string]any{"kind": "gcs", "bucket": "recordings",
			"credentials": strings.Replace(account, "https://oauth2.googleapis.com/token", "http://169.254.169.254/token", 1)}, "credentials"},
		"account that is a host": {map[string]any{"kind": "azure", "container": "recordings", "account_name": "evil.example.com/", "account_key": "a2V5"}, "account_name"},
	} {
		s.do(http.MethodPatch, path, map[string]any{"storage": test.storage}, ada.asPerson).refused(http.StatusBadRequest, "invalid_request", "body.storage."+test.field)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	s.do(http.MethodPatch, path, map[string]any{"storage": map[string]any{"kind": "gcs", "bucket": "recordings", "credentials": account}}, ada.asPerson).want(http.StatusOK)
	s.do(http.MethodPatch, path, map[string]any{"recording": map[string]any{"enabled": true, "layout": "grid"}}, ada.asPerson).want(http.StatusOK)
	s.do(http.MethodPatch, path, `{"storage":null}`, ada.asPerson).refused(http.StatusConflict, "storage_not_configured")
}
