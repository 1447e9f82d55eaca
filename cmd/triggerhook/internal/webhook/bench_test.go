package webhook

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkHandle is what one webhook costs, with the receiver in the same process: go test -bench Handle -cpuprofile.
func BenchmarkHandle(b *testing.B) {
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer r.Close()
	s := newSender(b, Options{AllowPrivate: true, Secrets: []string{secret(), secret()}})
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := s.Handle(b.Context(), delivery(r.URL)); err != nil {
				b.Error(err)
			}
		}
	})
}
