package webhook

import (
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newSender returns a Sender that ends with the test. Times that o does not bound are long, because the machine may be busy.
func newSender(t testing.TB, o Options) *Sender {
	t.Helper()
	for _, d := range []*time.Duration{&o.ConnectTimeout, &o.TLSTimeout, &o.HeaderTimeout, &o.Timeout} {
		def(d, 2*time.Minute)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// delivery is the first delivery of a task with that target.
func delivery(target string) *triggerhook.Delivery {
	return &triggerhook.Delivery{Attempt: 1, Task: triggerhook.Task{ID: "order 7/remind", Due: time.UnixMilli(1_800_000_000_123).UTC(),
		Payload: []byte(`{"order":7}`), Headers: map[string]string{HeaderURL: target, HeaderContentType: "application/json"}}}
}

// received is a request as a receiver has read it.
type received struct {
	method, path, query string
	header              http.Header
	body                []byte
	at                  time.Time
}

// receiver is a server that keeps what it is sent.
type receiver struct {
	*httptest.Server
	mu  sync.Mutex
	all []received
}

// newReceiver starts a server that keeps each request and answers it by answer, or with 204 if that is nil. It ends with the test.
func newReceiver(t testing.TB, answer http.HandlerFunc) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		r.all = append(r.all, received{q.Method, q.URL.Path, q.URL.RawQuery, q.Header.Clone(), body, time.Now()})
		r.mu.Unlock()
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, q)
	}))
	t.Cleanup(r.Close)
	return r
}

// requests returns what was received so far.
func (r *receiver) requests() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.all...)
}

// one returns the only request.
func (r *receiver) one(t testing.TB) received {
	t.Helper()
	all := r.requests()
	if len(all) != 1 {
		t.Fatalf("%d requests were received, want 1", len(all))
	}
	return all[0]
}

// secret returns a new secret of HMAC.
func secret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return "whsec_" + base64.StdEncoding.EncodeToString(b)
}
